"""The indexes behind a chain that moves, is reorganised, and forgets what they know already."""

import asyncio
from pathlib import Path

import pytest
from btclib.exceptions import BTClibValueError

from bitcoind_mp.node.chain.contents import BlockContents
from bitcoind_mp.node.chain.follower import ChainIndex
from bitcoind_mp.node.chain.indexes import open_indexes
from bitcoind_mp.node.chain.values import ChainFailed


def coinbase_id(raw: bytes) -> bytes:
    return BlockContents(raw).transactions[0].id


def test_they_follow_a_reorganisation(chain_at, run, maker, tmp_path: Path) -> None:
    async def body():
        async with chain_at() as chain:
            indexes = open_indexes(chain, tmp_path, transactions=True, filters=True)
            main = maker.chain(maker.genesis_hash, 1, 3, tag=b"main")
            fork = maker.chain(maker.genesis_hash, 1, 5, tag=b"fork")
            for raw in main:
                await chain.submit_block(raw)
            for index in indexes.all:
                await index.first_caught_up()
            for raw in fork:
                await chain.submit_block(raw)
            for height, raw in enumerate(fork, 1):
                place = await indexes.transactions.find(coinbase_id(raw))
                assert place.block_hash == chain.by_height(height).hash
            headers = [(await indexes.filters.get(chain.by_height(height).hash)).header for height in range(6)]
            assert len(set(headers)) == 6
            # What left the best chain can still be asked for.
            assert await indexes.filters.get(BlockContents(main[1]).block.header.hash) is not None
            assert (await indexes.transactions.find(coinbase_id(main[2]))).raw is not None
            await indexes.close()

    run(body())


def test_an_index_that_is_ahead_of_a_chain_goes_back_with_it(chain_at, run, maker, tmp_path: Path) -> None:
    """As after a kill with a chain that forgot blocks which weren't durable."""
    first, second = tmp_path / "first", tmp_path / "second"
    shared = maker.chain(maker.genesis_hash, 1, 4)
    tip = BlockContents(shared[3]).block.header.hash
    lost, other = (maker.chain(tip, 5, 3, tag=tag) for tag in (b"lost", b"other"))

    async def body():
        async with chain_at(first) as chain:
            indexes = open_indexes(chain, tmp_path, transactions=True, filters=True)
            for raw in [*shared, *lost]:
                await chain.submit_block(raw)
            for index in indexes.all:
                await index.first_caught_up()
            await indexes.close()
        async with chain_at(second) as chain:
            for raw in shared:
                await chain.submit_block(raw)
            indexes = open_indexes(chain, tmp_path, transactions=True, filters=True)
            for index in indexes.all:
                await index.first_caught_up()
                assert index.state.best_height == 4
            for raw in other:
                await chain.submit_block(raw)
            assert await indexes.transactions.find(coinbase_id(lost[0])) is None
            assert (await indexes.transactions.find(coinbase_id(other[2]))).block_hash == chain.tip.hash
            assert await indexes.filters.get(chain.tip.hash) is not None
            await indexes.close()

    run(body())


def test_none_is_kept_unless_wanted(chain_at, run, tmp_path: Path) -> None:
    async def body():
        async with chain_at() as chain:
            indexes = open_indexes(chain, tmp_path, transactions=False, filters=False)
            assert indexes.all == []
            await indexes.close()

    run(body())
    assert not (tmp_path / "indexes").exists()


@pytest.mark.parametrize("fault", [ChainFailed("no room"), BTClibValueError("not a block")])
def test_an_index_whose_blocks_cannot_be_had_says_so_and_goes_on_when_they_can(
    chain_at, run, tmp_path: Path, fault: Exception
) -> None:
    class Moody(ChainIndex):
        well = False

        async def _entries(self, node):
            if not self.well:
                raise fault
            return []

    async def body():
        async with chain_at() as chain:
            index = Moody(chain, "moody", tmp_path / "moody")
            while not index.problem:  # noqa: ASYNC110 (another task's work)
                await asyncio.sleep(0)
            assert index.problem.startswith("moody stays at height 0: ")
            index.well = True
            await index.first_caught_up()
            assert not index.problem
            await index.close()

    run(body())
