"""Fee estimation, by Core's numbers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bitcoind_mp.node.mempool.confirmations import Confirmations, default_buckets
from bitcoind_mp.node.mempool.estimator import NOT_ENOUGH, FeeEstimator, Horizon
from bitcoind_mp.node.mempool.packing import EstimatesDamaged, Reader
from bitcoind_mp.node.mempool.pool import Mempool

Run = Callable[[Any], Any]


def test_buckets_are_cores() -> None:
    buckets = default_buckets()
    assert (buckets[0], buckets[1], buckets[-1]) == (100.0, 105.0, 1e99)
    assert len(buckets) == 237


def test_without_history_there_is_no_answer() -> None:
    estimate = FeeEstimator().smart(6, conservative=False)
    assert (estimate.rate, estimate.blocks, estimate.errors) == (None, 0, [NOT_ENOUGH])


def test_a_target_out_of_range() -> None:
    for target in (0, 1009):
        assert FeeEstimator().smart(target, conservative=False).rate is None


def history(run: Run, mempool: Mempool, money: Any, chain: Any, blocks: int, *, wait: int = 0) -> None:
    """Two rates: the higher confirms in the next block, the lower ``wait`` blocks later."""
    waiting: list[Any] = []
    for height in range(blocks):
        high = [money.spend(fee=2000 + number) for number in range(3)]
        low = [money.spend(fee=500 + number) for number in range(3)]
        for tx in (*high, *low):
            run(mempool.accept(tx))
        waiting.append(low)
        chain.clock.time += 600
        chain.mine(*high, *(waiting[height - wait] if height >= wait else ()))


def test_a_steady_rate_is_the_answer(run: Run, mempool: Mempool, money: Any, chain: Any) -> None:
    history(run, mempool, money, chain, 40)
    estimate = mempool.estimate_fee(6)
    assert estimate.errors == []
    # all confirmed at once: the cheaper will do, 501 sat over 96 vB
    assert estimate.rate == pytest.approx(501_000 / 96, rel=0.06)
    assert estimate.blocks == 6
    assert estimate.reason == "Half Target 60% Threshold"


def test_who_is_in_a_hurry_pays_what_the_hurried_paid(run: Run, mempool: Mempool, money: Any, chain: Any) -> None:
    history(run, mempool, money, chain, 60, wait=8)
    hurried, patient = mempool.estimate_fee(2), mempool.estimate_fee(24)
    assert hurried.rate == pytest.approx(2001_000 / 96, rel=0.06)
    assert patient.rate == pytest.approx(501_000 / 96, rel=0.06)
    conservative = mempool.estimate_fee(2, conservative=True)
    assert conservative.rate is not None
    assert hurried.rate is not None
    assert conservative.rate >= hurried.rate


def test_the_target_is_bounded_by_what_was_seen(run: Run, mempool: Mempool, money: Any, chain: Any) -> None:
    history(run, mempool, money, chain, 22)
    # the first block puts the estimator in step, the second is the first recorded: 20 more allow a target of 10
    assert mempool.estimate_fee(1008).blocks == 10
    assert mempool.estimate_fee(1).blocks == 2


def test_the_mempools_minimum_is_the_least(run: Run, make_mempool: Any, money: Any, chain: Any) -> None:
    mempool = make_mempool(min_relay_fee=5300)
    history(run, mempool, money, chain, 0)
    for _ in range(40):
        tx = money.spend(fee=600)
        run(mempool.accept(tx))
        chain.clock.time += 600
        chain.mine(tx)
    lowered = mempool.estimator.smart(6, conservative=False).rate
    assert lowered is not None
    mempool._minimum.evicted(lowered + 5000)
    estimate = mempool.estimate_fee(6)
    assert (estimate.rate, estimate.reason) == (lowered + 5100, "Mempool Min Fee")


def test_what_teaches_nothing(run: Run, mempool: Mempool, money: Any, chain: Any) -> None:
    """Children of unconfirmed parents, and anything while the node is behind."""
    for _ in range(40):
        parent = money.spend(fee=3000)
        child = money.spend(money.output(parent), fee=9000)
        run(mempool.accept(parent))
        run(mempool.accept(child))
        chain.clock.time += 600
        chain.mine(parent, child)
    rate = mempool.estimate_fee(6).rate
    assert rate == pytest.approx(3000_000 / 96, rel=0.06)


def test_a_node_that_is_behind_learns_nothing(run: Run, mempool: Mempool, money: Any, chain: Any) -> None:
    chain.clock.time += 40 * 3600
    for _ in range(40):
        tx = money.spend(fee=3000)
        run(mempool.accept(tx))
        chain.mine(tx)
    assert mempool.estimate_fee(6).rate is None


def test_failure_counts_against_a_rate(run: Run, mempool: Mempool, money: Any, chain: Any) -> None:
    for _ in range(30):
        point = money.coin()
        run(mempool.accept(money.spend(point, fee=500)))
        steady = money.spend(fee=4000)
        run(mempool.accept(steady))
        chain.clock.time += 600
        chain.mine(steady)
        chain.mine()
        # somebody else's spend confirms instead
        chain.mine(money.spend(point, fee=0))
    rate = mempool.estimate_fee(2).rate
    assert rate == pytest.approx(4000_000 / 96, rel=0.06)


def raw_counts(estimator: FeeEstimator) -> Any:
    return [estimator.raw(target, 0.5, horizon) for horizon in Horizon for target in (1, 2, 6, 12)]


def test_the_file_keeps_it_all(tmp_path: Path, run: Run, make_mempool: Any, money: Any, chain: Any) -> None:
    mempool = make_mempool(tmp_path)
    history(run, mempool, money, chain, 40)
    before = raw_counts(mempool.estimator), mempool.estimate_fee(6)
    run(mempool.close())
    again = FeeEstimator(tmp_path / "fee_estimates.dat")
    assert (raw_counts(again), again.smart(6, conservative=False)) == before


def test_an_old_file_is_not_read(tmp_path: Path, run: Run, make_mempool: Any, money: Any, chain: Any) -> None:
    mempool = make_mempool(tmp_path)
    history(run, mempool, money, chain, 40)
    run(mempool.close())
    path = tmp_path / "fee_estimates.dat"
    written = path.stat().st_mtime
    assert FeeEstimator(path, now=lambda: written + 60 * 3600).smart(6, conservative=False).rate is not None
    assert FeeEstimator(path, now=lambda: written + 60 * 3600 + 1).smart(6, conservative=False).rate is None


@pytest.mark.parametrize("cut", [0, 3, 40, 4000, 100_000])
def test_a_damaged_file_is_as_good_as_none(
    tmp_path: Path, run: Run, make_mempool: Any, money: Any, chain: Any, cut: int
) -> None:
    mempool = make_mempool(tmp_path)
    history(run, mempool, money, chain, 10)
    run(mempool.close())
    path = tmp_path / "fee_estimates.dat"
    data = path.read_bytes()
    path.write_bytes(data[:cut])
    assert FeeEstimator(path).smart(6, conservative=False).rate is None
    assert len(data) > 100_000


@pytest.mark.parametrize("data", [b"", b"\xfd\xff\xff", b"\xfe\x00\x00\x00\x00"])
def test_counts_out_of_range_are_refused(data: bytes) -> None:
    with pytest.raises(EstimatesDamaged):
        Reader(data).row()


def test_the_averages_fade() -> None:
    stats = Confirmations(default_buckets(), 12, 0.5, 1)
    bucket = stats.new(1, 1000.0)
    stats.remove(1, 2, bucket, confirmed=True)
    stats.record(1, 1000.0)
    assert stats.estimate(1, 0.25, 0.5, 2).passed.total_confirmed == 1.0
    stats.block(3)
    assert stats.estimate(1, 0.25, 0.5, 3).passed.total_confirmed == 0.5
