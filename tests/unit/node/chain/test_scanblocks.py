"""``scanblocks``: the blocks that the filters name, over a real chain and index."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.node.chain.filterindex import BlockFilterIndex
from bitcoind_mp.node.rpc.scanblocks import ScanBlocksCommands

from .conftest import ANYONE

OURS = f"raw({ANYONE.hex()})"
OTHERS = "raw(76a914000000000000000000000000000000000000000088ac)"


async def synced(chain: Any, directory: Path) -> BlockFilterIndex:
    index = BlockFilterIndex(chain, directory)
    while not index.state.synced:  # noqa: ASYNC110 (it says so to nobody)
        await asyncio.sleep(0.01)
    return index


def test_blocks_are_found_by_what_they_pay_and_spend(chain_at: Any, run: Any, maker: Any, tmp_path: Path) -> None:
    async def body() -> None:
        async with chain_at() as chain:
            for raw in maker.chain(maker.genesis_hash, 1, 5):
                await chain.submit_block(raw)
            index = await synced(chain, tmp_path / "indexes")
            commands = ScanBlocksCommands(chain, index)
            everywhere = await commands.scanblocks("start", [OTHERS, {"desc": OURS}])
            assert everywhere == {
                "from_height": 0,
                "to_height": 5,
                "relevant_blocks": [chain.by_height(height).hash.hex() for height in range(1, 6)],
                "completed": True,
            }
            some = await commands.scanblocks("start", [OURS], 2, 3, "basic", {"filter_false_positives": True})
            assert (some["from_height"], some["to_height"]) == (2, 3)
            assert some["relevant_blocks"] == [chain.by_height(height).hash.hex() for height in (2, 3)]
            nowhere = await commands.scanblocks("start", [OTHERS], options={"filter_false_positives": True})
            assert nowhere["relevant_blocks"] == []
            await index.close()

    run(body())


def test_one_scan_at_a_time_which_can_be_watched_and_aborted(
    chain_at: Any, run: Any, maker: Any, tmp_path: Path
) -> None:
    async def body() -> None:
        async with chain_at() as chain:
            for raw in maker.chain(maker.genesis_hash, 1, 3):
                await chain.submit_block(raw)
            index = await synced(chain, tmp_path / "indexes")
            commands = ScanBlocksCommands(chain, index)
            assert await commands.scanblocks("status") is None
            assert await commands.scanblocks("abort") is False
            scanning = asyncio.create_task(commands.scanblocks("start", [OURS]))
            await asyncio.sleep(0)
            assert await commands.scanblocks("status") == {"progress": 0, "current_height": 0}
            with pytest.raises(RpcError, match="Scan already in progress"):
                await commands.scanblocks("start", [OURS])
            assert await commands.scanblocks("abort") is True
            assert (await scanning)["completed"] is False
            assert await commands.scanblocks("status") is None
            await index.close()

    run(body())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("frobnicate",), "Invalid action 'frobnicate'"),
        (("start", [OURS], 0, 0, "extended"), "Unknown filtertype"),
        (("start", [OURS]), "Index is not enabled for filtertype basic"),
    ],
)
def test_what_cannot_be_scanned_is_refused(chain_at: Any, run: Any, arguments: tuple[Any, ...], message: str) -> None:
    async def body() -> None:
        async with chain_at() as chain:
            with pytest.raises(RpcError, match=message):
                await ScanBlocksCommands(chain, None).scanblocks(*arguments)

    run(body())


def test_heights_that_there_are_not_are_refused(chain_at: Any, run: Any, tmp_path: Path) -> None:
    async def body() -> None:
        async with chain_at() as chain:
            index = await synced(chain, tmp_path / "indexes")
            commands = ScanBlocksCommands(chain, index)
            for heights, message in (((9,), "Invalid start_height"), ((0, 9), "Invalid stop_height")):
                with pytest.raises(RpcError, match=message):
                    await commands.scanblocks("start", [OURS], *heights)
            with pytest.raises(RpcError, match="scanobjects argument is required"):
                await commands.scanblocks("start")
            await index.close()

    run(body())
