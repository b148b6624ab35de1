"""Branch and bound. The facts are those that Core's ``coinselection_tests.cpp`` states; the oracle is exhaustion."""

import itertools
import random

import pytest

from bitcoind_mp.wallet.spend.bnb import select_bnb
from bitcoind_mp.wallet.spend.groups import Group
from bitcoind_mp.wallet.spend.rates import fee_for
from bitcoind_mp.wallet.spend.selection import TOO_HEAVY, Selection, SelectionError

CENT = 1_000_000
INPUT, OUTPUT = 68, 31
RATES = [0, 1, 99, 100, 315, 1000, 2345, 10_292, 59_764, 1_500_000]
HEAVY = 400_000


def cost_of_change(rate: int) -> int:
    return fee_for(3000, INPUT) + fee_for(rate, OUTPUT)


def worths(result: Selection | None) -> list[int] | None:
    return None if result is None else sorted(coin.effective_value for coin in result.coins)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (1 * CENT, [1]),
        (3 * CENT, [3]),
        (5 * CENT, [5]),
        (4 * CENT, [1, 3]),
        (9 * CENT, [1, 3, 5]),
        (CENT // 2, None),
        (7 * CENT, None),
        (10 * CENT, None),
    ],
)
def test_an_exact_match_is_found_at_any_rate(make_pool, rate, target, expected) -> None:
    pool = make_pool([CENT, 3 * CENT, 5 * CENT], rate=rate)
    result = select_bnb(pool, target, cost_of_change(rate), HEAVY)
    assert worths(result) == (None if expected is None else [value * CENT for value in expected])


@pytest.mark.parametrize("rate", RATES)
def test_the_range_ends_at_the_cost_of_change(make_pool, rate) -> None:
    pool = make_pool([CENT, 3 * CENT, 5 * CENT], rate=rate)
    cost = cost_of_change(rate)
    assert worths(select_bnb(pool, 4 * CENT - cost, cost, HEAVY)) == [CENT, 3 * CENT]
    assert select_bnb(pool, 4 * CENT - cost - 1, cost, HEAVY) is None


def test_an_empty_pool_has_no_answer() -> None:
    assert select_bnb([], CENT, 100, HEAVY) is None


def test_a_match_that_is_too_heavy_is_named_as_the_reason(make_pool) -> None:
    pool = make_pool([CENT, 3 * CENT, 5 * CENT])
    assert select_bnb(pool, 4 * CENT, 359, 4 * 2 * INPUT) is not None
    with pytest.raises(SelectionError, match="exceeds the maximum weight") as caught:
        select_bnb(pool, 4 * CENT, 359, 4 * 2 * INPUT - 1)
    assert str(caught.value) == TOO_HEAVY


def test_equal_coins_are_searched_once(make_pool) -> None:
    pool = make_pool([2 * CENT, 7 * CENT, 7 * CENT] + [5 * CENT] * 5000)
    assert worths(select_bnb(pool, 16 * CENT, 359, HEAVY)) == [2 * CENT, 7 * CENT, 7 * CENT]


@pytest.mark.parametrize("rate", [0, 5000, 59_764])
def test_the_search_gives_up_after_its_tries(make_pool, rate) -> None:
    cost = cost_of_change(rate)
    small = [CENT + i for i in range(8)]
    large = [CENT + cost + i for i in range(8, 17)]
    assert worths(select_bnb(make_pool(small + large, rate=rate), 8 * CENT, cost, HEAVY)) == small
    one_more = make_pool([*small, *large, CENT + cost + 17], rate=rate)
    assert select_bnb(one_more, 8 * CENT, cost, HEAVY) is None


def test_low_rates_take_many_inputs_and_high_rates_few(make_pool) -> None:
    amounts = [2 * CENT, 3 * CENT, 5 * CENT, 10 * CENT]
    low, high = make_pool(amounts), make_pool(amounts, rate=25_000)
    assert worths(select_bnb(low, 10 * CENT, 359, HEAVY)) == [2 * CENT, 3 * CENT, 5 * CENT]
    assert worths(select_bnb(high, 10 * CENT, cost_of_change(25_000), HEAVY)) == [10 * CENT]
    low += make_pool([6 * CENT, 7 * CENT], vsize=500)
    high += make_pool([6 * CENT, 7 * CENT], vsize=500, rate=25_000)
    assert worths(select_bnb(low, 13 * CENT, 359, HEAVY)) == [6 * CENT, 7 * CENT]
    assert worths(select_bnb(high, 13 * CENT, cost_of_change(25_000), HEAVY)) == [3 * CENT, 10 * CENT]


def exhaustive(pool: list[Group], target: int, cost: int) -> int | None:
    """The least waste over every subset whose amount is within the range."""
    wastes = [
        sum(group.waste for group in subset) + amount - target
        for size in range(1, len(pool) + 1)
        for subset in itertools.combinations(pool, size)
        if target <= (amount := sum(group.amount for group in subset)) <= target + cost
    ]
    return min(wastes, default=None)


@pytest.mark.parametrize("seed", range(60))
def test_no_subset_beats_the_answer(make_pool, seed) -> None:
    """Above the long-term rate the search is complete; below, it doesn't go deeper than the first that suffices."""
    rng = random.Random(seed)
    rate = rng.choice([12_000, 25_000, 100_000])
    cost = cost_of_change(rate)
    pool = [
        group
        for vsize in (58, INPUT, 148)
        for group in make_pool([rng.randrange(1_000, 60_000) for _ in range(3)], rate=rate, vsize=vsize)
    ]
    target = rng.randrange(5_000, 200_000)
    result = select_bnb(pool, target, cost, HEAVY)
    least = exhaustive(pool, target, cost)
    if result is None:
        assert least is None
    else:
        assert target <= result.effective_value <= target + cost
        assert result.waste == least
