"""How long transactions of each fee rate took to confirm, over one horizon: Bitcoin Core's ``TxConfirmStats``
(``src/policy/fees/block_policy_estimator.cpp``).

What belongs here: buckets, moving averages, and finding the lowest rate that did well. What doesn't: horizons and how
their answers are put together (``estimator.py``).
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from .packing import MAX_CONFIRMS, EstimatesDamaged, Reader, pack_double, pack_row, pack_rows

_MIN_RATE = 100.0
_MAX_RATE = 1e7
_SPACING = 1.05
_UNBOUNDED = 1e99


def default_buckets() -> list[float]:
    """The upper bounds of the buckets, sat/kvB, 5 percent apart, the last without bound."""
    buckets = []
    bound = _MIN_RATE
    while bound <= _MAX_RATE:
        buckets.append(bound)
        bound *= _SPACING
    return [*buckets, _UNBOUNDED]


@dataclass(frozen=True)
class BucketRange:
    """Buckets looked at together (``EstimatorBucket``): from and to in sat/kvB, and transactions counted with decay."""

    start: float = -1.0
    end: float = -1.0
    within_target: float = 0.0
    total_confirmed: float = 0.0
    in_mempool: float = 0.0
    left_mempool: float = 0.0


@dataclass(frozen=True)
class Estimate:
    """``rate`` in sat/kvB, -1 where there is none; the lowest range that passed, the highest that failed."""

    rate: float
    passed: BucketRange = field(default_factory=BucketRange)
    failed: BucketRange = field(default_factory=BucketRange)
    decay: float = 0.0
    scale: int = 0


class Confirmations:
    """One horizon.

    Args:
        buckets: see `default_buckets`.
        periods: how many are told apart.
        decay: what is left of a count after a block.
        scale: blocks a period has.
    """

    def __init__(self, buckets: Sequence[float], periods: int, decay: float, scale: int) -> None:
        count = len(buckets)
        self.buckets = buckets
        self.decay = decay
        self.scale = scale
        self._rates = [0.0] * count
        self._counts = [0.0] * count
        self._confirmed = [[0.0] * count for _ in range(periods)]
        self._failed = [[0.0] * count for _ in range(periods)]
        self._waiting = [[0] * count for _ in range(self.max_confirms)]
        self._waiting_long = [0] * count
        self._used = False

    @property
    def max_confirms(self) -> int:
        """The longest target, in blocks."""
        return self.scale * len(self._confirmed)

    def new(self, height: int, rate: float) -> int:
        """A transaction came when the tip was at ``height``; its bucket."""
        self._used = True
        bucket = bisect_left(self.buckets, rate)
        self._waiting[height % len(self._waiting)][bucket] += 1
        return bucket

    def remove(self, entered: int, best: int, bucket: int, *, confirmed: bool) -> None:
        """It left. ``best`` is the best height seen."""
        age = best - entered if best else 0
        if age < 0:
            return
        waiting = self._waiting_long if age >= len(self._waiting) else self._waiting[entered % len(self._waiting)]
        waiting[bucket] = max(0, waiting[bucket] - 1)
        if not confirmed and age >= self.scale:
            for period in self._failed[: age // self.scale]:
                period[bucket] += 1

    def record(self, blocks: int, rate: float) -> None:
        """One confirmed after that many blocks, 1 or more."""
        if blocks >= 1:
            bucket = bisect_left(self.buckets, rate)
            for period in self._confirmed[-(-blocks // self.scale) - 1 :]:
                period[bucket] += 1
            self._counts[bucket] += 1
            self._rates[bucket] += rate

    def block(self, height: int) -> None:
        """A block came: those that came too many blocks ago lose their place, and the averages fade."""
        if not self._used:
            return
        slot = height % len(self._waiting)
        self._waiting_long = [old + new for old, new in zip(self._waiting_long, self._waiting[slot], strict=True)]
        self._waiting[slot] = [0] * len(self.buckets)
        self._rates = self._fade(self._rates)
        self._counts = self._fade(self._counts)
        self._confirmed = [self._fade(row) for row in self._confirmed]
        self._failed = [self._fade(row) for row in self._failed]

    def _fade(self, row: list[float]) -> list[float]:
        decay = self.decay
        return [value * decay for value in row]

    def estimate(self, target: int, sufficient: float, success: float, height: int) -> Estimate:
        """The average rate of the median bucket in the lowest range of buckets of which at least ``success`` (0 to 1)
        confirmed within ``target`` blocks, where ``sufficient`` transactions a block make a range
        (``EstimateMedianVal``).
        """
        search = _Search(self, target, success, height)
        enough = sufficient / (1 - self.decay)
        partial = 0.0
        for bucket in reversed(range(len(self.buckets))):
            search.include(bucket)
            partial += self._counts[bucket]
            if partial >= enough:
                partial = 0.0
                search.judge()
        return search.result()

    # the file

    def pack(self) -> bytes:
        """As Core's ``fee_estimates.dat`` has it."""
        return (
            pack_double(self.decay)
            + self.scale.to_bytes(4, "little")
            + pack_row(self._rates)
            + pack_row(self._counts)
            + pack_rows(self._confirmed)
            + pack_rows(self._failed)
        )

    @classmethod
    def unpack(cls, reader: "Reader", buckets: Sequence[float]) -> "Confirmations":
        """Read what `pack` wrote.

        Raises:
            EstimatesDamaged: it isn't that.
        """
        decay, scale = reader.double(), reader.unsigned()
        if not 0 < decay < 1 or scale == 0:
            raise EstimatesDamaged("decay or scale out of range")
        rates, counts = reader.row(len(buckets)), reader.row(len(buckets))
        confirmed, failed = reader.rows(len(buckets)), reader.rows(len(buckets))
        if not 0 < scale * len(confirmed) <= MAX_CONFIRMS or len(confirmed) != len(failed):
            raise EstimatesDamaged("wrong number of periods")
        stats = cls(buckets, len(confirmed), decay, scale)
        stats._used = True
        stats._rates, stats._counts, stats._confirmed, stats._failed = rates, counts, confirmed, failed
        return stats

    def _waiting_after(self, target: int, height: int) -> list[int]:
        """For each bucket how many still wait that came ``target`` blocks ago or earlier."""
        size = len(self._waiting)
        # below height 1008 the difference wraps in Core, which then counts some twice: so do we, for equal answers
        slots = (((height - age) & 0xFFFFFFFF) % size for age in range(target, self.max_confirms))
        rows = [row for slot in slots if any(row := self._waiting[slot])]
        return [sum(column) for column in zip(self._waiting_long, *rows, strict=True)]

    def _median_rate(self, low: int, high: int) -> float:
        """The average rate of the bucket that holds the median transaction of those from ``low`` to ``high``."""
        half = sum(self._counts[low : high + 1]) / 2
        if half == 0:
            return -1.0
        for bucket in range(low, high + 1):
            if self._counts[bucket] >= half:
                return self._rates[bucket] / self._counts[bucket]
            half -= self._counts[bucket]
        return -1.0


