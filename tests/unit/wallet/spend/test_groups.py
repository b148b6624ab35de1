"""Groups of coins and the ladder of eligibility."""

import random

import pytest

from bitcoind_mp.wallet.coins import OutputType
from bitcoind_mp.wallet.spend.choose import SelectionParams, change_target, eligibility_ladder, select_coins
from bitcoind_mp.wallet.spend.groups import MAX_GROUP, Eligibility, Group, group_coins
from bitcoind_mp.wallet.spend.selection import Algorithm, Selection, SelectionError, best_of

CENT = 1_000_000
EVERYTHING = Eligibility(0, 0, 99, 99, partial_groups=True)


def params(**changes) -> SelectionParams:
    given = {
        "rng": random.Random(0), "rate": 5_000, "long_term_rate": 10_000, "change_size": 31, "change_fee": 155,
        "cost_of_change": 359, "min_change_target": 50_000, "min_viable_change": 294, "size_without_inputs": 42,
        "max_weight": 400_000,
    }  # fmt: skip
    return SelectionParams(**{**given, **changes})


def amounts(groups) -> list[list[int]]:
    return sorted(sorted(coin.effective_value for coin in group.coins) for group in groups)


def grouped(coins, ladder=(EVERYTHING,), *, subtract_fee=False, avoid_partial=False):
    return group_coins(coins, ladder, subtract_fee=subtract_fee, avoid_partial=avoid_partial)


def test_each_coin_stands_alone_unless_partial_spends_are_avoided(make_coin) -> None:
    coins = [make_coin(n * CENT, script=b"same") for n in (1, 2)] + [make_coin(3 * CENT, script=b"other")]
    assert amounts(grouped(coins).steps[0].everything.mixed) == [[CENT], [2 * CENT], [3 * CENT]]
    together = grouped(coins, avoid_partial=True).steps[0].everything
    assert amounts(together.mixed) == amounts(together.positive) == [[CENT, 2 * CENT], [3 * CENT]]


def test_coins_that_cost_more_than_they_are_worth_are_in_the_mixed_pool_alone(make_coin) -> None:
    coins = [make_coin(-50, script=b"same"), make_coin(CENT, script=b"same")]
    alone = grouped(coins).steps[0].everything
    assert amounts(alone.positive) == [[CENT]]
    assert amounts(alone.mixed) == [[-50], [CENT]]
    together = grouped(coins, avoid_partial=True).steps[0].everything
    assert amounts(together.positive) == [[CENT]]
    assert amounts(together.mixed) == [[-50, CENT]]


def test_types_have_pools_of_their_own(make_coin) -> None:
    coins = [make_coin(CENT, kind=kind) for kind in (*OutputType, None)]
    pools = grouped(coins).steps[0]
    assert set(pools.by_type) == {*OutputType, None}
    assert all(len(pool.positive) == 1 for pool in pools.by_type.values())
    assert len(pools.everything.positive) == 5


def test_a_much_used_address_is_divided_and_its_partial_group_waits(make_coin) -> None:
    coins = [make_coin(CENT, script=b"same") for _ in range(2 * MAX_GROUP + 7)]
    full = Eligibility(0, 0, 99, 99)
    steps = grouped(coins, (full, EVERYTHING), avoid_partial=True).steps
    assert sorted(len(group.coins) for group in steps[0].everything.mixed) == [100, 100]
    assert sorted(len(group.coins) for group in steps[1].everything.mixed) == [7, 100, 100]


def test_a_group_is_as_young_and_as_strange_as_its_worst_coin(make_coin) -> None:
    group = Group(
        (
            make_coin(CENT, depth=9, from_me=True, ancestors=2, cluster=3),
            make_coin(CENT, depth=1, from_me=False, ancestors=1, cluster=7),
        )
    )
    assert (group.depth, group.from_me, group.ancestors, group.cluster) == (1, False, 3, 7)
    assert not Eligibility(0, 2, 9, 9).admits(group)
    assert Eligibility(9, 1, 3, 7).admits(group)
    assert not Eligibility(9, 1, 2, 7).admits(group)
    assert not Eligibility(9, 1, 3, 6).admits(group)


