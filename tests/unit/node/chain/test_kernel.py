"""What the kernel tells is not lost unnoticed, whatever happens to who is told."""

import errno
from pathlib import Path

import pytest
from btclib.hashes import hash256

from bitcoind_mp.node.chain.blockfiles import BlockFiles
from bitcoind_mp.node.chain.clock import Clock
from bitcoind_mp.node.chain.coindb import CoinDatabase
from bitcoind_mp.node.chain.coins import CoinsView
from bitcoind_mp.node.chain.header import BlockNode
from bitcoind_mp.node.chain.headers import HeaderTree
from bitcoind_mp.node.chain.params import params_for
from bitcoind_mp.node.chain.progress import InitialDownload
from bitcoind_mp.node.chain.tracker import Tracker
from bitcoind_mp.node.kernel import Kernel
from bitcoind_mp.node.kernel_values import Connected, Failed, KernelEvent, TipChanged


@pytest.mark.parametrize("kind", [Connected, TipChanged])
def test_a_callback_that_fails_is_told_as_a_failure(tmp_path: Path, maker, kind: type) -> None:
    """As it does when the process has no descriptor left to look into a block file."""
    told: list[KernelEvent] = []
    raw = maker.block(maker.genesis_hash, 1)

    def emit(event: KernelEvent) -> None:
        if isinstance(event, kind):
            raise OSError(errno.EMFILE, "Too many open files")
        told.append(event)

    kernel = Kernel("regtest", tmp_path, told.append)
    kernel._emit = emit
    kernel.process_block(raw, hash256(raw[:80])[::-1])
    kernel.close()
    failures = [event.text for event in told if isinstance(event, Failed)]
    assert len(failures) == 1
    assert "Too many open files" in failures[0]


def test_an_event_that_cannot_be_followed_ends_the_node(tmp_path: Path, maker) -> None:
    params = params_for("regtest")
    words: list[str] = []
    tracker = Tracker(
        HeaderTree(BlockNode(params.genesis_raw[:80], None)),
        CoinsView(CoinDatabase(tmp_path / "none")),
        BlockFiles(tmp_path, params.magic, (0, 0)),
        InitialDownload(params, Clock()),
        words.append,
    )
    raw = maker.block(maker.genesis_hash, 1)
    tracker.apply(Connected(hash256(raw[:80])[::-1], raw[:80], 1, None))  # it is not in the files
    assert len(words) == 1
    assert words[0].startswith("Connected could not be followed: ")
