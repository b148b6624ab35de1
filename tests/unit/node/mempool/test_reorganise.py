"""Blocks that come and blocks that go."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from btclib.script.witness import Witness
from btclib.tx import OutPoint, Tx, TxOut

from bitcoind_mp.node.mempool.dump import read_dump
from bitcoind_mp.node.mempool.pool import Mempool
from bitcoind_mp.node.mining.assembler import template

Run = Callable[[Any], Any]


def accept(run: Run, mempool: Mempool, *txs: Tx) -> None:
    for tx in txs:
        run(mempool.accept(tx))


def test_a_block_confirms(run: Run, mempool: Mempool, money: Any, chain: Any, recorder: Any) -> None:
    parent = money.spend(fee=1000)
    child = money.spend(money.output(parent), fee=1000)
    accept(run, mempool, parent, child)
    chain.mine(parent)
    assert recorder.events[2:] == [("block", parent.id)]
    entry = mempool.entry(child.id)
    assert entry is not None
    assert mempool.ancestors(entry) == []
    assert mempool.total_vsize == child.vsize


def test_a_block_rules_out_what_conflicts_with_it(
    run: Run, mempool: Mempool, money: Any, chain: Any, recorder: Any
) -> None:
    point = money.coin()
    ours = money.spend(point, fee=1000)
    child = money.spend(money.output(ours), fee=1000)
    accept(run, mempool, ours, child)
    run(mempool.prioritise(ours.id, 7))
    chain.mine(money.spend(point, fee=5))
    assert set(recorder.events[2:]) == {("conflict", ours.id), ("conflict", child.id)}
    assert mempool.prioritised() == {}


def test_a_block_forgets_its_deltas(run: Run, mempool: Mempool, money: Any, chain: Any) -> None:
    tx = money.spend(fee=1000)
    run(mempool.prioritise(tx.id, 500))
    chain.mine(tx)
    assert mempool.prioritised() == {}


def test_a_disconnected_block_gives_its_transactions_back(
    run: Run, mempool: Mempool, money: Any, chain: Any, recorder: Any
) -> None:
    parent = money.spend(fee=1000)
    child = money.spend(money.output(parent), fee=1000)
    stranger = money.spend(fee=0)
    accept(run, mempool, parent, child)
    chain.mine(parent, stranger)
    grandchild = money.spend(money.output(child), fee=1000)
    accept(run, mempool, grandchild)
    chain.disconnect(finish=True)
    assert set(recorder.events[4:]) == {("back", parent.id), ("back", stranger.id)}
    entry = mempool.entry(parent.id)
    assert entry is not None
    assert entry.sequence == 0
    assert mempool.cluster(entry)[0].entries[0].txid == parent.id
    assert len(mempool.descendants(entry)) == 2


def test_of_many_blocks_called_invalid_the_newest_ten_give_back(
    run: Run, mempool: Mempool, money: Any, chain: Any
) -> None:
    txs = [money.spend(fee=1000) for _ in range(12)]
    for tx in txs:
        chain.mine(tx)
    orphan = money.spend(money.output(txs[1]), fee=1000)
    stays = money.spend(money.output(txs[2]), fee=1000)
    accept(run, mempool, orphan, stays)
    for _ in range(11):
        chain.tip.failed = True
        chain.disconnect()
    chain.finish()
    assert {entry.txid for entry in mempool.entries()} == {stays.id, *(tx.id for tx in txs[2:])}
    # the next time is counted from nothing
    chain.tip.failed = True
    chain.disconnect(finish=True)
    assert mempool.entry(txs[0].id) is not None


def test_a_transaction_in_both_chains_stays_out(run: Run, mempool: Mempool, money: Any, chain: Any) -> None:
    both, lost = money.spend(fee=1000), money.spend(fee=1000)
    accept(run, mempool, both, lost)
    chain.mine(both, lost)
    chain.disconnect()
    chain.mine(both)
    assert both.id not in mempool
    assert lost.id in mempool


def test_what_the_new_chain_conflicts_with_does_not_come_back(
    run: Run, mempool: Mempool, money: Any, chain: Any, recorder: Any
) -> None:
    point = money.coin()
    old, new = money.spend(point, fee=1000), money.spend(point, fee=2000)
    child = money.spend(money.output(old), fee=1000)
    chain.mine(old)
    accept(run, mempool, child)
    chain.disconnect()
    chain.mine(new)
    assert len(mempool) == 0
    assert recorder.events[-1] == ("reorg", child.id)


def test_what_spends_a_vanished_coinbase_goes(run: Run, mempool: Mempool, money: Any, chain: Any) -> None:
    for _ in range(105):
        chain.mine()
    coinbase = chain.by_height(chain.tip.height - 99).transactions[0]
    tx = money.spend(OutPoint(coinbase.id, 0), outputs=[10_000])
    tx.vin[0].script_witness = Witness([b"\x51"])
    accept(run, mempool, tx)
    chain.disconnect(finish=True)
    assert len(mempool) == 0


def test_what_is_no_longer_final_goes(run: Run, mempool: Mempool, money: Any, chain: Any, recorder: Any) -> None:
    by_height = money.spend(fee=1000, lock_time=chain.tip.height)
    by_time = money.spend(fee=1000, lock_time=chain.tip.median_time - 1)
    relative = money.spend(money.coin(height=chain.tip.height), fee=1000, sequence=1)
    free = money.spend(fee=1000)
    accept(run, mempool, by_height, by_time, relative, free)
    chain.disconnect(finish=True)
    gone = {txid for event, txid in recorder.events if event == "reorg"}
    assert gone == {by_height.id, by_time.id, relative.id}


def test_a_nonstandard_transaction_of_a_block_does_not_come_back(
    run: Run, mempool: Mempool, money: Any, chain: Any
) -> None:
    odd = money.spend(outputs=[TxOut(1000, b"\x51")])
    child = money.spend(fee=1000)
    chain.mine(odd)
    accept(run, mempool, child)
    chain.disconnect(finish=True)
    assert odd.id not in mempool
    assert child.id in mempool


def test_clusters_joined_by_a_reorganisation_are_cut_to_size(
    run: Run, mempool: Mempool, money: Any, chain: Any, recorder: Any
) -> None:
    parent = money.spend(outputs=[1_000_000] * 80)
    chain.mine(parent)
    children = [money.spend(money.output(parent, index), fee=1000 + index) for index in range(80)]
    accept(run, mempool, *children)
    chain.disconnect(finish=True)
    assert len(mempool) == 64
    assert parent.id in mempool
    kept = [child.id in mempool for child in children]
    assert kept == [False] * 17 + [True] * 63
    assert sum(event == "sizelimit" for event, _ in recorder.events) == 17


def test_nothing_is_mined_from_a_mempool_between_two_chains(run: Run, mempool: Mempool, money: Any, chain: Any) -> None:
    parent = money.spend(fee=1000)
    chain.mine(parent)
    accept(run, mempool, money.spend(money.output(parent), fee=1000))
    chain.disconnect()
    assert template(chain, mempool).transactions == ()
    chain.finish()
    assert len(template(chain, mempool).transactions) == 2


def test_no_more_is_kept_of_disconnected_blocks_than_fits(run: Run, mempool: Mempool, money: Any, chain: Any) -> None:
    """20 MB, of which the newest go first."""
    old, *filling = (money.spend(fee=100_000, pad=99_000) for _ in range(205))
    chain.mine(old, *filling[:100])
    chain.mine(*filling[100:])
    chain.disconnect()
    chain.disconnect(finish=True)
    assert old.id in mempool
    assert 195 <= len(mempool) <= 202
    assert filling[-1].id not in mempool


@pytest.mark.parametrize("blocks", [1, 3])
def test_a_deep_reorganisation_puts_parents_first(
    run: Run, mempool: Mempool, money: Any, chain: Any, recorder: Any, blocks: int
) -> None:
    tx = money.spend(fee=1000)
    line = []
    for _ in range(blocks):
        chain.mine(tx)
        line.append(tx)
        tx = money.spend(money.output(tx), fee=1000)
    for _ in range(blocks):
        chain.disconnect()
    chain.finish()
    assert [txid for event, txid in recorder.events if event == "back"] == [tx.id for tx in line]


def test_a_long_reorganisation_is_gone_through_bit_by_bit(
    run: Run, make_mempool: Any, money: Any, chain: Any, tmp_path: Path
) -> None:
    """A second's work and more, in which others have turns, blocks come, and the node may be told to stop."""
    mempool: Mempool = make_mempool(tmp_path)
    txs = [money.spend(fee=1000) for _ in range(1400)]
    child = money.spend(money.output(txs[-1]), fee=1000)
    dead = money.spend(txs[-2].vin[0].prev_out, fee=1)

    async def story() -> None:
        await mempool.load()
        chain.mine(*txs)
        await mempool.accept(child)
        chain.disconnect(finish=True)
        back = len(mempool)
        assert 900 < back < 1200
        assert mempool.chunks() == []
        for _ in range(3):
            await asyncio.sleep(0)
        assert back < len(mempool) < len(txs)
        chain.mine(txs[-3], dead)
        await mempool.close()
        assert mempool.chunks() != []
        assert {entry.txid for entry in mempool.entries()} == {child.id, *(tx.id for tx in txs)} - {
            txs[-3].id,
            txs[-2].id,
        }
        entry = mempool.entry(child.id)
        assert entry is not None
        assert [parent.txid for parent in mempool.parents(entry)] == [txs[-1].id]

    run(story())
    assert len(read_dump(tmp_path / "mempool.dat").entries) == len(txs) - 1


