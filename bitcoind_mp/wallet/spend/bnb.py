"""Branch and bound: a set of coins that needs no change output (Murch; ``SelectCoinsBnB``)."""

from collections.abc import Sequence

from bitcoind_mp.interfaces.amounts import MAX_MONEY

from .groups import Group
from .selection import TOO_HEAVY, TOTAL_TRIES, Algorithm, Selection, SelectionError


def select_bnb(
    pool: Sequence[Group], target: int, cost_of_change: int, max_weight: int, *, subtract_fee: bool = False
) -> Selection | None:
    """The least wasteful set whose amount lies from ``target`` to ``target + cost_of_change``, in satoshis.

    A depth-first search over taking or leaving each group, largest first, that cuts every branch which cannot reach
    the range, has left it, or is already more wasteful than the best. ``pool`` holds groups of positive amount.

    Raises:
        SelectionError: there is none, and one within the range was too heavy.
    """
    groups = sorted(pool, key=lambda group: (-group.amount, group.waste))
    if sum(group.amount for group in groups) < target or not groups:
        return None
    best, too_heavy, tries = _search(groups, target, cost_of_change, max_weight)
    if not best:
        if too_heavy:
            raise SelectionError(TOO_HEAVY)
        return None
    result = Selection.of_groups(target, Algorithm.BNB, (groups[i] for i in best), subtract_fee=subtract_fee)
    result.tries = tries
    result.completed = tries < TOTAL_TRIES
    result.weigh(cost_of_change, cost_of_change, 0)
    return result


def _search(groups: Sequence[Group], target: int, cost_of_change: int, max_weight: int) -> tuple[list[int], bool, int]:
    """The best selection's indexes, whether one was too heavy, and how many nodes were visited."""
    amounts = [group.amount for group in groups]
    fees = [group.fee for group in groups]
    wastes = [group.waste for group in groups]
    weights = [group.weight for group in groups]
    upper = target + cost_of_change
    feerate_high = fees[0] > groups[0].long_term_fee
    selection: list[int] = []
    best: list[int] = []
    best_waste = MAX_MONEY
    value = waste = weight = index = tries = 0
    available = sum(amounts)
    too_heavy = False
    while tries < TOTAL_TRIES:
        backtrack = False
        if value + available < target or value > upper or (waste > best_waste and feerate_high):
            backtrack = True
        elif weight > max_weight:
            too_heavy = backtrack = True
        elif value >= target:
            # More coins would only be burnt as fees, so the search doesn't go deeper even where the rate is low.
            if waste + value - target <= best_waste:
                best = selection.copy()
                best_waste = waste + value - target
            backtrack = True
        if backtrack:
            if not selection:
                break
            last = selection.pop()
            index -= 1
            while index > last:
                available += amounts[index]
                index -= 1
            value -= amounts[last]
            waste -= wastes[last]
            weight -= weights[last]
        else:
            available -= amounts[index]
            # A group equal to the one just left out leads to what has been searched already.
            if (
                not selection
                or index - 1 == selection[-1]
                or amounts[index] != amounts[index - 1]
                or fees[index] != fees[index - 1]
            ):
                selection.append(index)
                value += amounts[index]
                waste += wastes[index]
                weight += weights[index]
        index += 1
        tries += 1
    return best, too_heavy, tries
