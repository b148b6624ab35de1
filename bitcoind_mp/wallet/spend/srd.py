"""Single random draw: coins in random order until the target is reached (``SelectCoinsSRD``)."""

import heapq
import random
from collections.abc import Sequence

from .groups import Group
from .selection import CHANGE_LOWER, TOO_HEAVY, Algorithm, Selection, SelectionError


def select_srd(
    pool: Sequence[Group],
    target: int,
    change_fee: int,
    rng: random.Random,
    max_weight: int,
    *,
    subtract_fee: bool = False,
) -> Selection | None:
    """Groups drawn at random until they cover ``target``, ``change_fee`` and change of `CHANGE_LOWER`, in satoshis.

    Where they grow too heavy the least valuable are dropped, so a pathological pool can have a solution that this
    misses.

    Raises:
        SelectionError: nothing was found, and weight was the reason at least once.
    """
    goal = target + CHANGE_LOWER + change_fee
    order = list(range(len(pool)))
    rng.shuffle(order)
    heap: list[tuple[int, int]] = []
    amount = weight = 0
    too_heavy = False
    for number in order:
        group = pool[number]
        heapq.heappush(heap, (group.amount, number))
        amount += group.amount
        weight += group.weight
        while weight > max_weight and heap:
            too_heavy = True
            dropped = pool[heapq.heappop(heap)[1]]
            amount -= dropped.amount
            weight -= dropped.weight
        if amount >= goal:
            chosen = (pool[kept] for _, kept in sorted(heap))
            return Selection.of_groups(target, Algorithm.SRD, chosen, subtract_fee=subtract_fee)
    if too_heavy:
        raise SelectionError(TOO_HEAVY)
    return None
