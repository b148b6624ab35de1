"""What is said of a block whose data isn't on disk."""

from types import SimpleNamespace
from typing import Any

import pytest

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.node.chain.state import BlockUnavailable
from bitcoind_mp.node.rpc.stored import stored_block, stored_undo, undo_details


class EmptyDisk:
    """A chain whose files are gone."""

    async def read_block(self, block: Any) -> bytes:
        raise BlockUnavailable("Block not found on disk")

    async def read_undo(self, block: Any) -> list[Any]:
        raise BlockUnavailable("no undo data")


def block(*, has_undo: bool) -> Any:
    return SimpleNamespace(has_undo=has_undo, height=7)


@pytest.mark.parametrize(
    ("read", "has_undo", "code", "words"),
    [
        (stored_block, True, RpcCode.MISC_ERROR, "Block not found on disk"),
        (stored_undo, True, RpcCode.MISC_ERROR, "Can't read undo data from disk"),
        (stored_undo, False, RpcCode.MISC_ERROR, "Undo data not available"),
        (undo_details, True, RpcCode.INTERNAL_ERROR, "Undo data expected but can't be read"),
    ],
)
def test_words_for_what_is_gone(run: Any, read: Any, has_undo: bool, code: RpcCode, words: str) -> None:
    with pytest.raises(RpcError, match=words) as told:
        run(read(EmptyDisk(), block(has_undo=has_undo)))
    assert told.value.code == code


def test_a_block_that_was_never_connected_has_no_details(run: Any) -> None:
    chain: Any = EmptyDisk()
    assert run(undo_details(chain, block(has_undo=False))) is None
