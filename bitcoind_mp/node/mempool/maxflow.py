"""The heaviest closed set of a small dependency graph, by maximum flow.

What belongs here: graph arithmetic on indexes and integers. What doesn't: transactions, fees, order
(``linearize.py``).

A set is *closed* when it holds the parents of everything in it. Picard's reduction: flow runs from the nodes of
positive weight, over the edges child to parent, into the nodes of negative weight; what the source still reaches
when no more flow fits is the smallest closed set of the greatest weight.
"""

from collections.abc import Sequence


class Closure:
    """The maximum flow through one graph (Dinic's algorithm).

    Args:
        weights: any integers, one for each node.
        parents: for each node the nodes it depends on.
    """

    def __init__(self, weights: Sequence[int], parents: Sequence[Sequence[int]]) -> None:
        self._count = count = len(weights)
        self._source, self._sink = count, count + 1
        self._edges: list[list[int]] = [[] for _ in range(count + 2)]
        self._head: list[int] = []
        self._room: list[int] = []
        unbounded = sum(weight for weight in weights if weight > 0) + 1
        for node, weight in enumerate(weights):
            if weight > 0:
                self._connect(self._source, node, weight)
            elif weight < 0:
                self._connect(node, self._sink, -weight)
            for parent in parents[node]:
                self._connect(node, parent, unbounded)
        while self._level():
            self._next = [0] * (count + 2)
            while self._push(self._source, unbounded):
                pass

    def heaviest(self) -> list[int]:
        """The nodes of the smallest closed set of the greatest weight; empty where no closed set weighs above 0."""
        return [node for node in range(self._count) if self._depth[node] >= 0]

    def components(self) -> list[list[int]]:
        """The nodes grouped so that a closed set of weight 0 holds all of a group or none of it.

        Meaningful where the weights sum to 0 and `heaviest` is empty: the groups are the strongly connected
        components of what room the flow has left.
        """
        reach = [self._reach(node) for node in range(self._count)]
        groups: list[list[int]] = []
        seen = 0
        for node in range(self._count):
            if not seen >> node & 1:
                group = [
                    other for other in range(node, self._count) if reach[node] >> other & 1 and reach[other] >> node & 1
                ]
                seen |= sum(1 << other for other in group)
                groups.append(group)
        return groups

    def _reach(self, start: int) -> int:
        found, queue = 1 << start, [start]
        while queue:
            for edge in self._edges[queue.pop()]:
                node = self._head[edge]
                if node < self._count and self._room[edge] and not found >> node & 1:
                    found |= 1 << node
                    queue.append(node)
        return found

    def _connect(self, tail: int, head: int, room: int) -> None:
        self._edges[tail].append(len(self._head))
        self._edges[head].append(len(self._head) + 1)
        self._head += (head, tail)
        self._room += (room, 0)

    def _level(self) -> bool:
        """Number the nodes by distance from the source; whether the sink is still reached."""
        self._depth = depth = [-1] * (self._count + 2)
        depth[self._source] = 0
        queue = [self._source]
        for node in queue:
            for edge in self._edges[node]:
                head = self._head[edge]
                if self._room[edge] and depth[head] < 0:
                    depth[head] = depth[node] + 1
                    queue.append(head)
        return depth[self._sink] >= 0

    def _push(self, node: int, amount: int) -> int:
        """Send up to ``amount`` from ``node`` to the sink along one path; how much went."""
        if node == self._sink:
            return amount
        edges, depth, room = self._edges[node], self._depth, self._room
        while self._next[node] < len(edges):
            edge = edges[self._next[node]]
            head = self._head[edge]
            if room[edge] and depth[head] == depth[node] + 1 and (sent := self._push(head, min(amount, room[edge]))):
                room[edge] -= sent
                room[edge ^ 1] += sent
                return sent
            self._next[node] += 1
        return 0
