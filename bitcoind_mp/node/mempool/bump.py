"""What spending unconfirmed outputs costs on top: the fees that their ancestors lack at some rate.

Bitcoin Core's ``MiniMiner`` (``src/node/mini_miner.cpp``): a block is made of the clusters concerned by ancestor fee
rate, down to the rate asked for; whatever got in needs nothing.
"""

from collections.abc import Sequence

from .entry import MempoolEntry, closure
from .feerate import fee_at
from .linearize import rate_key
from .store import Store
from .view import OutPoint

#: Transactions in all clusters concerned, above which nothing is said (``GatherClusters``).
_MAX_TRANSACTIONS = 500


class BumpFees:
    """One question: these outpoints at this rate (sat/kvB). What spends them already is taken to be replaced."""

    def __init__(self, store: Store, outpoints: Sequence[OutPoint], rate: int) -> None:
        self._store = store
        self._rate = rate
        self._outpoints = outpoints
        self._asked = {entry for txid, _ in outpoints if (entry := store.entries.get(txid)) is not None}
        clusters = {cluster for entry in self._asked if (cluster := entry.cluster) is not None}
        self.answerable = sum(len(cluster.entries) for cluster in clusters) <= _MAX_TRANSACTIONS
        if self.answerable:
            spenders = [
                entry for point in outpoints if point[0] in store.entries and (entry := store.spends.get(point))
            ]
            replaced = store.descendants(spenders)
            self._left = {entry for cluster in clusters for entry in cluster.entries if entry not in replaced}
            self._mine()

    def each(self) -> list[int]:
        """For each outpoint what its transaction and its ancestors lack (``CalculateBumpFees``)."""
        return [self._lack(entry) if (entry := self._store.entries.get(txid)) else 0 for txid, _ in self._outpoints]

    def together(self) -> int:
        """What all of them lack, shared ancestors counted once (``CalculateTotalBumpFees``)."""
        return self._short(self._ancestors(*(self._asked & self._left)))

    def _lack(self, entry: MempoolEntry) -> int:
        if entry not in self._left:
            return 0
        return max(self._short(self._ancestors(entry)), self._short({entry}))

    def _short(self, entries: set[MempoolEntry]) -> int:
        vsize, fees = sum(entry.vsize for entry in entries), sum(entry.modified_fee for entry in entries)
        return fee_at(self._rate, vsize) - fees

    def _ancestors(self, *entries: MempoolEntry) -> set[MempoolEntry]:
        """With themselves, of what isn't mined."""
        return closure(entries, lambda entry: entry.parents & self._left)

    def _mine(self) -> None:
        """Take what pays the rate with all its ancestors, the best first."""
        scores = {entry: self._score(entry) for entry in self._left}
        while scores:
            best = min(scores, key=scores.__getitem__)
            package = self._ancestors(best)
            if self._short(package) > 0:
                return
            self._left -= package
            for entry in package:
                del scores[entry]
            for entry in self._store.descendants(package) & self._left:
                scores[entry] = self._score(entry)

    def _score(self, entry: MempoolEntry) -> tuple[int, int, bytes]:
        """By the lower of its own rate and its ancestors', the smaller first among equals."""
        package = self._ancestors(entry)
        fees, vsize = sum(other.modified_fee for other in package), sum(other.vsize for other in package)
        if entry.modified_fee * vsize < fees * entry.vsize:
            fees, vsize = entry.modified_fee, entry.vsize
        return (-rate_key(fees, vsize), vsize, entry.tie)
