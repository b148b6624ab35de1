"""Cutting a cluster that a reorganisation made too large down to the limits (the idea of Core's ``TxGraph::Trim``).

A quick choice, not the best one: the transactions are taken up again by their own fee rates, parents first, each where
what it connects stays within the limits. What isn't taken up goes.
"""

import heapq

from .clusters import Cluster, Clusters
from .entry import MempoolEntry
from .linearize import rate_key


def excess(cluster: Cluster, limits: Clusters) -> set[MempoolEntry]:
    """The entries to remove; with each, all that depend on it."""
    home: dict[MempoolEntry, _Part] = {}
    heap = [_ready(entry) for entry in cluster.entries if not entry.parents]
    heapq.heapify(heap)
    while heap:
        entry = heapq.heappop(heap)[-1]
        parts = {id(part): part for parent in entry.parents if (part := home[parent])}.values()
        count = 1 + sum(len(part.entries) for part in parts)
        weight = entry.adjusted_weight + sum(part.weight for part in parts)
        if count > limits.max_count or weight > limits.max_weight:
            continue
        merged = _Part([entry, *(member for part in parts for member in part.entries)], weight)
        for member in merged.entries:
            home[member] = merged
        for child in entry.children:
            if child not in home and all(parent in home for parent in child.parents):
                heapq.heappush(heap, _ready(child))
    return set(cluster.entries) - home.keys()


class _Part:
    """Entries taken up so far that are connected."""

    def __init__(self, entries: list[MempoolEntry], weight: int) -> None:
        self.entries = entries
        self.weight = weight


def _ready(entry: MempoolEntry) -> tuple[int, bytes, MempoolEntry]:
    return (-rate_key(entry.modified_fee, entry.adjusted_weight), entry.tie, entry)
