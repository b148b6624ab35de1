"""What unconfirmed ancestors lack: the cases of Core's ``miniminer_tests.cpp`` in small."""

from collections.abc import Callable
from typing import Any

import pytest
from btclib.tx import Tx

from bitcoind_mp.node.mempool.pool import Mempool

Run = Callable[[Any], Any]


@pytest.fixture
def pool(make_mempool: Any) -> Mempool:
    mempool: Mempool = make_mempool(min_relay_fee=0)
    return mempool


def point(tx: Tx, index: int = 0) -> tuple[bytes, int]:
    return tx.id, index


def due(rate: int, *txs: Tx) -> int:
    """At sat/kvB."""
    return -(-rate * sum(tx.vsize for tx in txs) // 1000)


def test_nothing_is_due_for_what_is_confirmed_or_unknown(pool: Mempool, money: Any) -> None:
    coin = money.coin()
    assert pool.bump_fees([(coin.tx_id, 0), (b"\x09" * 32, 1)], 5000) == [0, 0]
    assert pool.combined_bump_fee([(coin.tx_id, 0)], 5000) == 0


def test_a_transaction_lacks_what_its_rate_lacks(run: Run, pool: Mempool, money: Any) -> None:
    tx = money.spend(fee=100)
    run(pool.accept(tx))
    assert pool.bump_fees([point(tx)], 10_000) == [due(10_000, tx) - 100]
    assert pool.bump_fees([point(tx)], 500) == [0]


def test_ancestors_are_paid_for_too(run: Run, pool: Mempool, money: Any) -> None:
    parent = money.spend(fee=0)
    child = money.spend(money.output(parent), fee=300)
    run(pool.accept(parent))
    run(pool.accept(child))
    assert pool.bump_fees([point(child)], 10_000) == [due(10_000, parent, child) - 300]


def test_a_parent_that_pays_enough_is_not(run: Run, pool: Mempool, money: Any) -> None:
    parent = money.spend(fee=50_000)
    child = money.spend(money.output(parent), fee=300)
    run(pool.accept(parent))
    run(pool.accept(child))
    assert pool.bump_fees([point(child)], 10_000) == [due(10_000, child) - 300]


def test_a_child_may_have_paid_already(run: Run, pool: Mempool, money: Any) -> None:
    parent = money.spend(outputs=[50_000_000, 50_000_000])
    child = money.spend(money.output(parent, 0), fee=50_000)
    run(pool.accept(parent))
    run(pool.accept(child))
    assert pool.bump_fees([point(parent, 1)], 10_000) == [0]
    assert pool.bump_fees([point(parent, 1)], 1_000_000)[0] > 0


def test_a_child_to_be_replaced_pays_for_nothing(run: Run, pool: Mempool, money: Any) -> None:
    """An output that is spent is asked about to spend it otherwise."""
    parent = money.spend(outputs=[50_000_000, 50_000_000])
    child = money.spend(money.output(parent, 0), fee=50_000)
    run(pool.accept(parent))
    run(pool.accept(child))
    assert pool.bump_fees([point(parent, 0)], 10_000) == [due(10_000, parent)]
    assert pool.bump_fees([point(parent, 0), point(child)], 10_000) == [due(10_000, parent), 0]


def test_shared_ancestors_are_counted_once_together(run: Run, pool: Mempool, money: Any) -> None:
    parent = money.spend(outputs=[50_000_000, 50_000_000])
    children = [money.spend(money.output(parent, index), fee=200) for index in (0, 1)]
    for tx in (parent, *children):
        run(pool.accept(tx))
    points = [point(child) for child in children]
    assert pool.bump_fees(points, 10_000) == [due(10_000, parent, child) - 200 for child in children]
    assert pool.combined_bump_fee(points, 10_000) == due(10_000, parent, *children) - 400


def test_it_must_be_worth_mining_by_itself(run: Run, pool: Mempool, money: Any) -> None:
    """A low child of parents that pay well and a grandparent that doesn't: the greater of two lacks is due."""
    grandparent = money.spend(outputs=[30_000_000, 30_000_000], pad=1000)
    first = money.spend(money.output(grandparent, 0), fee=17_000)
    second = money.spend(money.output(grandparent, 1), fee=3_000)
    child = money.spend(money.output(first), money.output(second), fee=900)
    grandparent.vout[0] = grandparent.vout[0]
    for tx in (grandparent, first, second, child):
        run(pool.accept(tx))
    rate = 12_000
    assert pool.bump_fees([point(child)], rate)[0] >= due(rate, child) - 900


def test_too_many_to_say(run: Run, pool: Mempool, money: Any) -> None:
    points = []
    for _ in range(8):
        parent = money.spend(outputs=[1_000_000] * 63)
        run(pool.accept(parent))
        for index in range(63):
            run(pool.accept(money.spend(money.output(parent, index), fee=100)))
        points.append(point(parent))
    assert pool.combined_bump_fee(points, 100_000) is None
    assert pool.bump_fees(points, 100_000) == [0] * 8
    assert pool.combined_bump_fee(points[:7], 10**9) is not None