def test_the_ladder_starts_with_what_is_safest() -> None:
    steps = [
        (s.own_depth, s.others_depth, s.max_ancestors, s.partial_groups, s.mix_types)
        for s in eligibility_ladder(params())
    ]
    assert steps == [
        (1, 6, 0, False, False),
        (1, 1, 0, False, True),
        (0, 1, 2, False, True),
        (0, 1, 4, False, True),
        (0, 1, 12, False, True),
        (0, 1, 24, True, True),
    ]
    short = [(s.max_ancestors, s.max_cluster) for s in eligibility_ladder(params(max_ancestors=6, max_cluster=9))]
    assert short == [(0, 0), (0, 0), (2, 2), (2, 3), (3, 4), (5, 8)]
    assert len(eligibility_ladder(params(spend_zero_conf_change=False))) == 2
    assert eligibility_ladder(params(include_unsafe=True))[-1].others_depth == 0
    assert eligibility_ladder(params(reject_long_chains=False))[-1].max_ancestors > 10**9


def test_change_is_random_within_bounds() -> None:
    rng = random.Random(3)
    assert change_target(25_000, 100, rng) == 50_100
    assert all(50_000 <= change_target(40_000, 0, rng) < 80_000 for _ in range(200))
    assert all(50_100 <= change_target(CENT, 100, rng) < 1_000_100 for _ in range(200))
    assert len({change_target(CENT, 0, rng) for _ in range(50)}) > 40


def test_shared_coins_among_results_are_a_bug(make_pool) -> None:
    (group,) = make_pool([CENT])
    one, other = (Selection.of_groups(CENT, Algorithm.SRD, [group]) for _ in range(2))
    with pytest.raises(ValueError, match="Shared UTXOs"):
        one.merge(other)


@pytest.mark.parametrize(
    ("excess", "long_term_rate", "waste"),
    [
        (0, 5_000, 0),
        (0, 2_000, 2 * (340 - 136)),
        (0, 10_000, 2 * (340 - 680)),
        (100, 5_000, 100),
        (449, 5_000, 359),
        (448, 5_000, 448),
    ],
)
def test_waste_is_what_is_spent_now_instead_of_later_and_change_or_excess(
    make_coin, excess, long_term_rate, waste
) -> None:
    coins = [make_coin(CENT, long_term_rate=long_term_rate), make_coin(CENT + excess, long_term_rate=long_term_rate)]
    selection = Selection.of_groups(2 * CENT, Algorithm.KNAPSACK, [Group((coin,)) for coin in coins])
    assert selection.weigh(294, 359, 155) == waste


def test_a_shared_ancestor_is_paid_for_once(make_coin) -> None:
    coins = [make_coin(CENT, bump_fee=1_000, depth=0), make_coin(CENT, bump_fee=1_000, depth=0)]
    selection = Selection.of_groups(2 * CENT, Algorithm.SRD, [Group((coin,)) for coin in coins])
    before = selection.weigh(294, 359, 155)
    selection.bump_discount = 1_000
    assert selection.bump_fees == 1_000
    assert selection.effective_value == 2 * CENT + 1_000
    # less waste by the discount; but what is left over makes change now
    assert selection.weigh(294, 359, 155) == before - 1_000 + 359


def test_of_equal_waste_more_inputs_win(make_pool) -> None:
    one = Selection.of_groups(0, Algorithm.SRD, make_pool([CENT]))
    two = Selection.of_groups(0, Algorithm.SRD, make_pool([CENT, CENT]))
    one.waste = two.waste = 7
    assert best_of([one, two]) is two
    one.waste = 6
    assert best_of([two, one]) is one


class Bumps:
    """The one method of a chain that selection asks for."""

    def __init__(self, together: int = 0) -> None:
        self.together = together

    async def combined_bump_fee(self, outpoints, rate) -> int:
        return self.together


