"""The set of transactions itself: who is there, who spends what, totals and fee deltas.

What belongs here: Core's ``CTxMemPool`` as a data structure, kept consistent at every step and told to listeners.
What doesn't: whether a transaction may enter (``accept.py``) and what happens over time (``pool.py``).
"""

from collections.abc import Callable, Collection, Iterable, Sequence

from btclib.tx import Tx

from .clusters import Clusters, Staged
from .entry import MempoolEntry, Removal, ancestors_of, descendants_of
from .memory import Usage
from .view import OutPoint


class Store:
    """Entries by txid and wtxid, the outputs they spend, their clusters, and deltas.

    Args:
        clusters: empty, with its limits.
        added, removed: called after each change.
    """

    def __init__(
        self,
        clusters: Clusters,
        added: Callable[[MempoolEntry], None],
        removed: Callable[[MempoolEntry, Removal], None],
    ) -> None:
        self.clusters = clusters
        self.entries: dict[bytes, MempoolEntry] = {}
        self.by_wtxid: dict[bytes, MempoolEntry] = {}
        self.spends: dict[OutPoint, MempoolEntry] = {}
        self.deltas: dict[bytes, int] = {}
        self.unbroadcast: set[bytes] = set()
        self.total_vsize = 0
        self.total_fee = 0
        self._usage = Usage()
        self.sequence = 1
        self.updates = 0
        self.delta_changes = 0
        self._added = added
        self._removed = removed

    @property
    def usage(self) -> int:
        """Bytes, as they count against ``-maxmempool`` (``DynamicMemoryUsage``)."""
        return self._usage.total(len(self.deltas))

    # relations

    def parents_of(self, spends: Iterable[OutPoint]) -> set[MempoolEntry]:
        """The entries whose outputs these are."""
        return {entry for txid, _ in spends if (entry := self.entries.get(txid)) is not None}

    def children_of(self, tx: Tx, txid: bytes) -> set[MempoolEntry]:
        """The entries that spend from this transaction, itself here or not."""
        found = (self.spends.get((txid, index)) for index in range(len(tx.vout)))
        return {entry for entry in found if entry is not None}

    def ancestors(self, entries: Iterable[MempoolEntry]) -> set[MempoolEntry]:
        """These and everything they depend on."""
        return ancestors_of(entries)

    def descendants(self, entries: Iterable[MempoolEntry]) -> set[MempoolEntry]:
        """These and everything that depends on them."""
        return descendants_of(entries)

    # changes

    def apply(self, staged: Staged, removed: Collection[MempoolEntry], added: Sequence[MempoolEntry]) -> None:
        """Replace ``removed`` by ``added`` (parents first), for which ``staged`` was made just now."""
        self.clusters.install(staged)
        for entry in removed:
            self._forget(entry, Removal.REPLACED)
        for entry in added:
            self._remember(entry)

    def remove(self, entries: Collection[MempoolEntry], reason: Removal) -> None:
        """Take exactly these away; with the exception of `Removal.BLOCK`, everything that depends on them too."""
        self.clusters.install(self.clusters.stage(entries))
        for entry in sorted(entries, key=lambda entry: entry.sequence, reverse=True):
            self._forget(entry, reason)

    def link(self, parent: MempoolEntry, child: MempoolEntry) -> None:
        """A parent came after its child: during a reorganisation. Their clusters are two until `adopt`."""
        parent.children.add(child)
        child.parents.add(parent)

    def adopt(self, parent: MempoolEntry, child: MempoolEntry) -> None:
        """Make one cluster of two that are linked. Limits are the caller's."""
        self.clusters.merge([parent, child])

    def set_delta(self, txid: bytes, total: int) -> None:
        """What ``prioritisetransaction`` has added to this one in all."""
        change = total - self.deltas.get(txid, 0)
        self.delta_changes += 1
        if total:
            self.deltas[txid] = total
        else:
            self.deltas.pop(txid, None)
        if (entry := self.entries.get(txid)) is not None and change:
            entry.modified_fee += change
            self.updates += 1
            if entry.cluster is not None:
                self.clusters.refresh(entry.cluster)

    def _remember(self, entry: MempoolEntry) -> None:
        self.entries[entry.txid] = entry
        self.by_wtxid[entry.wtxid] = entry
        for outpoint in entry.spends:
            self.spends[outpoint] = entry
        for parent in entry.parents:
            parent.children.add(entry)
        self.total_vsize += entry.vsize
        self.total_fee += entry.fee
        self._usage.added(entry.memory)
        self.sequence += 1
        self.updates += 1
        self._added(entry)

    def _forget(self, entry: MempoolEntry, reason: Removal) -> None:
        del self.entries[entry.txid]
        del self.by_wtxid[entry.wtxid]
        for outpoint in entry.spends:
            self.spends.pop(outpoint, None)
        for parent in entry.parents:
            parent.children.discard(entry)
        for child in entry.children:
            child.parents.discard(entry)
        entry.cluster = None
        self.unbroadcast.discard(entry.txid)
        self.total_vsize -= entry.vsize
        self.total_fee -= entry.fee
        self._usage.removed(entry.memory)
        self.sequence += 1
        self.updates += 1
        self._removed(entry, reason)
