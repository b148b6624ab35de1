"""Coin grinder: the lightest set with change. The oracle is exhaustion."""

import itertools
import random

import pytest

from bitcoind_mp.wallet.spend.grinder import select_grinder
from bitcoind_mp.wallet.spend.selection import SelectionError

COIN = 100_000_000
HEAVY = 400_000


def test_too_little_money_has_no_answer(make_pool) -> None:
    assert select_grinder(make_pool([2 * COIN, COIN]), 4 * COIN, COIN, HEAVY) is None
    assert select_grinder([], COIN, 0, HEAVY) is None


def test_an_answer_that_is_too_heavy_is_named_as_the_reason(make_pool) -> None:
    pool = make_pool([3 * COIN] * 10 + [1 * COIN] * 20)
    with pytest.raises(SelectionError, match="exceeds the maximum weight"):
        select_grinder(pool, 45 * COIN, COIN, 4 * 68 * 10)


def test_fewer_and_larger_coins_are_taken(make_pool) -> None:
    pool = make_pool([33 * COIN] * 6 + [i * COIN // 10 for i in range(1, 40)])
    result = select_grinder(pool, 60 * COIN, COIN, HEAVY)
    assert result is not None
    assert [coin.effective_value for coin in result.coins] == [33 * COIN] * 2
    assert result.completed


def test_of_equal_weight_the_lesser_amount_is_taken(make_pool) -> None:
    result = select_grinder(make_pool([7, 5, 4, 3], rate=0), 6, 2, HEAVY)
    assert result is not None
    assert sorted(coin.amount for coin in result.coins) == [3, 5]


def test_a_light_coin_beats_a_large_heavy_one(make_pool) -> None:
    pool = make_pool([4 * COIN, 3 * COIN], vsize=2000) + make_pool([2 * COIN] * 2, vsize=100)
    result = select_grinder(pool, 3 * COIN, COIN, HEAVY)
    assert result is not None
    assert [coin.effective_value for coin in result.coins] == [2 * COIN] * 2


@pytest.mark.parametrize("seed", range(60))
def test_no_subset_is_lighter(make_pool, seed) -> None:
    rng = random.Random(seed)
    pool = [
        group
        for vsize in (58, 68, 68, 148, 300)
        for group in make_pool([rng.choice([10_000, 20_000, rng.randrange(1_000, 60_000)])] * 2, vsize=vsize)
    ]
    target, change = rng.randrange(5_000, 250_000), rng.randrange(0, 20_000)
    keys = [
        (sum(group.weight for group in subset), amount)
        for size in range(1, len(pool) + 1)
        for subset in itertools.combinations(pool, size)
        if (amount := sum(group.amount for group in subset)) >= target + change
    ]
    result = select_grinder(pool, target, change, HEAVY)
    if result is None:
        assert not keys
    else:
        assert (result.weight, result.effective_value) == min(keys)
