"""Choosing coins: the algorithms compared by waste, address types kept apart first, and the ladder of eligibility.

Core's ``ChooseSelectionResult``, ``AttemptSelection``, ``AutomaticCoinSelection`` and ``SelectCoins``
(``src/wallet/spend.cpp``). What doesn't belong: where the coins come from, and what is built from the answer.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bitcoind_mp.interfaces.chain import Chain

from .bnb import select_bnb
from .candidates import Candidate, total_amount, type_order
from .grinder import select_grinder
from .groups import MAX_GROUP, Eligibility, Pool, TypedPools, group_coins
from .knapsack import select_knapsack
from .limits import TRUC_CHILD_MAX_WEIGHT, TRUC_VERSION
from .rates import SCALE
from .selection import CHANGE_LOWER, CHANGE_UPPER, Selection, SelectionError, best_of
from .srd import select_srd

LONG_CHAIN = (
    "Unconfirmed UTXOs are available, "
    "but spending them creates a chain of transactions that will be rejected by the mempool"
)
PRESET_SHORT = (
    "The preselected coins total amount does not cover the transaction target. "
    "Please allow other inputs to be automatically selected or include more coins manually"
)
PRESET_HEAVY = (
    "The combination of the pre-selected inputs and the wallet automatic inputs selection "
    "exceeds the transaction maximum weight. "
    "Please try sending a smaller amount or manually consolidating your wallet's UTXOs"
)


@dataclass(frozen=True)
class SelectionParams:
    """What one transaction asks of its coins (``CoinSelectionParams``). Rates in sat/kvB, sizes in virtual bytes."""

    rng: random.Random
    rate: int
    long_term_rate: int
    change_size: int
    change_fee: int
    cost_of_change: int
    min_change_target: int
    min_viable_change: int
    size_without_inputs: int
    max_weight: int
    subtract_fee: bool = False
    avoid_partial_spends: bool = False
    include_unsafe: bool = False
    spend_zero_conf_change: bool = True
    reject_long_chains: bool = True
    max_ancestors: int = 25
    max_cluster: int = 25
    version: int = 2


def change_target(payment: int, change_fee: int, rng: random.Random) -> int:
    """A random amount of change to aim at, so that it isn't known by its size (``GenerateChangeTarget``).

    From `CHANGE_LOWER` to the lesser of twice the average payment and `CHANGE_UPPER`, the change's own fee added.
    """
    if payment <= CHANGE_LOWER // 2:
        return change_fee + CHANGE_LOWER
    upper = min(payment * 2, CHANGE_UPPER)
    return change_fee + rng.randrange(upper - CHANGE_LOWER) + CHANGE_LOWER


def eligibility_ladder(params: SelectionParams) -> list[Eligibility]:
    """Which coins are tried, the safest and most private first."""
    ladder = [Eligibility(1, 6, 0, 0, mix_types=False), Eligibility(1, 1, 0, 0)]
    if params.spend_zero_conf_change:
        ancestors, cluster = params.max_ancestors, params.max_cluster
        ladder += [
            Eligibility(0, 1, 2, 2),
            Eligibility(0, 1, min(4, ancestors // 3), min(4, cluster // 3)),
            Eligibility(0, 1, ancestors // 2, cluster // 2),
            Eligibility(0, 1, ancestors - 1, cluster - 1, partial_groups=True),
        ]
        if params.include_unsafe:
            ladder.append(Eligibility(0, 0, ancestors - 1, cluster - 1, partial_groups=True))
        if not params.reject_long_chains:
            ladder.append(Eligibility(0, 1, 1 << 62, 1 << 62, partial_groups=True))
    return ladder


async def select_coins(
    chain: Chain,
    available: Sequence[Candidate],
    preset: Sequence[Candidate],
    target: int,
    params: SelectionParams,
    *,
    allow_other_inputs: bool = True,
) -> Selection | None:
    """Coins for ``target`` satoshis, all of ``preset`` among them; None where the funds don't suffice.

    Raises:
        SelectionError: for a reason a person should read.
    """
    missing = target - total_amount(preset, params.subtract_fee)
    if not allow_other_inputs and missing > 0:
        raise SelectionError(PRESET_SHORT)
    costs = (params.min_viable_change, params.cost_of_change, params.change_fee)
    if missing <= 0:
        result = Selection.of_coins(target, preset, subtract_fee=params.subtract_fee)
        result.weigh(*costs)
        return result
    if missing > total_amount(available, params.subtract_fee):
        return None
    found = await _automatic(chain, list(available), missing, params)
    if found is not None and preset:
        worth = total_amount(preset, params.subtract_fee)
        found.merge(Selection.of_coins(worth, preset, subtract_fee=params.subtract_fee))
        found.weigh(*costs)
        if found.weight > params.max_weight - params.size_without_inputs * SCALE:
            raise SelectionError(PRESET_HEAVY)
    return found


async def _automatic(
    chain: Chain, available: list[Candidate], target: int, params: SelectionParams
) -> Selection | None:
    if params.avoid_partial_spends and len(available) > MAX_GROUP:
        # Which coins of a much used address end up together should tell nothing.
        params.rng.shuffle(available)
    ladder = eligibility_ladder(params)
    grouped = group_coins(
        available, ladder, subtract_fee=params.subtract_fee, avoid_partial=params.avoid_partial_spends
    )
    eligible = sum(coin.amount for coin in available) - sum(group.amount for group in grouped.discarded)
    if eligible < target:
        chained = (
            group.amount
            for group in grouped.discarded
            if group.ancestors >= params.max_ancestors or group.cluster >= params.max_cluster
        )
        if eligible + sum(chained) > target:
            raise SelectionError(LONG_CHAIN)
        return None
    reasons: list[SelectionError] = []
    max_weight = params.max_weight
    for step, pools in zip(ladder, grouped.steps, strict=True):
        if not pools.by_type:
            continue
        if params.version == TRUC_VERSION and 0 in (step.own_depth, step.others_depth):
            max_weight = min(max_weight, TRUC_CHILD_MAX_WEIGHT)
        try:
            found = await _attempt(chain, target, pools, params, max_weight, mix_types=step.mix_types)
        except SelectionError as reason:
            reasons.append(reason)
            continue
        if found is not None:
            return found
    if reasons:
        raise reasons[0]
    return None


async def _attempt(
    chain: Chain, target: int, pools: TypedPools, params: SelectionParams, max_weight: int, *, mix_types: bool
) -> Selection | None:
    """Coins of one address type where they suffice: spending several types at once tells them to be one wallet's."""
    results = []
    for kind in sorted(pools.by_type, key=type_order):
        result = await choose_selection(chain, target, pools.by_type[kind], params, max_weight)
        if result is not None:
            results.append(result)
    if results:
        return best_of(results)
    if mix_types and len(pools.by_type) > 1:
        return await choose_selection(chain, target, pools.everything, params, max_weight)
    return None


