"""Replacement: what it must pay, and what Core says where it doesn't."""

from collections.abc import Callable
from typing import Any

import pytest
from btclib.tx import Tx

from bitcoind_mp.node.mempool.pool import Mempool

Why = Callable[[Mempool, Tx], str]
Run = Callable[[Any], Any]


def test_a_replacement_evicts_what_it_conflicts_with_and_all_that_depends_on_it(
    run: Run, mempool: Mempool, money: Any, recorder: Any
) -> None:
    point = money.coin()
    old = money.spend(point, fee=1000)
    child = money.spend(money.output(old), fee=1000)
    new = money.spend(point, fee=5000)
    run(mempool.accept(old))
    run(mempool.accept(child))
    accepted = run(mempool.accept(new))
    assert accepted.replaced == (old.id, child.id)
    assert set(recorder.events[2:4]) == {("replaced", old.id), ("replaced", child.id)}
    assert recorder.events[4] == ("+", new.id)
    assert mempool.spender((point.tx_id, 0)) == new.id


def test_it_needs_no_signal(run: Run, why: Why, mempool: Mempool, money: Any) -> None:
    point = money.coin()
    run(mempool.accept(money.spend(point, fee=1000, sequence=0xFFFFFFFF)))
    assert why(mempool, money.spend(point, fee=5000, sequence=0xFFFFFFFF)) == ""


def test_it_pays_no_less(run: Run, why: Why, mempool: Mempool, money: Any) -> None:
    point = money.coin()
    run(mempool.accept(money.spend(point, fee=1000)))
    new = money.spend(point, fee=999)
    assert why(mempool, new) == (
        f"insufficient fee, rejecting replacement {new.id.hex()}, less fees than conflicting txs; 0.00000999 < 0.00001"
    )


def test_it_pays_for_its_own_relay(run: Run, why: Why, mempool: Mempool, money: Any) -> None:
    point = money.coin()
    run(mempool.accept(money.spend(point, fee=1000)))
    new = money.spend(point, fee=1005)
    assert why(mempool, new) == (
        f"insufficient fee, rejecting replacement {new.id.hex()}, not enough additional fees to relay; "
        "0.00000005 < 0.0000001"
    )
    assert why(mempool, money.spend(point, fee=1010)) == ""


def test_prioritised_fees_count(run: Run, why: Why, mempool: Mempool, money: Any) -> None:
    point = money.coin()
    old, new = money.spend(point, fee=1000), money.spend(point, fee=1200)
    run(mempool.accept(old))
    run(mempool.prioritise(old.id, 5000))
    assert why(mempool, new).startswith("insufficient fee")
    run(mempool.prioritise(new.id, 6000))
    assert why(mempool, new) == ""


def test_it_improves_the_diagram(run: Run, why: Why, mempool: Mempool, money: Any) -> None:
    """More fees at a lower rate leave the best blocks worse off."""
    point = money.coin()
    run(mempool.accept(money.spend(point, fee=5000)))
    assert why(mempool, money.spend(point, fee=9000, pad=3000)) == (
        "replacement-failed, insufficient feerate: does not improve feerate diagram"
    )
    assert why(mempool, money.spend(point, fee=9000)) == ""


def test_it_does_not_spend_from_what_it_replaces(run: Run, why: Why, mempool: Mempool, money: Any) -> None:
    point = money.coin()
    old = money.spend(point, fee=1000)
    run(mempool.accept(old))
    new = money.spend(point, money.output(old), fee=100_000)
    assert why(mempool, new) == (
        f"bad-txns-spends-conflicting-tx, {new.id.hex()} spends conflicting transaction {old.id.hex()}"
    )


def test_it_replaces_no_more_than_a_hundred_clusters(run: Run, why: Why, mempool: Mempool, money: Any) -> None:
    points = [money.coin() for _ in range(101)]
    for point in points:
        run(mempool.accept(money.spend(point, fee=100)))
    new = money.spend(*points, fee=1_000_000)
    assert why(mempool, new) == (
        f"too many potential replacements, rejecting replacement {new.id.hex()}; "
        "too many conflicting clusters (101 > 100)"
    )
    assert why(mempool, money.spend(*points[:100], fee=1_000_000)) == ""


def test_it_keeps_the_cluster_limits(run: Run, why: Why, make_mempool: Any, money: Any) -> None:
    mempool = make_mempool(cluster_count=2)
    parent = money.spend(outputs=[10_000_000, 10_000_000])
    run(mempool.accept(parent))
    child = money.spend(money.output(parent, 0), fee=1000)
    run(mempool.accept(child))
    other = money.coin()
    run(mempool.accept(money.spend(other, fee=1000)))
    # replaces a cluster of its own and would be a third in the other
    assert why(mempool, money.spend(money.output(parent, 1), other, fee=90_000)) == "too-large-cluster"


@pytest.mark.parametrize("fee", [1000, 2000])
def test_a_refused_replacement_changes_nothing(run: Run, why: Why, mempool: Mempool, money: Any, fee: int) -> None:
    point = money.coin()
    old = money.spend(point, fee=2000)
    run(mempool.accept(old))
    before = mempool.sequence
    assert why(mempool, money.spend(point, fee=fee, version=1)).startswith("insufficient fee")
    assert mempool.sequence == before
    assert old.id in mempool
