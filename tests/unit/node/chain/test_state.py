"""The chain over a real kernel: what is accepted and refused, forks, restarts, the coins at the tip."""

import asyncio
import threading
from pathlib import Path

import pytest

from bitcoind_mp.node.chain.clock import Clock
from bitcoind_mp.node.chain.contents import BlockContents
from bitcoind_mp.node.chain.journal import Journal
from bitcoind_mp.node.chain.state import BlockDecodeError, BlockUnavailable, Listener
from bitcoind_mp.node.chain.store import JOURNAL

COINBASE_MATURITY = 100


async def submit_all(chain, blocks):
    for raw in blocks:
        outcome = await chain.submit_block(raw)
        assert outcome.reason is None, outcome


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


def coinbase_id(raw: bytes) -> bytes:
    return BlockContents(raw).transactions[0].id


def test_a_new_directory_starts_at_genesis(chain_at, run) -> None:
    async def body():
        async with chain_at() as chain:
            assert chain.tip is chain.genesis is chain.best_header
            assert chain.tip.chain_tx_count == 1
            assert chain.tips() == [(chain.genesis, 0, "active")]
            assert await chain.read_block(chain.genesis) == chain.params.genesis_raw
            assert await chain.read_undo(chain.genesis) == []
            txid = BlockContents(chain.params.genesis_raw).transactions[0].id
            assert chain.coins.get((txid, 0)) is None, "genesis's output can't be spent"

    run(body())


def test_blocks_connect_and_are_told_in_order(chain_at, run, maker, recorder) -> None:
    async def body():
        async with chain_at() as chain:
            told = recorder(chain)
            subscription = chain.subscribe(told)
            blocks = maker.chain(maker.genesis_hash, 1, 3)
            await submit_all(chain, blocks[:2])
            assert told.events == [("h", 1), ("+", 1), ("=", 1), ("h", 2), ("+", 2), ("=", 2)]
            subscription.close()
            await submit_all(chain, blocks[2:])
            assert len(told.events) == 6
            assert chain.height == 3
            assert await chain.read_block(chain.tip) == blocks[2]
            assert await chain.read_part(chain.tip, 36, 32) == blocks[2][36:68]

    run(body())


def test_each_refusal_has_core_s_word(chain_at, run, maker) -> None:
    async def body():
        async with chain_at() as chain:
            first, second = maker.chain(maker.genesis_hash, 1, 2)
            tip = BlockContents(first).block.header.hash
            cases = {
                "duplicate": first,
                "prev-blk-not-found": maker.block(b"\x05" * 32, 2),
                "high-hash": next(
                    raw
                    for nonce in range(256)
                    if int.from_bytes(
                        BlockContents(raw := second[:79] + bytes([nonce]) + second[80:]).block.header.hash
                    )
                    >> 255
                ),
                "bad-cb-amount": maker.block(tip, 2, fees=1),
                "bad-cb-height": maker.block(tip, 3, tag=b"x"),
                "time-too-old": maker.block(tip, 2, time=1_296_688_602),
                "time-too-new": maker.block(tip, 2, time=chain.clock.now() + 7201),
                "bad-txns-inputs-missingorspent": maker.block(tip, 2, maker.spend(b"\x09" * 32, 0, 1)),
                "bad-txnmrklroot": second[:-8] + bytes([second[-8] ^ 1]) + second[-7:],
            }
            await submit_all(chain, [first])
            for word, raw in cases.items():
                outcome = await chain.submit_block(raw)
                assert (outcome.reason, chain.height) == (word, 1), word
            assert (await chain.submit_block(cases["bad-cb-amount"])).reason == "duplicate-invalid"
            with pytest.raises(BlockDecodeError):
                await chain.submit_block(second[:100])
            with pytest.raises(BlockDecodeError):
                await chain.submit_block(b"")
            await submit_all(chain, [second])

    run(body())


def test_a_refused_block_is_not_in_the_journal(chain_at, run, maker, tmp_path: Path) -> None:
    async def body():
        async with chain_at() as chain:
            good = maker.block(maker.genesis_hash, 1)
            await chain.submit_block(maker.block(maker.genesis_hash, 1, fees=1, tag=b"bad"))
            await submit_all(chain, [good])
            assert list(Journal(tmp_path / JOURNAL).blocks()) == [good]
        assert Journal(tmp_path / JOURNAL).size == 0

    run(body())


