"""Version 3 (BIP431): one unconfirmed parent, one child, small, among themselves."""

from collections.abc import Callable
from typing import Any

import pytest
from btclib.tx import Tx

from bitcoind_mp.node.mempool.pool import Mempool

Why = Callable[[Mempool, Tx], str]
Run = Callable[[Any], Any]


def name(tx: Tx) -> str:
    return f"{tx.id.hex()} (wtxid={tx.hash.hex()})"


@pytest.fixture
def parent(run: Run, mempool: Mempool, money: Any) -> Tx:
    tx: Tx = money.spend(outputs=[40_000_000, 40_000_000], version=3)
    run(mempool.accept(tx))
    return tx


def test_only_version_3_spends_from_it(why: Why, mempool: Mempool, money: Any, parent: Tx) -> None:
    tx = money.spend(money.output(parent), fee=1000)
    assert why(mempool, tx) == (
        f"TRUC-violation, non-version=3 tx {name(tx)} cannot spend from version=3 tx {name(parent)}"
    )


def test_it_spends_from_version_3_only(run: Run, why: Why, mempool: Mempool, money: Any) -> None:
    old = money.spend(fee=1000)
    run(mempool.accept(old))
    tx = money.spend(money.output(old), fee=1000, version=3)
    assert why(mempool, tx) == (
        f"TRUC-violation, version=3 tx {name(tx)} cannot spend from non-version=3 tx {name(old)}"
    )


def test_its_size(why: Why, mempool: Mempool, money: Any, parent: Tx) -> None:
    tx = money.spend(fee=50_000, version=3, pad=10_000)
    assert why(mempool, tx) == (f"TRUC-violation, version=3 tx {name(tx)} is too big: {tx.vsize} > 10000 virtual bytes")
    child = money.spend(money.output(parent), fee=50_000, version=3, pad=1000)
    assert why(mempool, child) == (
        f"TRUC-violation, version=3 child tx {name(child)} is too big: {child.vsize} > 1000 virtual bytes"
    )


def test_one_parent(run: Run, why: Why, mempool: Mempool, money: Any, parent: Tx) -> None:
    other = money.spend(fee=1000, version=3)
    run(mempool.accept(other))
    tx = money.spend(money.output(parent), money.output(other), fee=1000, version=3)
    assert why(mempool, tx) == f"TRUC-violation, tx {name(tx)} would have too many ancestors"


def test_no_grandparent(run: Run, why: Why, mempool: Mempool, money: Any, parent: Tx) -> None:
    child = money.spend(money.output(parent), fee=1000, version=3)
    run(mempool.accept(child))
    tx = money.spend(money.output(child), fee=1000, version=3)
    assert why(mempool, tx) == f"TRUC-violation, tx {name(tx)} would have too many ancestors"


def test_a_second_child_may_take_the_place_of_the_first(
    run: Run, why: Why, mempool: Mempool, money: Any, parent: Tx
) -> None:
    first = money.spend(money.output(parent, 0), fee=1000, version=3)
    run(mempool.accept(first))
    poor = money.spend(money.output(parent, 1), fee=900, version=3)
    assert why(mempool, poor).startswith(
        f"insufficient fee (including sibling eviction), rejecting replacement {poor.id.hex()}"
    )
    rich = run(mempool.accept(money.spend(money.output(parent, 1), fee=3000, version=3)))
    assert rich.replaced == (first.id,)


def test_in_a_package_no_sibling_is_evicted(run: Run, mempool: Mempool, money: Any, parent: Tx) -> None:
    run(mempool.accept(money.spend(money.output(parent, 0), fee=1000, version=3)))
    second = money.spend(money.output(parent, 1), fee=3000, version=3)
    unrelated = money.spend(fee=1000)
    result = run(mempool.test([unrelated, second]))
    assert str(result.results[1].rejected) == (f"TRUC-violation, tx {name(parent)} would exceed descendant count limit")


@pytest.mark.parametrize(
    ("versions", "words"),
    [
        ((3, 2), "non-version=3 tx {child} cannot spend from version=3 tx {parent}"),
        ((2, 3), "version=3 tx {child} cannot spend from non-version=3 tx {parent}"),
    ],
)
def test_inheritance_within_a_package(
    run: Run, mempool: Mempool, money: Any, versions: tuple[int, int], words: str
) -> None:
    parent = money.spend(fee=1000, version=versions[0])
    child = money.spend(money.output(parent), fee=1000, version=versions[1])
    result = run(mempool.test([parent, child]))
    assert result.package_policy
    assert result.package_message == "TRUC-violation, " + words.format(child=name(child), parent=name(parent))


def test_two_children_in_a_package(run: Run, mempool: Mempool, money: Any) -> None:
    parent = money.spend(outputs=[40_000_000, 40_000_000], version=3)
    children = [money.spend(money.output(parent, index), fee=1000, version=3) for index in (0, 1)]
    result = run(mempool.test([parent, *children]))
    assert result.package_message == f"TRUC-violation, tx {name(parent)} would exceed descendant count limit"


def test_three_generations_in_a_package(run: Run, mempool: Mempool, money: Any) -> None:
    first = money.spend(fee=1000, version=3)
    second = money.spend(money.output(first), fee=1000, version=3)
    third = money.spend(money.output(second), fee=1000, version=3)
    result = run(mempool.test([first, second, third]))
    assert result.package_message == f"TRUC-violation, tx {name(third)} would have too many ancestors"


def test_a_child_too_big_in_a_package(run: Run, mempool: Mempool, money: Any) -> None:
    parent = money.spend(fee=1000, version=3)
    child = money.spend(money.output(parent), fee=50_000, version=3, pad=1000)
    result = run(mempool.test([parent, child]))
    assert result.package_message.startswith(f"TRUC-violation, version=3 child tx {name(child)} is too big")
