"""Keeping the mempool within its size and age (Core's ``LimitMempoolSize``, ``TrimToSize`` and ``Expire``)."""

import heapq

from .entry import MempoolEntry, Removal
from .feerate import rate_of
from .minimum import MinimumFee
from .policy import MempoolPolicy
from .store import Store

_SLACK = 1000


class Limits:
    """Evicts the worst chunks when there is no room, and what has waited too long."""

    def __init__(self, store: Store, policy: MempoolPolicy, minimum: MinimumFee) -> None:
        self._store = store
        self._policy = policy
        self._minimum = minimum
        self._by_age: list[tuple[int, bytes]] = []

    def added(self, entry: MempoolEntry) -> None:
        """An entry came: watch its age. Most leave long before they are old, and are forgotten now and then."""
        heapq.heappush(self._by_age, (entry.time, entry.txid))
        if len(self._by_age) > 2 * len(self._store.entries) + _SLACK:
            self._by_age = [(other.time, other.txid) for other in self._store.entries.values()]
            heapq.heapify(self._by_age)

    def apply(self, now: int) -> None:
        """Expire, then evict. ``now`` is the node's clock."""
        self._expire(now - self._policy.expiry)
        while self._store.entries and self._store.usage > self._policy.max_size:
            worst = self._store.clusters.worst()
            self._minimum.evicted(rate_of(worst.fee, worst.vsize))
            self._store.remove(worst.entries, Removal.SIZELIMIT)

    def drop_below(self, rate: int) -> None:
        """Drop the chunks that pay less than ``rate`` sat/kvB: what was let in without being asked for a fee."""
        while self._store.entries:
            worst = self._store.clusters.worst()
            if worst.fee * 1000 >= rate * worst.vsize:
                return
            self._store.remove(worst.entries, Removal.SIZELIMIT)

    def _expire(self, before: int) -> None:
        old = []
        while self._by_age and self._by_age[0][0] < before:
            time, txid = heapq.heappop(self._by_age)
            entry = self._store.entries.get(txid)
            if entry is not None and entry.time == time:
                old.append(entry)
        if old:
            self._store.remove(self._store.descendants(old), Removal.EXPIRY)