def test_what_follows_a_block_is_not_part_of_it(chain_at, run, maker) -> None:
    """Core's decoder passes over it; those who are told of the block, and those who ask for it, get the block."""
    told = []

    class Reader(Listener):
        def block_connected(self, node, contents) -> None:
            told.append(contents.raw)

    async def body():
        blocks = maker.chain(maker.genesis_hash, 1, 3)
        async with chain_at() as chain:
            chain.subscribe(Reader())
            for raw in blocks:
                assert (await chain.submit_block(raw + b"and so on")).reason is None
            assert told == blocks
            assert [await chain.read_block(chain.by_height(height)) for height in (1, 2, 3)] == blocks

    run(body())


def test_the_clock_is_the_kernel_s_too(chain_at, run, maker) -> None:
    async def body():
        clock = Clock(1_600_000_000)
        async with chain_at(clock=clock) as chain:
            block = maker.block(maker.genesis_hash, 1, time=1_600_010_000)
            assert (await chain.submit_block(block)).reason == "time-too-new"
            clock.set_mock(1_600_010_000)
            assert (await chain.submit_block(block)).reason is None
        clock.set_mock(0)

    run(body())


def test_a_longer_fork_wins_and_is_told_as_a_reorganisation(chain_at, run, maker, recorder) -> None:
    async def body():
        async with chain_at() as chain:
            main = maker.chain(maker.genesis_hash, 1, 3, tag=b"main")
            fork = maker.chain(maker.genesis_hash, 1, 4, tag=b"fork")
            await submit_all(chain, main)
            told = recorder(chain)
            chain.subscribe(told)
            for raw in fork[:3]:
                outcome = await chain.submit_block(raw)
                assert (outcome.reason, outcome.accepted, outcome.new) == ("inconclusive", True, True)
            assert sorted(word for _, _, word in chain.tips()) == ["active", "valid-headers"]
            told.events.clear()
            await submit_all(chain, fork[3:])
            assert told.events == [
                ("h", 4), ("-", 3), ("-", 2), ("-", 1), ("+", 1), ("+", 2), ("+", 3), ("+", 4), ("=", 4),
            ]  # fmt: skip
            assert [(node.height, length, word) for node, length, word in chain.tips()] == [
                (4, 0, "active"),
                (3, 3, "valid-fork"),
            ]
            assert await chain.read_block(chain.by_height(2)) == fork[1]
        async with chain_at() as chain:
            assert [(node.height, length, word) for node, length, word in chain.tips()] == [
                (4, 0, "active"),
                (3, 3, "valid-fork"),
            ]

    run(body())


def test_headers_come_first_and_blocks_in_any_order(chain_at, run, maker, recorder) -> None:
    async def body():
        async with chain_at() as chain:
            blocks = maker.chain(maker.genesis_hash, 1, 5)
            told = recorder(chain)
            chain.subscribe(told)
            outcome = await chain.submit_headers([raw[:80] for raw in blocks])
            assert (outcome.new, outcome.reason) == (5, None)
            assert outcome.last is chain.best_header
            assert chain.best_header.height == 5
            assert [word for _, _, word in chain.tips()] == ["headers-only", "active"]
            with pytest.raises(BlockUnavailable):
                await chain.read_block(chain.best_header)
            for raw in reversed(blocks[1:]):
                assert (await chain.submit_block(raw)).reason == "inconclusive"
            await submit_all(chain, blocks[:1])
            assert told.events[:5] == [("h", height) for height in range(1, 6)]
            assert told.events[5:] == [(what, height) for height in range(1, 6) for what in "+="]
            again = await chain.submit_headers([raw[:80] for raw in blocks])
            assert (again.new, again.last) == (0, chain.tip)

    run(body())