async def choose_selection(
    chain: Chain, target: int, pool: Pool, params: SelectionParams, max_weight: int
) -> Selection | None:
    """What the algorithms find in one pool, the least wasteful of it.

    The searches run on a thread: some thousand coins can take seconds, and others are served meanwhile.
    """
    results, reasons = await asyncio.to_thread(_run_algorithms, target, pool, params, max_weight)
    if not results:
        if reasons:
            raise reasons[0]
        return None
    for result in results:
        unconfirmed = [coin for coin in result.coins if coin.depth <= 0]
        if unconfirmed:
            outpoints = [(coin.outpoint.txid.hex(), coin.outpoint.n) for coin in unconfirmed]
            together = await chain.combined_bump_fee(outpoints, params.rate)
            result.bump_discount = sum(coin.bump_fee for coin in unconfirmed) - together
        result.weigh(params.min_viable_change, params.cost_of_change, params.change_fee)
    return best_of(results)


def _run_algorithms(
    target: int, pool: Pool, params: SelectionParams, max_weight: int
) -> tuple[list[Selection], list[SelectionError]]:
    """The answers of all algorithms that apply, and the reasons of those that failed for one."""
    results: list[Selection] = []
    reasons: list[SelectionError] = []

    def attempt(algorithm: Callable[[], Selection | None]) -> None:
        try:
            result = algorithm()
        except SelectionError as reason:
            reasons.append(reason)
            return
        if result is not None:
            results.append(result)

    weight = max_weight - params.size_without_inputs * SCALE
    if weight <= 0:
        raise SelectionError("Maximum transaction weight is less than transaction weight without inputs")
    subtract_fee = params.subtract_fee
    if not subtract_fee:
        attempt(lambda: select_bnb(pool.positive, target, params.cost_of_change, weight))
    # The others may create change.
    light = weight - params.change_size * SCALE
    if light < 0 and not results:
        raise SelectionError("Maximum transaction weight is too low, can not accommodate change output")
    goal, rng = params.min_change_target, params.rng
    attempt(lambda: select_knapsack(pool.mixed, target, goal, rng, light, subtract_fee=subtract_fee))
    if params.rate > 3 * params.long_term_rate:
        attempt(lambda: select_grinder(pool.positive, target, goal, light, subtract_fee=subtract_fee))
    attempt(lambda: select_srd(pool.positive, target, params.change_fee, rng, light, subtract_fee=subtract_fee))
    return results, reasons
