"""Room and age: eviction by chunk, the minimum that follows it, expiry."""

from collections.abc import Callable
from typing import Any

import pytest

from bitcoind_mp.node.mempool.minimum import HALF_LIFE, MinimumFee
from bitcoind_mp.node.mempool.policy import MempoolPolicy
from bitcoind_mp.node.mempool.pool import Mempool
from bitcoind_mp.node.mempool.rejected import Kind, Rejected

Run = Callable[[Any], Any]
HOUR = 3600


@pytest.fixture
def small(make_mempool: Any) -> Mempool:
    """Room for about ten small transactions."""
    mempool: Mempool = make_mempool(max_size=12_000)
    return mempool


def test_the_worst_chunk_goes(run: Run, small: Mempool, money: Any) -> None:
    txs = [money.spend(fee=1000 + 100 * number) for number in range(15)]
    for tx in txs:
        run(small.accept(tx))
    assert small.usage <= 12_000
    kept = [tx.id in small for tx in txs]
    assert kept == sorted(kept)
    assert kept.count(False) >= 3


def test_a_parent_goes_with_the_child_that_pays_for_it_too_little(run: Run, small: Mempool, money: Any) -> None:
    parent = money.spend(fee=500)
    child = money.spend(money.output(parent), fee=500)
    run(small.accept(parent))
    run(small.accept(child))
    for number in range(12):
        run(small.accept(money.spend(fee=9000 + 100 * number)))
    assert parent.id not in small
    assert child.id not in small


def test_one_that_pays_least_itself_is_told_that_it_is_full(run: Run, small: Mempool, money: Any) -> None:
    while True:
        before = small.min_fee_rate()
        run(small.accept(money.spend(fee=9000)))
        if small.usage > 10_500:
            break
    assert before == 100
    with pytest.raises(Rejected) as refused:
        run(small.accept(money.spend(fee=200)))
    assert (str(refused.value), refused.value.kind) == ("mempool full", Kind.RECONSIDERABLE)


def test_after_an_eviction_more_is_asked_for(run: Run, small: Mempool, money: Any, chain: Any) -> None:
    for number in range(15):
        run(small.accept(money.spend(fee=1000 + 100 * number)))
    rate = small.min_fee_rate()
    assert rate > 10_000
    tx = money.spend(fee=500)
    with pytest.raises(Rejected) as refused:
        run(small.accept(tx))
    assert str(refused.value) == f"mempool min fee not met, 500 < {-(-rate * tx.vsize // 1000)}"
    chain.mine()
    chain.clock.time += 24 * HOUR
    assert small.min_fee_rate() < rate


def test_the_minimum_falls_only_after_a_block() -> None:
    minimum = MinimumFee(MempoolPolicy(max_size=1000))
    minimum.evicted(10_000)
    assert minimum.rate(10**9, 1000) == 10_100
    minimum.block(10**9)
    assert minimum.rate(10**9 + 5, 1000) == 10_100
    assert minimum.rate(10**9 + HALF_LIFE, 1000) == 5050


@pytest.mark.parametrize(("usage", "rate"), [(1000, 5050), (499, 2525), (249, 631)])
def test_the_emptier_the_faster(usage: int, rate: int) -> None:
    minimum = MinimumFee(MempoolPolicy(max_size=1000))
    minimum.evicted(10_000)
    minimum.block(0)
    assert minimum.rate(HALF_LIFE, usage) == rate


def test_below_half_the_increment_it_is_nothing() -> None:
    minimum = MinimumFee(MempoolPolicy(max_size=1000))
    minimum.evicted(10_000)
    minimum.block(0)
    assert minimum.rate(7 * HALF_LIFE, 1000) == 100
    assert minimum.rate(8 * HALF_LIFE, 1000) == 0


def test_two_weeks_are_enough(run: Run, mempool: Mempool, money: Any, chain: Any, recorder: Any) -> None:
    old = money.spend(fee=1000)
    run(mempool.accept(old))
    chain.clock.time += 100 * HOUR
    child = money.spend(money.output(old), fee=1000)
    run(mempool.accept(child))
    other = money.spend(fee=1000)
    run(mempool.accept(other))
    chain.clock.time += 236 * HOUR
    run(mempool.accept(money.spend(fee=1000)))
    assert old.id in mempool
    chain.clock.time += 1
    last = money.spend(fee=1000)
    run(mempool.accept(last))
    assert {event for event in recorder.events if event[0] != "+"} == {("expiry", old.id), ("expiry", child.id)}
    assert other.id in mempool


def test_what_has_left_is_forgotten_though_it_is_not_old(run: Run, make_mempool: Any, money: Any, chain: Any) -> None:
    """In the two weeks of -mempoolexpiry millions come and go."""
    mempool: Mempool = make_mempool()
    stays = money.spend(fee=1000)
    run(mempool.accept(stays))
    for _ in range(5):
        txs = [money.spend(fee=1000) for _ in range(300)]
        for tx in txs:
            run(mempool.accept(tx))
        chain.mine(*txs)
    assert len(mempool._limits._by_age) < 1500
    chain.clock.time += mempool.policy.expiry + HOUR
    run(mempool.accept(money.spend(fee=1000)))
    assert stays.id not in mempool