def test_a_bad_header_stops_a_run_of_them(chain_at, run, maker) -> None:
    async def body():
        async with chain_at() as chain:
            blocks = maker.chain(maker.genesis_hash, 1, 2)
            good = BlockContents(blocks[1]).block.header.hash
            old = maker.block(good, 3, time=1_296_688_602)
            orphan = maker.block(b"\x05" * 32, 9)
            outcome = await chain.submit_headers([blocks[0][:80], blocks[1][:80], old[:80]])
            assert (outcome.reason, outcome.refused, outcome.new) == ("time-too-old", 2, 2)
            assert outcome.last is not None and outcome.last.height == 2
            outcome = await chain.submit_headers([orphan[:80]])
            assert (outcome.reason, outcome.last) == ("prev-blk-not-found", None)

    run(body())


def test_the_coins_follow_blocks_and_reorganisations(chain_at, run, maker) -> None:
    async def body():
        async with chain_at() as chain:
            blocks = maker.chain(maker.genesis_hash, 1, COINBASE_MATURITY + 1)
            await submit_all(chain, blocks)
            first = coinbase_id(blocks[0])
            coin = chain.coins.get((first, 0))
            assert coin is not None
            assert (coin.tx_out.value, coin.height, coin.is_coinbase) == (50_0000_0000, 1, True)
            split = maker.spend(first, 0, 20_0000_0000, 30_0000_0000)
            onwards = maker.spend(split.id, 1, 30_0000_0000)
            tip = chain.tip
            for base_is_newer in (False, True):
                # The second time round, what is undone is in the copy of the database.
                if base_is_newer:
                    await chain.settle()
                    assert chain.coins.changes == 0
                spending = maker.block(tip.hash, tip.height + 1, split, onwards, tag=b"%d" % base_is_newer)
                await submit_all(chain, [spending])
                if base_is_newer:
                    await chain.settle()
                assert chain.coins.get((first, 0)) is None
                assert chain.coins.get((split.id, 1)) is None
                made = chain.coins.get((onwards.id, 0))
                assert made is not None and not made.is_coinbase and made.height == tip.height + 1
                undo = await chain.read_undo(chain.tip)
                assert [[coin.tx_out.value for coin in coins] for coins in undo] == [[50_0000_0000], [30_0000_0000]]
                fork = maker.chain(tip.hash, tip.height + 1, 2, tag=b"fork%d" % base_is_newer)
                for raw in fork:
                    await chain.submit_block(raw)
                assert chain.coins.get((first, 0)) == coin
                assert chain.coins.get((split.id, 0)) is None
                assert chain.coins.get((onwards.id, 0)) is None
                tip = chain.tip

    run(body())


def test_the_whole_set_s_figures_do_not_depend_on_how_it_is_kept(chain_at, run, maker) -> None:
    async def body():
        async with chain_at() as chain:
            blocks = maker.chain(maker.genesis_hash, 1, COINBASE_MATURITY + 2)
            await submit_all(chain, blocks)
            spending = maker.spend(coinbase_id(blocks[0]), 0, 1, 2, 3)
            await submit_all(chain, [maker.block(chain.tip.hash, chain.height + 1, spending)])
            for kind in ("hash_serialized_3", "muhash", "none"):
                in_memory = await chain.coin_stats(kind)
                await chain.settle()
                on_disk = await chain.coin_stats(kind)
                assert in_memory.digest == on_disk.digest
                assert (in_memory.outputs, in_memory.transactions) == (105, 103)
                assert in_memory.total_amount == on_disk.total_amount == 102 * 50_0000_0000 + 6
                assert (kind == "none") == (on_disk.digest is None)

    run(body())


def test_figures_being_read_survive_a_newer_copy(chain_at, run, maker) -> None:
    async def body():
        async with chain_at() as chain:
            await submit_all(chain, maker.chain(maker.genesis_hash, 1, 30))
            await chain.settle()
            expected = await chain.coin_stats("muhash")
            reading = asyncio.create_task(chain.coin_stats("muhash"))
            await asyncio.sleep(0)
            await chain.settle()
            await submit_all(chain, [maker.block(chain.tip.hash, 31)])
            assert (await reading).digest == expected.digest

    run(body())