def test_nothing_comes_in_while_a_reorganisation_is_gone_through(
    run: Run, mempool: Mempool, money: Any, chain: Any
) -> None:
    """A replacement would put out what has returned, and not what depends on it and isn't tied to it yet."""
    txs = [money.spend(fee=1000) for _ in range(1200)]
    child = money.spend(money.output(txs[0]), fee=1000)
    instead = money.spend(txs[0].vin[0].prev_out, fee=500_000)

    async def story() -> None:
        chain.mine(*txs)
        await mempool.accept(child)
        chain.disconnect(finish=True)
        assert txs[0].id in mempool
        assert len(mempool) < len(txs)
        await mempool.accept(instead)
        assert len(mempool) == len(txs)
        assert txs[0].id not in mempool
        assert child.id not in mempool

    run(story())


def test_what_goes_again_while_a_reorganisation_is_gone_through_takes_its_children_along(
    run: Run, mempool: Mempool, money: Any, chain: Any
) -> None:
    txs = [money.spend(fee=1000) for _ in range(1200)]
    child = money.spend(money.output(txs[0]), fee=1000)
    instead = money.spend(txs[0].vin[0].prev_out, fee=1)

    async def story() -> None:
        chain.mine(*txs)
        await mempool.accept(child)
        chain.disconnect(finish=True)
        assert {txs[0].id, child.id} <= {entry.txid for entry in mempool.entries()}
        assert len(mempool) < len(txs)
        chain.mine(instead)
        assert txs[0].id not in mempool
        assert child.id not in mempool

    run(story())
