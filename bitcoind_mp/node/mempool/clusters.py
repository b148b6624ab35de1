"""The mempool's clusters: transactions connected by spending, each cluster in its best mining order.

What belongs here: grouping, limits, order across clusters, and what a change would do to them (Core's
``src/txgraph.cpp``). What doesn't: which transactions there are (``store.py``), and how one cluster is ordered
(``linearize.py``).

A `Cluster` never changes. A change is *staged*: new clusters are made of the old ones it touches, looked at, and
then installed or dropped. Order is worked out when first asked for.
"""

import heapq
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from .diagram import improves
from .entry import MempoolEntry
from .linearize import Item, linearize, rate_key

#: How chunks of the whole mempool are ordered for mining, smallest first.
OrderKey = tuple[int, int, bytes]


@dataclass(frozen=True, eq=False, slots=True)
class Chunk:
    """A piece of a cluster that is mined or evicted as one: modified fees and adjusted weight.

    ``order`` sorts chunks of different clusters: rate, then how much of that rate comes before it and with it in its
    own cluster, then the greatest txid.
    """

    fee: int
    weight: int
    entries: tuple[MempoolEntry, ...]
    order: OrderKey

    @property
    def vsize(self) -> int:
        """vB, rounded up."""
        return -(-self.weight // 4)


class Cluster:
    """Connected transactions; compare with ``is``."""

    def __init__(self, entries: Collection[MempoolEntry]) -> None:
        self.entries = tuple(entries)
        self.weight = sum(entry.adjusted_weight for entry in self.entries)
        self.alive = False

    @cached_property
    def chunks(self) -> tuple[Chunk, ...]:
        """In mining order, and in each the transactions in mining order."""
        place = {entry: index for index, entry in enumerate(self.entries)}
        items = [Item(entry.modified_fee, entry.adjusted_weight, entry.tie) for entry in self.entries]
        parents = [[place[parent] for parent in entry.parents if parent in place] for entry in self.entries]
        chunks: list[Chunk] = []
        same, before = None, 0
        for indexes in linearize(items, parents):
            fee, weight = sum(items[i].fee for i in indexes), sum(items[i].size for i in indexes)
            rate = rate_key(fee, weight)
            before = (before if rate == same else 0) + weight
            same = rate
            order = (-rate, before, max(items[i].tie for i in indexes))
            chunks.append(Chunk(fee, weight, tuple(self.entries[i] for i in indexes), order))
        return tuple(chunks)

    def chunk_of(self, entry: MempoolEntry) -> Chunk:
        """The chunk that holds the entry."""
        return next(chunk for chunk in self.chunks if entry in chunk.entries)


@dataclass(frozen=True)
class Staged:
    """A change that hasn't happened: these clusters would give way to those."""

    before: tuple[Cluster, ...]
    after: tuple[Cluster, ...]

    def improves(self) -> bool:
        """Whether the fee rate diagram gets better somewhere and worse nowhere (``ImprovesFeerateDiagram``)."""
        old = [(chunk.fee, chunk.weight) for cluster in self.before for chunk in cluster.chunks]
        new = [(chunk.fee, chunk.weight) for cluster in self.after for chunk in cluster.chunks]
        return improves(new, old)


@dataclass
class Clusters:
    """All clusters of the mempool. Limits: transactions and adjusted weight a cluster may have."""

    max_count: int
    max_weight: int
    _all: set[Cluster] = field(default_factory=set)
    _unranked: set[Cluster] = field(default_factory=set)
    _worst: list[tuple[int, int, "_Descending", int, Cluster]] = field(default_factory=list)
    _serial: int = 0

    def __len__(self) -> int:
        return len(self._all)

    def stage(self, removed: Collection[MempoolEntry], added: Sequence[MempoolEntry] = ()) -> Staged:
        """What taking these away and adding those would do.

        ``added`` name their parents, in the mempool or among themselves; no other entry names them.
        """
        gone = frozenset(removed)
        touched = {entry.cluster for entry in gone}
        touched |= {parent.cluster for entry in added for parent in entry.parents}
        before = tuple(cluster for cluster in touched if cluster is not None)
        left = [entry for cluster in before for entry in cluster.entries if entry not in gone]
        return Staged(before, tuple(map(Cluster, _components([*left, *added]))))

    def oversized(self, staged: Staged) -> bool:
        """Whether a cluster would break the limits."""
        return any(self.too_large(cluster) for cluster in staged.after)

    def too_large(self, cluster: Cluster) -> bool:
        return len(cluster.entries) > self.max_count or cluster.weight > self.max_weight

    def oversize(self) -> list[Cluster]:
        """The clusters that break the limits: only a reorganisation makes such."""
        return [cluster for cluster in self._all if self.too_large(cluster)]

    def install(self, staged: Staged) -> None:
        """Make the change."""
        for cluster in staged.before:
            cluster.alive = False
            self._all.discard(cluster)
            self._unranked.discard(cluster)
        for cluster in staged.after:
            cluster.alive = True
            self._all.add(cluster)
            self._unranked.add(cluster)
            for entry in cluster.entries:
                entry.cluster = cluster

    def merge(self, entries: Collection[MempoolEntry]) -> None:
        """Make one cluster of those that hold these, whatever the limits."""
        before = {cluster for entry in entries if (cluster := entry.cluster) is not None}
        self.install(Staged(tuple(before), (Cluster([entry for cluster in before for entry in cluster.entries]),)))

    def refresh(self, cluster: Cluster) -> None:
        """Order a cluster anew: a fee or a dependency within it has changed."""
        self.install(Staged((cluster,), (Cluster(cluster.entries),)))

    def chunks(self) -> list[Chunk]:
        """Every chunk in the order of mining."""
        chunks = [chunk for cluster in self._all for chunk in cluster.chunks]
        chunks.sort(key=lambda chunk: chunk.order)
        return chunks

    def worst(self) -> Chunk:
        """The last chunk of all.

        Raises:
            IndexError: there is none.
        """
        if len(self._worst) > 2 * len(self._all) + 100:
            self._worst, self._unranked = [], set(self._all)
        for cluster in self._unranked:
            self._serial += 1
            rate, before, tie = cluster.chunks[-1].order
            heapq.heappush(self._worst, (-rate, -before, _Descending(tie), self._serial, cluster))
        self._unranked.clear()
        while not self._worst[0][4].alive:
            heapq.heappop(self._worst)
        return self._worst[0][4].chunks[-1]


class _Descending:
    """Bytes that compare the other way round: a heap has the smallest in front."""

    __slots__ = ("value",)

    def __init__(self, value: bytes) -> None:
        self.value = value

    def __lt__(self, other: "_Descending") -> bool:
        return self.value > other.value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and self.value == other.value

    __hash__ = None  # type: ignore[assignment]


def _components(entries: Iterable[MempoolEntry]) -> list[list[MempoolEntry]]:
    """The entries grouped by connection; only ties among themselves count."""
    near: dict[MempoolEntry, list[MempoolEntry]] = {entry: [] for entry in entries}
    for entry in near:
        for parent in entry.parents:
            if parent in near:
                near[entry].append(parent)
                near[parent].append(entry)
    groups = []
    seen: set[MempoolEntry] = set()
    for start in near:
        if start not in seen:
            seen.add(start)
            group = [start]
            for entry in group:
                for other in near[entry]:
                    if other not in seen:
                        seen.add(other)
                        group.append(other)
            groups.append(group)
    return groups
