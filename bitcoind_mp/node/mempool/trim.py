"""Joining clusters that a reorganisation connects, and cutting what that makes too large (Core's ``TxGraph::Trim``).

Transactions of disconnected blocks come back under children that are already here. Where the clusters so joined break
the limits, their transactions are taken up again: best chunk first, each cluster in its own order, parents before
children, and each only if what it then connects stays within the limits. What isn't taken up goes.
"""

import heapq
from collections.abc import Collection, Mapping, Sequence

from .clusters import Cluster, Clusters
from .entry import MempoolEntry
from .linearize import rate_key

#: For each child the parents that it is to be connected to.
Links = Mapping[MempoolEntry, Collection[MempoolEntry]]


def excess(links: Links, limits: Clusters) -> set[MempoolEntry]:
    """The entries to remove before the links are made; with each, all that depend on it."""
    found: set[MempoolEntry] = set()
    for group in _groups(links):
        entries = [entry for cluster in group for entry in cluster.entries]
        if limits.too_large(Cluster(entries)):
            found |= set(entries) - _taken_up(group, links, limits)
    return found


def _groups(links: Links) -> list[list[Cluster]]:
    """The clusters that the links connect, grouped."""
    home: dict[Cluster, list[Cluster]] = {}
    for child, parents in links.items():
        clusters = {entry.cluster for entry in (child, *parents)}
        merged: list[Cluster] = []
        for cluster in clusters:
            if cluster is not None and cluster not in merged:
                merged += home.get(cluster, [cluster])
        home.update(dict.fromkeys(merged, merged))
    return list({id(group): group for group in home.values()}.values())


class _Part:
    """Entries taken up so far that are connected."""

    def __init__(self, entries: list[MempoolEntry], weight: int) -> None:
        self.entries = entries
        self.weight = weight


def _taken_up(group: Sequence[Cluster], links: Links, limits: Clusters) -> set[MempoolEntry]:
    needs: dict[MempoolEntry, set[MempoolEntry]] = {}
    rank: dict[MempoolEntry, tuple[int, int, bytes]] = {}
    for cluster in group:
        before: set[MempoolEntry] = set()
        for chunk in cluster.chunks:
            for entry in chunk.entries:
                needs[entry] = before | set(links.get(entry, ()))
                rank[entry] = (-rate_key(chunk.fee, chunk.weight), chunk.weight, entry.tie)
                before = {entry}
    waiting: dict[MempoolEntry, list[MempoolEntry]] = {}
    for entry, others in needs.items():
        for other in others:
            waiting.setdefault(other, []).append(entry)
    home: dict[MempoolEntry, _Part] = {}
    heap = [(rank[entry], entry) for entry, others in needs.items() if not others]
    heapq.heapify(heap)
    while heap:
        _, entry = heapq.heappop(heap)
        parts = {id(part): part for part in (home[other] for other in needs[entry])}.values()
        count = 1 + sum(len(part.entries) for part in parts)
        weight = entry.adjusted_weight + sum(part.weight for part in parts)
        if count > limits.max_count or weight > limits.max_weight:
            continue
        merged = _Part([entry, *(member for part in parts for member in part.entries)], weight)
        home.update(dict.fromkeys(merged.entries, merged))
        for other in waiting.get(entry, ()):
            if needs[other] <= home.keys():
                heapq.heappush(heap, (rank[other], other))
    return set(home)
