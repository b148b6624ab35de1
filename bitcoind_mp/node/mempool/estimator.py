"""Fee estimation: Bitcoin Core's ``CBlockPolicyEstimator`` (``src/policy/fees/block_policy_estimator.cpp``).

Transactions are watched from their entry into the mempool until a block confirms them, over three horizons; the
answer is the lowest rate that has confirmed in time often enough. The file is Core's ``fee_estimates.dat``.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bitcoind_mp.interfaces.chain import FeeEstimate

from .confirmations import Confirmations, Estimate, default_buckets
from .entry import MempoolEntry
from .feerate import rate_of
from .minimum import round_half_up
from .packing import EstimatesDamaged, Reader, pack_row

log = logging.getLogger(__name__)

_FILE_VERSION = 309900
#: Seconds after which a file says nothing about today.
_MAX_FILE_AGE = 60 * 3600
_OLDEST_HISTORY = 6 * 1008
_SUFFICIENT = 0.1
_SUFFICIENT_SHORT = 0.5
_HALF, _FULL, _DOUBLE = 0.60, 0.85, 0.95

NOT_ENOUGH = "Insufficient data or no feerate found"


class Horizon(StrEnum):
    """Core's words (``estimaterawfee``)."""

    SHORT = "short"
    MEDIUM = "medium"
    LONG = "long"


@dataclass(frozen=True)
class _Watched:
    height: int
    bucket: int


