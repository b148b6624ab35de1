"""Blocks marked as invalid by somebody's word, and unmarked: over a real kernel."""

import ctypes
import shutil

import pytest

from bitcoind_mp.node.chain.contents import BlockContents
from bitcoind_mp.node.chain.state import ChainState
from bitcoind_mp.node.kernel_exports import Exports, NotExported


def words(chain: ChainState) -> list[tuple[int, int, str]]:
    return [(node.height, length, word) for node, length, word in chain.tips()]


def moves(told) -> list[tuple[str, int]]:
    return [event for event in told.events if event[0] in "+-"]


def hash_of(raw: bytes) -> bytes:
    return BlockContents(raw).block.header.hash


async def submit_all(chain, blocks):
    for raw in blocks:
        assert (await chain.submit_block(raw)).accepted


def test_an_invalid_block_is_disconnected_and_stays_so_over_a_restart(chain_at, run, maker, recorder) -> None:
    async def body():
        blocks = maker.chain(maker.genesis_hash, 1, 5)
        async with chain_at() as chain:
            await submit_all(chain, blocks)
            told = recorder(chain)
            chain.subscribe(told)
            await chain.invalidate(chain.by_height(4))
            assert moves(told) == [("-", 5), ("-", 4)]
            assert told.events[-1] == ("=", 3)
            assert words(chain) == [(5, 2, "invalid"), (3, 0, "active")]
            assert chain.best_header is chain.tip
            coin = BlockContents(blocks[3]).transactions[0].id
            assert chain.coins.get((coin, 0)) is None
            assert (await chain.submit_block(blocks[4])).reason == "duplicate-invalid"
            assert (await chain.submit_block(maker.block(hash_of(blocks[4]), 6))).reason == "bad-prevblk"
            assert chain.height == 3
        async with chain_at() as chain:
            assert words(chain) == [(5, 2, "invalid"), (3, 0, "active")]
            await chain.reconsider(chain.by_hash(hash_of(blocks[4])))
            assert words(chain) == [(5, 0, "active")]
            assert chain.best_header is chain.tip
            assert chain.coins.get((coin, 0)) is not None

    run(body())


def test_a_listener_sees_why_a_block_goes(chain_at, run, maker, recorder) -> None:
    async def body():
        async with chain_at() as chain:
            main = maker.chain(maker.genesis_hash, 1, 4, tag=b"main")
            await submit_all(chain, main)
            told = recorder(chain)
            seen = []
            told.block_disconnected = lambda node, contents: seen.append((node.height, node.failed))
            chain.subscribe(told)
            await submit_all(chain, maker.chain(hash_of(main[1]), 3, 3, tag=b"fork"))
            assert seen == [(4, False), (3, False)]
            seen.clear()
            await chain.invalidate(chain.by_height(4))
            assert seen[:2] == [(5, True), (4, True)]

    run(body())


def test_what_was_invalidated_is_on_disk_when_the_call_returns(chain_at, run, maker, tmp_path) -> None:
    """A killed node has closed nothing: a copy of the directory is what it leaves."""

    async def body():
        blocks = maker.chain(maker.genesis_hash, 1, 3)
        async with chain_at(tmp_path / "one") as chain:
            await submit_all(chain, blocks)
            await chain.invalidate(chain.by_height(2))
            shutil.copytree(tmp_path / "one", tmp_path / "killed")
        async with chain_at(tmp_path / "killed") as chain:
            assert words(chain) == [(3, 2, "invalid"), (1, 0, "active")]

    run(body())


def test_the_best_of_the_other_branches_is_connected(chain_at, run, maker, recorder) -> None:
    async def body():
        async with chain_at() as chain:
            main = maker.chain(maker.genesis_hash, 1, 4, tag=b"main")
            fork = maker.chain(hash_of(main[0]), 2, 2, tag=b"fork")
            await submit_all(chain, main + fork)
            told = recorder(chain)
            chain.subscribe(told)
            await chain.invalidate(chain.by_height(3))
            assert chain.tip.hash == hash_of(fork[1])
            assert moves(told) == [("-", 4), ("-", 3), ("-", 2), ("+", 2), ("+", 3)]
            assert told.events[-1] == ("=", 3)
            assert words(chain) == [(4, 3, "invalid"), (3, 0, "active")]
            await chain.reconsider(chain.by_hash(hash_of(main[2])))
            assert chain.tip.hash == hash_of(main[3])
            assert words(chain) == [(4, 0, "active"), (3, 2, "valid-fork")]

    run(body())


def test_genesis_stays(chain_at, run, maker, recorder) -> None:
    async def body():
        async with chain_at() as chain:
            await submit_all(chain, maker.chain(maker.genesis_hash, 1, 1))
            told = recorder(chain)
            chain.subscribe(told)
            await chain.invalidate(chain.genesis)
            assert (chain.height, moves(told), words(chain)) == (1, [], [(1, 0, "active")])

    run(body())


def test_a_block_that_breaks_a_rule_stays_refused_when_reconsidered(chain_at, run, maker) -> None:
    async def body():
        async with chain_at() as chain:
            main = maker.chain(maker.genesis_hash, 1, 1)
            greedy = maker.block(hash_of(main[0]), 2, fees=1)
            await submit_all(chain, main)
            assert (await chain.submit_block(greedy)).reason == "bad-cb-amount"
            await chain.reconsider(chain.by_hash(hash_of(greedy)))
            assert words(chain) == [(2, 1, "invalid"), (1, 0, "active")]
            assert chain.best_header is chain.tip

    run(body())


def test_a_precious_block_wins_among_equals_and_over_a_restart(chain_at, run, maker) -> None:
    async def body():
        main = maker.chain(maker.genesis_hash, 1, 2, tag=b"main")
        fork = maker.chain(maker.genesis_hash, 1, 2, tag=b"fork")
        async with chain_at() as chain:
            await submit_all(chain, main + fork)
            assert chain.tip.hash == hash_of(main[1])
            await chain.prefer(chain.by_hash(hash_of(fork[1])))
            assert chain.tip.hash == hash_of(fork[1])
            await chain.prefer(chain.by_hash(hash_of(main[0])))
            assert chain.tip.hash == hash_of(fork[1]), "it has less work"
        async with chain_at() as chain:
            assert chain.tip.hash == hash_of(fork[1])

    run(body())


def test_a_library_without_the_function_is_told_from_one_with_it() -> None:
    with pytest.raises(NotExported, match="SetMockTime"):
        Exports(ctypes.CDLL(None)).set_mock_time(0)
