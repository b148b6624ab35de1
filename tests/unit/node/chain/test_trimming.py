"""What keeps the journal and the coins view's overlay small, and what a bulk load goes without."""

import asyncio
import shutil
from pathlib import Path

from btclib.tx.tx_out import TxOut

from bitcoind_mp.node.chain.clock import Clock
from bitcoind_mp.node.chain.contents import BlockContents
from bitcoind_mp.node.chain.state import CoinsUnavailable
from bitcoind_mp.node.chain.trimming import Bounds

LATER = 1_900_000_000
"""So late that the chain counts as one that is being downloaded."""


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (there is no event for it)
            await asyncio.sleep(0.01)


def test_the_journal_is_emptied_at_a_quiet_moment(chain_at, run, maker) -> None:
    async def body():
        async with chain_at(bounds=Bounds(journal=500, quiet=0.05)) as chain:
            for raw in maker.chain(maker.genesis_hash, 1, 8):
                await chain.submit_block(raw)
            assert chain._store.journal_size > 500
            await until(lambda: chain._store.journal_size == 0 and chain.coins.changes == 0)
            assert chain.height == 8
            coinbase = BlockContents(await chain.read_block(chain.tip)).transactions[0].id
            assert chain.coins.get((coinbase, 0)) is not None

    run(body())


def test_far_beyond_its_bound_it_is_emptied_at_once(chain_at, run, maker) -> None:
    async def body():
        async with chain_at(bounds=Bounds(journal=100, quiet=3600)) as chain:
            for raw in maker.chain(maker.genesis_hash, 1, 40):
                await chain.submit_block(raw)
            await until(lambda: chain._store.journal_size < 1000)

    run(body())


def test_the_overlay_is_trimmed_too(chain_at, run, maker) -> None:
    async def body():
        async with chain_at(bounds=Bounds(overlay=10, quiet=0.05)) as chain:
            for raw in maker.chain(maker.genesis_hash, 1, 30):
                await chain.submit_block(raw)
            await until(lambda: chain.coins.changes == 0)

    run(body())


def big_block(maker, previous: bytes, height: int) -> bytes:
    """900 kB, all of it in an output that can't be spent."""
    filling = TxOut(0, b"\x6a" + bytes(900_000), check_validity=False)
    return maker.block(previous, height, outputs=[filling])


def test_a_download_goes_without_a_view_and_gets_it_back(chain_at, run, maker) -> None:
    async def body():
        async with chain_at(clock=Clock(LATER), bounds=Bounds(quiet=0.2)) as chain:
            previous = maker.genesis_hash
            for height in range(1, 8):
                raw = big_block(maker, previous, height)
                outcome = await chain.submit_block(raw, durable=False)
                assert outcome.reason is None, outcome
                previous = chain.tip.hash
            assert not chain.coins.available
            coinbase = BlockContents(raw).transactions[0].id
            try:
                chain.coins.get((coinbase, 0))
                raise AssertionError("there is no view")
            except CoinsUnavailable:
                pass
            await until(lambda: chain.coins.available)
            coin = chain.coins.get((coinbase, 0))
            assert coin is not None and coin.height == 7
            assert chain.coins.get((coinbase, 1)) is None

    run(body())


def test_the_figures_can_be_had_in_the_midst_of_a_download(chain_at, run, maker) -> None:
    async def body():
        async with chain_at(clock=Clock(LATER), bounds=Bounds(quiet=3600)) as chain:
            previous = maker.genesis_hash
            for height in range(1, 7):
                await chain.submit_block(big_block(maker, previous, height), durable=False)
                previous = chain.tip.hash
            assert not chain.coins.available
            stats = await chain.coin_stats("none")
            assert (stats.height, stats.outputs) == (6, 6)

    run(body())


def test_a_durable_block_on_ones_that_are_not_is_kept_with_them(chain_at, run, maker, tmp_path: Path) -> None:
    """What a kill would leave is what is on disk while the chain is open."""
    alive, dead = tmp_path / "alive", tmp_path / "dead"

    async def body():
        blocks = maker.chain(maker.genesis_hash, 1, 9)
        async with chain_at(alive, bounds=Bounds(journal=400, quiet=3600)) as chain:
            for raw in blocks[:8]:
                await chain.submit_block(raw, durable=False)
            shutil.copytree(alive, dead / "before")
            await chain.submit_block(blocks[8], durable=True)
            shutil.copytree(alive, dead / "after")
        async with chain_at(dead / "before") as chain:
            assert chain.height < 8, "not all of them were written down"
        async with chain_at(dead / "after") as chain:
            assert chain.height == 9

    run(body())


def test_a_durable_block_whose_parent_is_only_just_taken_in_is_kept(chain_at, run, maker, tmp_path: Path) -> None:
    """Two callers at once: the second block's parent isn't known yet when it is handed over."""
    alive, dead = tmp_path / "alive", tmp_path / "dead"

    async def body():
        blocks = maker.chain(maker.genesis_hash, 1, 2)
        async with chain_at(alive, bounds=Bounds(quiet=3600)) as chain:
            await asyncio.gather(*(chain.submit_block(raw) for raw in blocks))
            shutil.copytree(alive, dead)
        async with chain_at(dead) as chain:
            assert chain.height == 2

    run(body())


def test_blocks_that_came_before_their_parents_are_kept_over_a_kill(chain_at, run, maker, tmp_path: Path) -> None:
    """As they do from several peers: the headers came first, and are in memory alone."""
    alive, dead = tmp_path / "alive", tmp_path / "dead"

    async def body():
        blocks = maker.chain(maker.genesis_hash, 1, 5)
        async with chain_at(alive, bounds=Bounds(quiet=3600)) as chain:
            await chain.submit_headers([raw[:80] for raw in blocks])
            for raw in (blocks[4], blocks[2], blocks[1], blocks[0], blocks[3]):
                await chain.submit_block(raw)
            assert chain.height == 5
            shutil.copytree(alive, dead)
        async with chain_at(dead) as chain:
            assert chain.height == 5

    run(body())


def test_a_copy_of_the_files_at_any_moment_has_all_that_was_durable(chain_at, run, maker, tmp_path: Path) -> None:
    async def body():
        blocks = maker.chain(maker.genesis_hash, 1, 12)
        async with chain_at(tmp_path / "alive", bounds=Bounds(journal=600, quiet=3600)) as chain:
            for height, raw in enumerate(blocks, 1):
                await chain.submit_block(raw)
                shutil.copytree(tmp_path / "alive", tmp_path / f"dead{height}")
        for height in range(1, 13):
            async with chain_at(tmp_path / f"dead{height}") as chain:
                assert chain.height == height
                assert chain.coins.available

    run(body())