class FeeEstimator:
    """The estimator. ``path`` is where it is kept, None to keep nothing; ``now`` tells the system's time."""

    def __init__(self, path: Path | None = None, *, now: Callable[[], float] = time.time) -> None:
        self._path = path
        buckets = default_buckets()
        self._stats = {
            Horizon.MEDIUM: Confirmations(buckets, 24, 0.9952, 2),
            Horizon.SHORT: Confirmations(buckets, 12, 0.962, 1),
            Horizon.LONG: Confirmations(buckets, 42, 0.99931, 24),
        }
        self._watched: dict[bytes, _Watched] = {}
        self._best = 0
        self._first = 0
        self._historical = (0, 0)
        try:
            if path is not None and path.exists() and now() - path.stat().st_mtime <= _MAX_FILE_AGE:
                self._read(path.read_bytes())
        except OSError as error:
            log.warning("The fee estimates can't be read: %s; going on without them", error)

    # what happens

    def entered(self, entry: MempoolEntry, *, counts: bool) -> None:
        """It is in the mempool. ``counts``: it came by itself, over the usual way, to an up-to-date node."""
        if entry.txid not in self._watched and entry.height == self._best and counts:
            rate = float(rate_of(entry.fee, entry.vsize))
            buckets = [stats.new(entry.height, rate) for stats in self._stats.values()]
            self._watched[entry.txid] = _Watched(entry.height, buckets[0])

    def left(self, txid: bytes) -> None:
        """It left the mempool unconfirmed."""
        self._forget(txid, confirmed=False)

    def block(self, height: int, confirmed: Iterable[MempoolEntry]) -> None:
        """A block at ``height`` confirmed these."""
        if height <= self._best:
            return
        self._best = height
        for stats in self._stats.values():
            stats.block(height)
        counted = [entry for entry in confirmed if self._forget(entry.txid, confirmed=True)]
        for entry in counted:
            for stats in self._stats.values():
                stats.record(height - entry.height, float(rate_of(entry.fee, entry.vsize)))
        if counted and not self._first:
            self._first = height

    def _forget(self, txid: bytes, *, confirmed: bool) -> bool:
        watched = self._watched.pop(txid, None)
        if watched is None:
            return False
        for stats in self._stats.values():
            stats.remove(watched.height, self._best, watched.bucket, confirmed=confirmed)
        return True

    # what it says

    @property
    def highest_target(self) -> int:
        """In blocks."""
        return self._stats[Horizon.LONG].max_confirms

    def targets(self, horizon: Horizon) -> int:
        """The highest target of that horizon (``HighestTargetTracked``)."""
        return self._stats[horizon].max_confirms

    def smart(self, target: int, *, conservative: bool) -> FeeEstimate:
        """``estimateSmartFee``: sat/kvB, without regard to the mempool's minimum. ``target`` from 1 to 1008 blocks."""
        if not 0 < target <= self.highest_target:
            return FeeEstimate(None, target, [NOT_ENOUGH])
        target = min(max(target, 2), self._usable())
        if target <= 1:
            return FeeEstimate(None, target, [NOT_ENOUGH])
        found = [
            (self._combined(target // 2, _HALF, shorter=True), "Half Target 60% Threshold"),
            (self._combined(target, _FULL, shorter=True), "Target 85% Threshold"),
            (self._combined(2 * target, _DOUBLE, shorter=not conservative), "Double Target 95% Threshold"),
        ]
        if conservative or max(found)[0] == -1:
            found.append((self._conservative(2 * target), "Conservative Double Target longer horizon"))
        # the first of the highest
        rate, reason = max(found, key=lambda pair: pair[0])
        if rate < 0 or not (rounded := round_half_up(rate)):
            return FeeEstimate(None, target, [NOT_ENOUGH], reason)
        return FeeEstimate(rounded, target, [], reason)

    def raw(self, target: int, threshold: float, horizon: Horizon) -> Estimate:
        """``estimateRawFee``: the rate of one horizon at that success (0 to 1)."""
        return self._estimate(horizon, target, threshold)

    def _estimate(self, horizon: Horizon, target: int, success: float) -> Estimate:
        sufficient = _SUFFICIENT_SHORT if horizon is Horizon.SHORT else _SUFFICIENT
        return self._stats[horizon].estimate(target, sufficient, success, self._best)

    def _rate(self, horizon: Horizon, target: int, success: float) -> float:
        return self._estimate(horizon, target, success).rate

    def _combined(self, target: int, success: float, *, shorter: bool) -> float:
        """The shortest horizon that reaches the target; ``shorter``: lower answers of shorter ones count too."""
        horizons = [horizon for horizon in Horizon if target <= self.targets(horizon)]
        if target < 1 or not horizons:
            return -1.0
        rate = self._rate(horizons[0], target, success)
        if shorter:
            for horizon in (Horizon.MEDIUM, Horizon.SHORT):
                if target > self.targets(horizon):
                    other = self._rate(horizon, self.targets(horizon), success)
                    if other > 0 and (rate == -1 or other < rate):
                        rate = other
        return rate

    def _conservative(self, target: int) -> float:
        """The longer horizons must agree."""
        rate = -1.0
        if target <= self.targets(Horizon.SHORT):
            rate = self._rate(Horizon.MEDIUM, target, _DOUBLE)
        if target <= self.targets(Horizon.MEDIUM):
            rate = max(rate, self._rate(Horizon.LONG, target, _DOUBLE))
        return rate

    def _usable(self) -> int:
        """The longest target that there are blocks enough for."""
        return min(self.highest_target, max(self._span(), self._historical_span()) // 2)

    def _span(self) -> int:
        return self._best - self._first if self._first else 0

    def _historical_span(self) -> int:
        first, best = self._historical
        return best - first if first and self._best - best <= _OLDEST_HISTORY else 0

    # the file

    def close(self) -> None:
        """At the end: what is still waiting has failed so far. Then `save`."""
        for txid in list(self._watched):
            self.left(txid)
        self.save()

    def save(self) -> None:
        """Write the file anew.

        Raises:
            OSError: no room; the file is as it was.
        """
        if self._path is not None:
            path = self._path.resolve()
            new = path.with_name(path.name + ".new")
            try:
                new.write_bytes(self._pack())
                new.replace(path)
            except OSError:
                new.unlink(missing_ok=True)
                raise

    def _pack(self) -> bytes:
        span = (self._first, self._best) if self._span() > self._historical_span() // 2 else self._historical
        numbers = (_FILE_VERSION, self._best, *span)
        head = b"".join(number.to_bytes(4, "little") for number in numbers)
        stats = self._stats[Horizon.MEDIUM], self._stats[Horizon.SHORT], self._stats[Horizon.LONG]
        return head + pack_row(stats[0].buckets) + b"".join(each.pack() for each in stats)

    def _read(self, data: bytes) -> None:
        """Take over a file of Core's or ours; one that is neither is as good as none."""
        reader = Reader(data)
        try:
            if reader.unsigned() != _FILE_VERSION:
                return
            best, first_known, last_known = reader.unsigned(), reader.unsigned(), reader.unsigned()
            buckets = reader.row()
            if not first_known <= last_known <= best or not 1 < len(buckets) <= 1000 or buckets != sorted(buckets):
                return
            horizons = (Horizon.MEDIUM, Horizon.SHORT, Horizon.LONG)
            stats = {horizon: Confirmations.unpack(reader, buckets) for horizon in horizons}
        except EstimatesDamaged:
            return
        self._stats, self._best, self._historical = stats, best, (first_known, last_known)
