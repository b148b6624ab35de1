"""The two random algorithms: what holds whatever the dice say."""

import random

import pytest

from bitcoind_mp.wallet.spend.knapsack import select_knapsack
from bitcoind_mp.wallet.spend.rates import fee_for
from bitcoind_mp.wallet.spend.selection import CHANGE_LOWER, SelectionError
from bitcoind_mp.wallet.spend.srd import select_srd

CENT = 1_000_000
INPUT, OUTPUT = 68, 31
HEAVY = 400_000


@pytest.mark.parametrize("rate", [0, 1, 315, 10_292, 1_500_000])
def test_a_random_draw_leaves_at_least_the_least_change(make_pool, rate) -> None:
    pool = make_pool([CENT, 3 * CENT, 5 * CENT], rate=rate)
    change_fee = fee_for(rate, OUTPUT)
    rng = random.Random(rate)
    for target in (21_000, CENT, 3_125_000, 4 * CENT, 7 * CENT, 9 * CENT - change_fee - CHANGE_LOWER):
        result = select_srd(pool, target, change_fee, rng, HEAVY)
        assert result is not None
        assert result.effective_value >= target + change_fee + CHANGE_LOWER
    for target in (9 * CENT - change_fee - CHANGE_LOWER + 1, 9 * CENT, 9 * CENT + 1):
        assert select_srd(pool, target, change_fee, rng, HEAVY) is None


def test_a_random_draw_drops_the_least_valuable_where_it_grows_too_heavy(make_pool) -> None:
    pool = make_pool([CENT, 3 * CENT, 5 * CENT] + [5 * CENT] * 100 + [7 * CENT] * 3)
    rng = random.Random(1)
    result = select_srd(pool, 20 * CENT, 155, rng, 4 * 4 * (INPUT - 1))
    assert result is not None
    assert sorted(coin.effective_value for coin in result.coins) == [7 * CENT] * 3
    with pytest.raises(SelectionError, match="exceeds the maximum weight"):
        select_srd(pool, 25 * CENT, 155, rng, 4 * 3 * INPUT)


def test_a_random_draw_of_nothing_is_no_answer() -> None:
    assert select_srd([], CENT, 0, random.Random(0), HEAVY) is None


def pick(pool, target, *, change=CENT, seed=0, weight=HEAVY) -> list[int] | None:
    result = select_knapsack(pool, target, change, random.Random(seed), weight)
    return None if result is None else sorted(coin.amount for coin in result.coins)


def cents(make_pool, *amounts: float):
    return make_pool([round(amount * CENT) for amount in amounts], rate=0, long_term_rate=0)


def test_the_knapsack_takes_one_exact_coin(make_pool) -> None:
    assert pick(cents(make_pool, 1, 2, 5, 10, 20), 10 * CENT) == [10 * CENT]


def test_the_knapsack_takes_all_where_all_is_exact(make_pool) -> None:
    assert pick(cents(make_pool, 5, 10, 20), 35 * CENT) == [5 * CENT, 10 * CENT, 20 * CENT]


def test_the_knapsack_has_no_answer_without_money(make_pool) -> None:
    assert pick([], CENT) is None
    assert pick(cents(make_pool, 5, 10), 16 * CENT) is None


@pytest.mark.parametrize("seed", range(20))
def test_the_knapsack_finds_exact_sums_among_few(make_pool, seed) -> None:
    pool = cents(make_pool, 6, 7, 8, 20, 30)
    assert pick(pool, 71 * CENT, seed=seed) == [6 * CENT, 7 * CENT, 8 * CENT, 20 * CENT, 30 * CENT]
    # 6 + 7 + 8 = 21 would do for 16, and the next larger coin, 20, is nearer
    assert pick(pool, 16 * CENT, seed=seed) == [20 * CENT]
    # with a 5 as well, 5 + 6 + 7 = 18 is nearer still
    assert pick(pool + cents(make_pool, 5), 16 * CENT, seed=seed) == [5 * CENT, 6 * CENT, 7 * CENT]
    # and of a tie the single coin wins
    assert pick(pool + cents(make_pool, 5, 18), 16 * CENT, seed=seed) == [18 * CENT]


@pytest.mark.parametrize("seed", range(20))
def test_the_knapsack_avoids_small_change(make_pool, seed) -> None:
    tenths = cents(make_pool, 0.1, 0.2, 0.3, 0.4, 0.5)
    # 1.0 is there to the satoshi
    assert sum(pick(tenths, CENT, seed=seed) or []) == CENT
    # with 1111 too, still no change is better than any
    assert sum(pick(tenths + cents(make_pool, 1111), CENT, seed=seed) or []) == CENT
    # 0.99 of change can't be had from 0.5, 0.6, ...: the large coin is broken rather than leave dust
    assert pick(cents(make_pool, 0.5, 0.6, 0.7, 1111), CENT + 1, change=2 * CENT, seed=seed) == [1111 * CENT]


def test_the_knapsack_minds_the_weight(make_pool) -> None:
    pool = make_pool([CENT] * 20, rate=0, vsize=1000)
    with pytest.raises(SelectionError, match="exceeds the maximum weight"):
        select_knapsack(pool, 15 * CENT, 0, random.Random(0), 10 * 4000)
    larger = make_pool([40 * CENT], rate=0, vsize=68)
    result = select_knapsack(pool + larger, 15 * CENT, 0, random.Random(0), 10 * 4000)
    assert result is not None
    assert [coin.amount for coin in result.coins] == [40 * CENT]


@pytest.mark.parametrize("seed", range(30))
def test_the_knapsack_covers_its_target_within_its_weight(make_pool, seed) -> None:
    rng = random.Random(seed)
    pool = make_pool([rng.randrange(1, 5 * CENT) for _ in range(30)], rate=0)
    target = rng.randrange(1, 60 * CENT)
    result = select_knapsack(pool, target, 50_000, rng, HEAVY)
    if result is None:
        assert sum(group.amount for group in pool) < target
    else:
        assert result.value >= target
        assert result.weight <= HEAVY
