"""What a coin selection algorithm answers: the coins, their waste, and what change they leave.

Core's ``SelectionResult`` (``src/wallet/coinselection.h``). The algorithms have a file each: ``bnb.py``,
``grinder.py``, ``srd.py``, ``knapsack.py``; ``choose.py`` compares their answers.
"""

from collections.abc import Iterable
from enum import StrEnum

from .candidates import Candidate
from .errors import SpendError
from .groups import Group

#: Bounds of the random change that selection aims at, in satoshis (``CHANGE_LOWER``, ``CHANGE_UPPER``).
CHANGE_LOWER = 50_000
CHANGE_UPPER = 1_000_000
#: ``TOTAL_TRIES``: how many nodes a search visits before it settles for the best it has.
TOTAL_TRIES = 100_000

TOO_HEAVY = (
    "The inputs size exceeds the maximum weight. "
    "Please try sending a smaller amount or manually consolidating your wallet's UTXOs"
)


class SelectionError(SpendError):
    """No selection, for a reason worth telling. One without a particular reason is a None instead."""


class Algorithm(StrEnum):
    BNB = "bnb"
    KNAPSACK = "knapsack"
    SRD = "srd"
    CG = "cg"
    MANUAL = "manual"


class Selection:
    """Coins that together reach ``target`` (satoshis: the payments and the fee of all that isn't an input).

    ``waste`` is comparable only after `weigh`. ``tries`` is how many selections were looked at and ``completed``
    whether that was all of them.
    """

    def __init__(self, target: int, algorithm: Algorithm, *, use_effective: bool = False) -> None:
        self.target = target
        self.algorithm = algorithm
        self.use_effective = use_effective
        self.coins: list[Candidate] = []
        self.weight = 0
        self.waste: int | None = None
        self.bump_discount = 0
        self.tries = 0
        self.completed = True

    @classmethod
    def of_groups(
        cls, target: int, algorithm: Algorithm, groups: Iterable[Group], *, subtract_fee: bool = False
    ) -> "Selection":
        """A selection of whole groups."""
        result = cls(target, algorithm, use_effective=not subtract_fee)
        for group in groups:
            result._insert(group.coins)
        return result

    @classmethod
    def of_coins(cls, target: int, coins: Iterable[Candidate], *, subtract_fee: bool = False) -> "Selection":
        """The coins that a person chose."""
        result = cls(target, Algorithm.MANUAL, use_effective=not subtract_fee)
        result._insert(coins)
        return result

    def _insert(self, coins: Iterable[Candidate]) -> None:
        coins = list(coins)
        known = {coin.outpoint for coin in self.coins}
        if len(known | {coin.outpoint for coin in coins}) != len(self.coins) + len(coins):
            raise ValueError("Shared UTXOs among selection results")
        self.coins += coins
        self.weight += sum(coin.weight for coin in coins)

    def merge(self, other: "Selection") -> None:
        """Take the other selection's coins and target in."""
        self._insert(other.coins)
        self.target += other.target
        self.use_effective |= other.use_effective
        if self.algorithm is Algorithm.MANUAL:
            self.algorithm = other.algorithm

    @property
    def value(self) -> int:
        """The coins' amounts together."""
        return sum(coin.amount for coin in self.coins)

    @property
    def effective_value(self) -> int:
        """The same after paying for their inputs."""
        return sum(coin.effective_value for coin in self.coins) + self.bump_discount

    @property
    def counted_value(self) -> int:
        """What is held against the target: the effective value, or the plain one where outputs pay the fee."""
        return self.effective_value if self.use_effective else self.value

    @property
    def bump_fees(self) -> int:
        """What the coins' unconfirmed ancestors lack, shared ancestors counted once."""
        return sum(coin.bump_fee for coin in self.coins) - self.bump_discount

    def change(self, min_viable_change: int, change_fee: int) -> int:
        """The change that is left, 0 where it would be less than ``min_viable_change``."""
        change = self.counted_value - self.target - (change_fee if self.use_effective else 0)
        return 0 if change < min_viable_change else change

    def weigh(self, min_viable_change: int, change_cost: int, change_fee: int) -> int:
        """Compute the waste metric: spending now instead of later, and the change or the excess."""
        waste = sum(coin.fee - coin.long_term_fee for coin in self.coins) - self.bump_discount
        if self.change(min_viable_change, change_fee):
            waste += change_cost
        else:
            excess = self.counted_value - self.target
            if excess < 0:
                raise ValueError("the selection does not reach its target")
            waste += excess
        self.waste = waste
        return waste

    def better_than(self, other: "Selection") -> bool:
        """Less waste; of the same waste, more inputs."""
        if self.waste is None or other.waste is None:
            raise ValueError("not weighed")
        return (self.waste, -len(self.coins)) < (other.waste, -len(other.coins))


def best_of(results: list[Selection]) -> Selection:
    """The least wasteful of the results, the first of equals."""
    best = results[0]
    for result in results[1:]:
        if result.better_than(best):
            best = result
    return best