def test_a_clean_stop_keeps_all_and_leaves_nothing_behind(chain_at, run, maker, tmp_path: Path) -> None:
    async def body():
        blocks = maker.chain(maker.genesis_hash, 1, 20)
        async with chain_at() as chain:
            await submit_all(chain, blocks[:10])
        assert names(tmp_path) == ["block-journal.dat", "blocks", "chainstate"]
        async with chain_at() as chain:
            assert chain.height == 10
            assert chain.tip.chain_tx_count == 11
            for height, raw in enumerate(blocks[:10], 1):
                assert await chain.read_block(chain.by_height(height)) == raw
            await submit_all(chain, blocks[10:])
            assert all(chain.by_height(height).position is not None for height in range(1, 21))
            assert await chain.read_block(chain.by_height(15)) == blocks[14]

    run(body())


def test_a_start_that_is_broken_off_leaves_the_journal_to_the_next(chain_at, run, maker, tmp_path: Path) -> None:
    """As when a process that was killed is started again, and told to stop while it still opens the chain."""
    journal = Journal(tmp_path / JOURNAL)
    for raw in maker.chain(maker.genesis_hash, 1, 5):
        journal.append(raw, durable=False)
    journal.close()

    async def body():
        opening = asyncio.ensure_future(chain_at().__aenter__())
        while not (tmp_path / "chainstate" / "CURRENT").exists():  # noqa: ASYNC110 (another thread's work)
            await asyncio.sleep(0.001)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        async with chain_at() as chain:
            assert chain.height == 5

    run(body())


def test_blocks_can_be_read_after_each_kind_of_reopening(chain_at, run, maker) -> None:
    async def body():
        async with chain_at() as chain:
            blocks = maker.chain(maker.genesis_hash, 1, 9)
            for raw in blocks:
                await submit_all(chain, [raw])
                if chain.height % 3 == 0:
                    await chain.settle()
            for height, raw in enumerate(blocks, 1):
                assert await chain.read_block(chain.by_height(height)) == raw

    run(body())


def test_the_initial_download_ends_with_a_recent_tip_and_never_comes_back(chain_at, run, maker) -> None:
    async def body():
        clock = Clock(1_600_000_000 + 3 * 86400)
        async with chain_at(clock=clock) as chain:
            assert chain.initial_block_download
            await submit_all(chain, [maker.block(maker.genesis_hash, 1)])
            assert chain.initial_block_download
            recent = maker.block(chain.tip.hash, 2, time=clock.now() - 86400)
            await submit_all(chain, [recent])
            assert not chain.initial_block_download
            clock.set_mock(clock.now() + 86400 * 30)
            await submit_all(chain, [maker.block(chain.tip.hash, 3, time=chain.tip.time + 1)])
            assert not chain.initial_block_download
        clock.set_mock(0)

    run(body())


def test_blocks_are_read_while_all_other_threads_are_held(chain_at, run, maker) -> None:
    """As by the looking up of several peers' names, where nobody answers that."""
    release = threading.Event()

    async def body():
        async with chain_at() as chain:
            blocks = maker.chain(maker.genesis_hash, 1, 2)
            await submit_all(chain, blocks)
            held = [asyncio.ensure_future(asyncio.to_thread(release.wait)) for _ in range(100)]
            try:
                async with asyncio.timeout(30):
                    assert await chain.read_block(chain.tip) == blocks[1]
                    assert await chain.read_part(chain.tip, 0, 80) == blocks[1][:80]
            finally:
                release.set()
                await asyncio.gather(*held)

    run(body())


def test_a_caller_that_is_gone_before_its_figures_are_begun_leaves_no_copy_behind(
    chain_at, run, maker, tmp_path: Path
) -> None:
    release = threading.Event()

    async def body():
        async with chain_at() as chain:
            await submit_all(chain, maker.chain(maker.genesis_hash, 1, 2))
            await chain.settle()
            held = [asyncio.ensure_future(asyncio.to_thread(release.wait)) for _ in range(100)]
            await asyncio.sleep(0)
            asked = asyncio.ensure_future(chain.coin_stats("none"))
            await asyncio.sleep(0)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            release.set()
            await asyncio.gather(*held)
            await asyncio.to_thread(lambda: None)
            await chain.settle()
            assert len(names(tmp_path / "coins-base")) == 1

    run(body())