class _Search:
    """The walk of `Confirmations.estimate` from the highest bucket down, range by range."""

    def __init__(self, stats: Confirmations, target: int, success: float, height: int) -> None:
        self._stats = stats
        self._success = success
        self._sums = [0.0] * 4
        self._period = -(-target // stats.scale) - 1
        self._waiting = stats._waiting_after(target, height)
        self._near: int | None = None
        self._far = len(stats.buckets) - 1
        self._best: tuple[int, int] | None = None
        self._passing = True
        self._passed = BucketRange()
        self._failed = BucketRange()

    def include(self, bucket: int) -> None:
        if self._near is None:
            self._near = bucket
        self._far = bucket
        stats = self._stats
        # confirmed within the target, in all, removed after it, still waiting after it
        counters = (
            stats._confirmed[self._period][bucket],
            stats._counts[bucket],
            stats._failed[self._period][bucket],
            self._waiting[bucket],
        )
        self._sums = [total + count for total, count in zip(self._sums, counters, strict=True)]

    def judge(self) -> None:
        """The buckets since the last success have enough transactions: did they do well?"""
        within, total, left, waiting = self._sums
        if within / (total + left + waiting) < self._success:
            if self._passing:
                self._failed = self._range()
                self._passing = False
            return
        self._passing = True
        self._failed = BucketRange()
        self._passed = self._range()
        self._best = (self._far, self._near if self._near is not None else self._far)
        self._sums = [0.0] * 4
        self._near = None

    def result(self) -> Estimate:
        rate = self._stats._median_rate(*self._best) if self._best is not None else -1.0
        if self._passing and self._near is not None:
            self._failed = self._range()
        return Estimate(rate, self._passed, self._failed, self._stats.decay, self._stats.scale)

    def _range(self) -> BucketRange:
        buckets, near = self._stats.buckets, self._near if self._near is not None else self._far
        within, total, left, waiting = self._sums
        return BucketRange(buckets[self._far - 1] if self._far else 0.0, buckets[near], within, total, waiting, left)
