"""The original selection: a stochastic subset sum near the target (``KnapsackSolver``). It alone may spend dust."""

import random
from collections.abc import Sequence

from .groups import Group
from .selection import TOO_HEAVY, Algorithm, Selection, SelectionError

_ITERATIONS = 1000


def select_knapsack(
    pool: Sequence[Group],
    target: int,
    change_target: int,
    rng: random.Random,
    max_weight: int,
    *,
    subtract_fee: bool = False,
) -> Selection | None:
    """A subset whose amount is the target or exceeds it by about ``change_target`` (satoshis), or one larger group.

    Raises:
        SelectionError: nothing was found, and weight was the reason.
    """

    def selected(groups: Sequence[Group]) -> Selection:
        return Selection.of_groups(target, Algorithm.KNAPSACK, groups, subtract_fee=subtract_fee)

    shuffled = list(pool)
    rng.shuffle(shuffled)
    smaller: list[Group] = []
    larger: Group | None = None
    too_heavy = False
    for group in shuffled:
        if group.weight > max_weight:
            too_heavy = True
        elif group.amount == target:
            return selected([group])
        elif group.amount < target + change_target:
            smaller.append(group)
        elif larger is None or group.amount < larger.amount:
            larger = group
    total = sum(group.amount for group in smaller)
    if total == target:
        if sum(group.weight for group in smaller) <= max_weight:
            return selected(smaller)
        too_heavy = True
    if total < target:
        if larger is not None:
            return selected([larger])
        if too_heavy:
            raise SelectionError(TOO_HEAVY)
        return None
    smaller.sort(key=lambda group: (-group.amount, group.waste))
    best, amount = _approximate(smaller, total, target, rng, max_weight)
    if amount != target and total >= target + change_target:
        best, amount = _approximate(smaller, total, target + change_target, rng, max_weight)
    if larger is not None and ((amount != target and amount < target + change_target) or larger.amount <= amount):
        return selected([larger])
    if sum(group.weight for group in best) > max_weight:
        if larger is None:
            raise SelectionError(TOO_HEAVY)
        return selected([larger])
    return selected(best)


def _approximate(
    groups: Sequence[Group], total: int, target: int, rng: random.Random, max_weight: int
) -> tuple[list[Group], int]:
    """The subset found whose amount is least above ``target`` (``ApproximateBestSubset``), and that amount.

    Each round takes groups by coin toss, then those left, dropping each that reaches the target again at once.
    """
    amounts = [group.amount for group in groups]
    weights = [group.weight for group in groups]
    count = len(groups)
    best = list(groups)
    best_amount = total
    for _ in range(_ITERATIONS):
        if best_amount == target:
            break
        tosses = rng.getrandbits(count) if count else 0
        included = bytearray(count)
        amount = weight = 0
        reached = False
        for second_pass in (False, True):
            if reached:
                break
            for i in range(count):
                if included[i] if second_pass else not tosses >> i & 1:
                    continue
                amount += amounts[i]
                weight += weights[i]
                included[i] = 1
                if amount >= target and weight <= max_weight:
                    reached = True
                    if amount < best_amount:
                        best_amount = amount
                        best = [group for group, taken in zip(groups, included, strict=True) if taken]
                    amount -= amounts[i]
                    weight -= weights[i]
                    included[i] = 0
    return best, best_amount
