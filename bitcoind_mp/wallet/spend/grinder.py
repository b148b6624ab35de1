"""Coin grinder: the lightest set of coins that leaves change (``CoinGrinder``), for when fees are high."""

from collections.abc import Sequence

from bitcoind_mp.interfaces.amounts import MAX_MONEY

from .groups import Group
from .selection import TOO_HEAVY, TOTAL_TRIES, Algorithm, Selection, SelectionError


def select_grinder(
    pool: Sequence[Group], target: int, change_target: int, max_weight: int, *, subtract_fee: bool = False
) -> Selection | None:
    """The set of least weight that covers ``target`` and at least ``change_target`` of change, in satoshis.

    Raises:
        SelectionError: there is none, and one that covered it was too heavy.
    """
    groups = sorted(pool, key=lambda group: (-group.amount, group.weight))
    if sum(group.amount for group in groups) < target + change_target or not groups:
        return None
    search = _Search(groups, target + change_target, max_weight)
    search.run()
    if not search.best:
        if search.too_heavy:
            raise SelectionError(TOO_HEAVY)
        return None
    chosen = (groups[i] for i in search.best)
    result = Selection.of_groups(target, Algorithm.CG, chosen, subtract_fee=subtract_fee)
    result.tries = search.tries
    result.completed = search.completed
    return result


class _Search:
    """The depth-first walk. Each step adds one group, looks at the sum, and then goes deeper (explore), replaces the
    group just added by the next (shift), or gives up the group before it as well (cut)."""

    def __init__(self, groups: Sequence[Group], total: int, max_weight: int) -> None:
        self.amounts = [group.amount for group in groups]
        self.weights = [group.weight for group in groups]
        self.total = total
        self.max_weight = max_weight
        self.ahead, self.lightest_ahead = self._tails()
        self.best: list[int] = []
        self.too_heavy = False
        self.completed = True
        self.tries = 0

    def _tails(self) -> tuple[list[int], list[int]]:
        """For each group: the amount of those after it, and the least weight among them."""
        count = len(self.amounts)
        ahead = [0] * count
        lightest = [1 << 62] * count
        for i in range(count - 2, -1, -1):
            ahead[i] = ahead[i + 1] + self.amounts[i + 1]
            lightest[i] = min(lightest[i + 1], self.weights[i + 1])
        return ahead, lightest

    def run(self) -> None:
        amounts, weights, total = self.amounts, self.weights, self.total
        count = len(amounts)
        chosen: list[int] = []
        best_amount, best_weight = MAX_MONEY, self.max_weight
        amount = weight = following = 0
        while True:
            tail = following
            amount += amounts[tail]
            weight += weights[tail]
            chosen.append(tail)
            following += 1
            self.tries += 1
            cut = shift = False
            if amount + self.ahead[tail] < total:
                cut = True
            elif weight > best_weight:
                self.too_heavy |= weight > self.max_weight
                cut = weights[tail] <= self.lightest_ahead[tail]
                shift = not cut
            elif amount >= total:
                shift = True
                if weight < best_weight or amount < best_amount:
                    self.best = chosen.copy()
                    best_weight, best_amount = weight, amount
            elif self.best and self._hopeless(tail, amount, weight, best_weight):
                cut = weights[tail] <= self.lightest_ahead[tail]
                shift = not cut
            if self.tries >= TOTAL_TRIES:
                self.completed = False
                return
            if cut or following == count:
                last = chosen.pop()
                amount -= amounts[last]
                weight -= weights[last]
                shift = True
            while shift:
                if not chosen:
                    return
                last = chosen.pop()
                following = last + 1
                amount -= amounts[last]
                weight -= weights[last]
                shift = False
                # Of equal amounts the lighter come first: what follows one left out is no better than it.
                while amounts[following - 1] == amounts[following]:
                    if following >= count - 1:
                        shift = True
                        break
                    following += 1

    def _hopeless(self, tail: int, amount: int, weight: int, best_weight: int) -> bool:
        """Even groups of this one's amount and the least weight ahead could not beat the best."""
        missing = -(-(self.total - amount) // self.amounts[tail])
        return weight + self.lightest_ahead[tail] * missing > best_weight