def select(run, available, target, *, preset=(), chain=None, allow_other_inputs=True, **changes):
    asked = params(**changes)
    return run(select_coins(chain or Bumps(), available, preset, target, asked, allow_other_inputs=allow_other_inputs))


def test_branch_and_bound_is_not_asked_where_outputs_pay_the_fee(run, make_coin) -> None:
    coins = [make_coin(CENT, rate=5_000), make_coin(CENT // 2), make_coin(CENT // 2)]
    exact = select(run, coins, CENT)
    assert (exact.algorithm, exact.change(294, 155)) == (Algorithm.BNB, 0)
    assert select(run, coins, CENT, subtract_fee=True).algorithm is not Algorithm.BNB


def test_the_grinder_is_asked_at_three_times_the_long_term_rate(run, make_coin) -> None:
    heavy = [make_coin(5 * CENT, rate=40_000, vsize=1_000), make_coin(4 * CENT, rate=40_000, vsize=58)]
    chosen = {select(run, heavy, CENT, rate=40_000, rng=random.Random(n)).weight for n in range(10)}
    assert chosen == {58 * 4}


def test_a_discount_on_shared_ancestors_is_asked_for(run, make_coin) -> None:
    coins = [make_coin(CENT, depth=0, from_me=True, bump_fee=700, ancestors=1, cluster=1) for _ in range(2)]
    result = select(run, coins, 2 * CENT - 100_000, chain=Bumps(700))
    assert result.bump_fees == 700


def test_coins_of_long_chains_are_left_and_named(run, make_coin) -> None:
    coins = [make_coin(CENT, depth=0, from_me=True, ancestors=25, cluster=25)]
    with pytest.raises(SelectionError, match="creates a chain of transactions that will be rejected by the mempool"):
        select(run, coins, CENT // 2)
    assert select(run, coins, CENT // 2, reject_long_chains=False) is not None


def test_confirmed_coins_go_before_unconfirmed_change(run, make_coin) -> None:
    old, waiting = make_coin(CENT, depth=3), make_coin(CENT, depth=0, from_me=True, ancestors=1, cluster=1)
    for seed in range(10):
        chosen = select(run, [waiting, old], CENT // 2, rng=random.Random(seed))
        assert [coin.outpoint for coin in chosen.coins] == [old.outpoint]
    assert len(select(run, [waiting, old], CENT + CENT // 2).coins) == 2
    assert select(run, [waiting, old], CENT + CENT // 2, spend_zero_conf_change=False) is None


def test_preset_coins_are_counted_at_what_they_are_worth(run, make_coin) -> None:
    nine, one, ten = (make_coin(n * CENT) for n in (9, 1, 10))
    chosen = select(run, [one, ten], 10 * CENT, preset=[nine])
    assert {coin.outpoint for coin in chosen.coins} == {nine.outpoint, one.outpoint}
    assert chosen.algorithm is Algorithm.BNB
    alone = select(run, [one, ten], 8 * CENT, preset=[nine])
    assert ([coin.outpoint for coin in alone.coins], alone.algorithm) == ([nine.outpoint], Algorithm.MANUAL)


def test_weight_can_rule_everything_out(run, make_coin) -> None:
    coins = [make_coin(CENT) for _ in range(10)]
    with pytest.raises(SelectionError, match="The inputs size exceeds the maximum weight"):
        select(run, coins, 5 * CENT, max_weight=1_500)
    with pytest.raises(SelectionError, match="less than transaction weight without inputs"):
        select(run, coins, CENT, max_weight=168)
    with pytest.raises(SelectionError, match="can not accommodate change output"):
        select(run, coins, CENT - 7, max_weight=168 + 100, cost_of_change=0)
    heavy = make_coin(CENT, vsize=20_000)
    with pytest.raises(SelectionError, match="The combination of the pre-selected inputs"):
        select(run, [*coins], 2 * CENT, preset=[heavy], max_weight=80_100)
