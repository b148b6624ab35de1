"""The best order in which to mine a cluster, and the chunks it falls into.

What belongs here: order as a pure function of fees, sizes and dependencies. What doesn't: the mempool's bookkeeping
(``clusters.py``).

The order is optimal: at every size a prefix of it pays as much as any valid prefix could, in the sense of Bitcoin
Core's feerate diagrams (``src/cluster_linearize.h``), and the chunks are as small as they can be. Core gets there by
improving a spanning forest; here the cluster is divided by its average rate: the heaviest closed set under the
weights ``fee - rate * size`` holds exactly the chunks of a higher rate. A cluster has at most 64 transactions, so
exact is fast enough. Ties are broken as Core breaks them.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from .maxflow import Closure

#: Two different rates of sizes below 2^22 differ by more than 2^-44.
_RATE_BITS = 46


@dataclass(frozen=True)
class Item:
    """A transaction as order sees it: fee in satoshis, size in any unit above 0, and what breaks a tie."""

    fee: int
    size: int
    tie: bytes


def rate_key(fee: int, size: int) -> int:
    """An integer that orders rates exactly, equal for equal rates; sizes below 2^22."""
    return (fee << _RATE_BITS) // size


def linearize(items: Sequence[Item], parents: Sequence[Sequence[int]]) -> list[list[int]]:
    """The chunks in mining order, each a list of indexes in mining order.

    Args:
        items: the transactions of one cluster, in any order.
        parents: for each of them the indexes that it spends from directly.
    """
    if len(items) == 1:
        return [[0]]
    chunks = _ordered(items, parents, _chunks(items, parents))
    order = settle(items, parents, [index for chunk in chunks for index in chunk])
    # settling moves transactions within their chunks alone: the order was the best already
    cuts = iter(order)
    return [[next(cuts) for _ in chunk] for chunk in chunks]


def _chunks(items: Sequence[Item], parents: Sequence[Sequence[int]]) -> list[list[int]]:
    """The sets that are mined as one, in no order."""
    done: list[list[int]] = []
    todo = [list(range(len(items)))]
    while todo:
        part = todo.pop()
        if len(part) == 1:
            done.append(part)
            continue
        place = {index: position for position, index in enumerate(part)}
        fee, size = sum(items[i].fee for i in part), sum(items[i].size for i in part)
        closure = Closure(
            [items[i].fee * size - fee * items[i].size for i in part],
            [[place[p] for p in parents[i] if p in place] for i in part],
        )
        if better := closure.heaviest():
            chosen = set(better)
            todo.append([part[position] for position in better])
            todo.append([index for position, index in enumerate(part) if position not in chosen])
        else:
            done += [[part[position] for position in group] for group in closure.components()]
    return done


def _ordered(
    items: Sequence[Item], parents: Sequence[Sequence[int]], chunks: Sequence[Sequence[int]]
) -> list[list[int]]:
    """Chunks by rate, then the smaller, then the one whose last transaction by tie comes first; parents before all."""
    home = {index: number for number, chunk in enumerate(chunks) for index in chunk}
    waits = [
        {home[p] for index in chunk for p in parents[index] if home[p] != number} for number, chunk in enumerate(chunks)
    ]
    keys = []
    for chunk in chunks:
        fee, size = sum(items[i].fee for i in chunk), sum(items[i].size for i in chunk)
        keys.append((-rate_key(fee, size), size, max(items[i].tie for i in chunk)))
    return [
        [chunks[number][place] for place in _within(items, parents, chunks[number])]
        for number in _topological(keys, waits)
    ]


def _within(items: Sequence[Item], parents: Sequence[Sequence[int]], chunk: Sequence[int]) -> list[int]:
    """The positions in the chunk, by rate, then the smaller, then by tie; parents before all."""
    place = {index: position for position, index in enumerate(chunk)}
    keys = [(-rate_key(items[i].fee, items[i].size), items[i].size, items[i].tie) for i in chunk]
    return _topological(keys, [{place[p] for p in parents[i] if p in place} for i in chunk])


def settle(items: Sequence[Item], parents: Sequence[Sequence[int]], order: Sequence[int]) -> list[int]:
    """The order with better-paying groups moved forward as far as their dependencies let them: once from the back, once
    from the front. Never a worse order, in the sense of the diagram (Core's ``PostLinearize``)."""
    ancestors = _ancestors(parents, order)
    descendants = [0] * len(items)
    for index in order:
        for other in order:
            if ancestors[index] >> other & 1:
                descendants[other] |= 1 << index
    backward = [Item(-item.fee, item.size, item.tie) for item in items]
    order = _move(backward, descendants, order[::-1])[::-1]
    return _move(items, ancestors, order)


def _ancestors(parents: Sequence[Sequence[int]], order: Sequence[int]) -> list[int]:
    """Bit sets, each with itself; ``order`` has parents first."""
    masks = [0] * len(parents)
    for index in order:
        masks[index] = 1 << index
        for parent in parents[index]:
            masks[index] |= masks[parent]
    return masks


@dataclass
class _Group:
    """Consecutive transactions that move together, what they need before them, and what they pay."""

    members: list[int]
    mask: int
    needs: int
    fee: int
    size: int

    def pays_more(self, other: "_Group") -> bool:
        return self.fee * other.size > other.fee * self.size


def _move(items: Sequence[Item], needs: Sequence[int], order: Sequence[int]) -> list[int]:
    """Each in turn goes forward past what pays less, and takes along what it needs."""
    groups: list[_Group] = []
    for index in order:
        group = _Group([index], 1 << index, needs[index], items[index].fee, items[index].size)
        place = len(groups)
        while place and group.pays_more(before := groups[place - 1]):
            place -= 1
            if group.needs & before.mask:
                group = _Group(
                    before.members + group.members,
                    before.mask | group.mask,
                    before.needs | group.needs,
                    before.fee + group.fee,
                    before.size + group.size,
                )
                del groups[place]
        groups.insert(place, group)
    return [index for group in groups for index in group.members]


def _topological(keys: Sequence[tuple[int, int, bytes]], waits: Sequence[set[int]]) -> list[int]:
    """Always the smallest key among those that wait for nothing more."""
    left = [len(wait) for wait in waits]
    after: list[list[int]] = [[] for _ in keys]
    for number, wait in enumerate(waits):
        for other in wait:
            after[other].append(number)
    ready = [(keys[number], number) for number, count in enumerate(left) if not count]
    heapq.heapify(ready)
    order = []
    while ready:
        _, number = heapq.heappop(ready)
        order.append(number)
        for other in after[number]:
            left[other] -= 1
            if not left[other]:
                heapq.heappush(ready, (keys[other], other))
    return order
