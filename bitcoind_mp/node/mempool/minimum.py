"""The rolling minimum fee rate: what a full mempool asks for, falling while it isn't (Core's ``GetMinFee``)."""

from math import floor

from .policy import MempoolPolicy

#: Seconds in which the minimum halves when the mempool is full.
HALF_LIFE = 12 * 3600
#: Seconds between two looks.
_STEP = 10


class MinimumFee:
    """Rates in sat/kvB, times in seconds of the node's clock."""

    def __init__(self, policy: MempoolPolicy) -> None:
        self._policy = policy
        self._rate = 0.0
        self._updated = 0
        self._block_since_bump = False

    def rate(self, now: int, usage: int) -> int:
        """What a transaction must pay because of eviction; 0 where nothing has been evicted for long."""
        if not self._block_since_bump or self._rate == 0:
            return round_half_up(self._rate)
        if now > self._updated + _STEP:
            self._rate /= 2.0 ** ((now - self._updated) / self._half_life(usage))
            self._updated = now
            if self._rate < self._policy.incremental_relay_fee / 2:
                self._rate = 0.0
                return 0
        return max(round_half_up(self._rate), self._policy.incremental_relay_fee)

    def evicted(self, rate: int) -> None:
        """A chunk of that rate had to go: what comes now pays a step more."""
        bumped = rate + self._policy.incremental_relay_fee
        if bumped > self._rate:
            self._rate = float(bumped)
            self._block_since_bump = False

    def block(self, now: int) -> None:
        """A block was connected: the minimum may fall again."""
        self._updated = now
        self._block_since_bump = True

    def _half_life(self, usage: int) -> float:
        """The emptier the mempool, the faster it falls."""
        if usage < self._policy.max_size // 4:
            return HALF_LIFE / 4
        return HALF_LIFE / 2 if usage < self._policy.max_size // 2 else HALF_LIFE


def round_half_up(rate: float) -> int:
    return floor(rate + 0.5)
