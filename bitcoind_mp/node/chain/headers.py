"""The tree of all known headers, forks included, and the best chain through it. No I/O: the kernel decides, this
remembers.

The kernel's own index has no list of forks and can only be asked from its thread; the node's callers need
ancestors, locators and tips at once, from the loop.
"""

from bisect import bisect_left
from collections.abc import Iterator

from .header import BlockNode, Validity


class HeaderTree:
    """Every known header, the active chain (``tip``), and the chain to the best header.

    ``best_header`` is the header with the most work that isn't known to be invalid; the first seen among equals.
    """

    def __init__(self, genesis: BlockNode) -> None:
        self.genesis = genesis
        self._nodes: dict[bytes, BlockNode] = {genesis.hash: genesis}
        self._active = [genesis]
        self._best = [genesis]
        self._leaves: dict[bytes, BlockNode] = {genesis.hash: genesis}
        self._waiting: dict[BlockNode, list[BlockNode]] = {}
        self.received(genesis, 1)

    # --- asking ---------------------------------------------------------------------------------------------

    @property
    def tip(self) -> BlockNode:
        return self._active[-1]

    @property
    def best_header(self) -> BlockNode:
        return self._best[-1]

    def __len__(self) -> int:
        return len(self._nodes)

    def by_hash(self, hash: bytes) -> BlockNode | None:
        """The node of that hash (display order), on any fork; None if unknown."""
        return self._nodes.get(hash)

    def by_height(self, height: int) -> BlockNode | None:
        """The active chain's block at that height, None above the tip or below 0."""
        return self._active[height] if 0 <= height < len(self._active) else None

    def contains(self, node: BlockNode) -> bool:
        """Whether the node is in the active chain."""
        return node.height < len(self._active) and self._active[node.height] is node

    def next(self, node: BlockNode) -> BlockNode | None:
        """The node's successor in the active chain; None for the tip and for a node that isn't in it."""
        return self.by_height(node.height + 1) if self.contains(node) else None

    def ancestor(self, node: BlockNode, height: int) -> BlockNode | None:
        """The node's ancestor at ``height`` (itself included), on its own branch; None if out of range."""
        if not 0 <= height <= node.height:
            return None
        walk: BlockNode | None = node
        while walk is not None and walk.height > height:
            for chain in (self._active, self._best):
                if walk.height < len(chain) and chain[walk.height] is walk:
                    return chain[height]
            walk = walk.previous
        return walk

    def last_common(self, one: BlockNode, other: BlockNode) -> BlockNode:
        """The last block that both branches share."""
        height = min(one.height, other.height)
        left, right = self.ancestor(one, height), self.ancestor(other, height)
        while left is not right:
            assert left is not None and right is not None
            left, right = left.previous, right.previous
        assert left is not None
        return left

    def fork_from_active(self, node: BlockNode) -> BlockNode:
        """The last block that the node's branch shares with the active chain (``CChain::FindFork``)."""
        walk = node
        while not self.contains(walk):
            assert walk.previous is not None
            walk = walk.previous
        return walk

    def fork_point(self, locator: list[bytes]) -> BlockNode:
        """Where a peer or follower with that locator stands on the active chain; genesis if nowhere
        (``FindForkInGlobalIndex``)."""
        for hash in locator:
            node = self._nodes.get(hash)
            if node is None:
                continue
            if self.contains(node):
                return node
            if self.ancestor(node, self.tip.height) is self.tip:
                return self.tip
        return self.genesis

    def locator(self, node: BlockNode | None = None) -> list[bytes]:
        """Hashes from the node (default: the tip) back to genesis, exponentially thinner after ten."""
        walk: BlockNode | None = node or self.tip
        hashes: list[bytes] = []
        step = 1
        while walk is not None:
            hashes.append(walk.hash)
            if walk.height == 0:
                break
            walk = self.ancestor(walk, max(walk.height - step, 0))
            if len(hashes) > 10:
                step *= 2
        return hashes

    def earliest_at_least(self, time: int, min_height: int = 0) -> BlockNode | None:
        """The active chain's first block from ``min_height`` on by which the chain's running maximum of times has
        reached ``time`` (``CChain::FindEarliestAtLeast``)."""
        index = bisect_left(self._active, time, lo=max(0, min(min_height, len(self._active))), key=lambda n: n.time_max)
        return self.by_height(index)

    def nodes(self) -> Iterator[BlockNode]:
        """Every node, in the order they became known."""
        return iter(list(self._nodes.values()))

    def tips(self) -> list[tuple[BlockNode, int, str]]:
        """Each branch's end, its length beyond the active chain, and Core's word for its state (``getchaintips``):
        ``active``, ``invalid``, ``headers-only``, ``valid-fork`` or ``valid-headers``. Highest first."""
        ends = {*self._leaves.values(), self.tip}
        ends = {end for end in ends if end is self.tip or not self.contains(end)}
        ordered = sorted(ends, key=lambda node: (-node.height, node.hash[::-1]))
        return [(node, node.height - self.fork_from_active(node).height, self._word(node)) for node in ordered]

    def _word(self, node: BlockNode) -> str:
        if self.contains(node):
            return "active"
        if node.failed:
            return "invalid"
        if node.chain_tx_count == 0:
            return "headers-only"
        return "valid-fork" if node.validity >= Validity.SCRIPTS else "valid-headers"

    # --- being told -----------------------------------------------------------------------------------------

    def add(self, header: bytes, hash: bytes = b"", *, failed: bool = False) -> BlockNode | None:
        """The node of that header, made if it is new; None if its parent is unknown. ``failed``: it is known to be
        invalid."""
        known = self._nodes.get(hash) if hash else None
        if known is not None:
            return known
        previous = self._nodes.get(header[35:3:-1])
        if previous is None:
            return None
        node = BlockNode(header, previous, hash)
        known = self._nodes.get(node.hash)
        if known is not None:
            return known
        self._nodes[node.hash] = node
        self._leaves.pop(previous.hash, None)
        self._leaves[node.hash] = node
        node.failed = failed or previous.failed
        if not node.failed and node.chain_work > self.best_header.chain_work:
            _set_tip(self._best, node)
        return node

    def received(self, node: BlockNode, tx_count: int) -> None:
        """The block itself has arrived and is stored (``ReceivedBlockTransactions``)."""
        node.has_data = True
        node.tx_count = tx_count
        node.validity = max(node.validity, Validity.TRANSACTIONS)
        if node.previous is not None and node.previous.chain_tx_count == 0:
            siblings = self._waiting.setdefault(node.previous, [])
            if node not in siblings:
                siblings.append(node)
            return
        ready = [node]
        while ready:
            node = ready.pop()
            before = node.previous.chain_tx_count if node.previous is not None else 0
            node.chain_tx_count = before + node.tx_count
            ready.extend(self._waiting.pop(node, ()))

    def start_at(self, node: BlockNode) -> None:
        """The active chain ends in ``node``: what was found at start."""
        _set_tip(self._active, node)
        if node.chain_work >= self.best_header.chain_work:
            _set_tip(self._best, node)

    def connected(self, node: BlockNode) -> None:
        """The node is the active chain's new tip; its scripts were checked, its undo data is stored."""
        node.validity = Validity.SCRIPTS
        node.has_undo = True
        _set_tip(self._active, node)
        if node.chain_work > self.best_header.chain_work:
            _set_tip(self._best, node)

    def disconnected(self, node: BlockNode) -> None:
        """The node was the tip; its parent is now."""
        assert node.previous is not None
        _set_tip(self._active, node.previous)

    def invalidate(self, node: BlockNode) -> None:
        """The node broke a rule, or somebody says so: it and all that build on it are invalid."""
        node.failed = True
        for other in self._above(node):
            other.failed = True
        if self.best_header.failed:
            self._find_best()

    def reconsider(self, node: BlockNode) -> None:
        """Nothing is held against the node any more, nor against its ancestors and what builds on it."""
        walk: BlockNode | None = node
        while walk is not None:
            walk.failed = False
            walk = walk.previous
        for other in self._above(node):
            other.failed = False
        self._find_best()

    def _above(self, node: BlockNode) -> list[BlockNode]:
        return [n for n in self._nodes.values() if n.height > node.height and self.ancestor(n, node.height) is node]

    def _find_best(self) -> None:
        best = self.tip
        for other in self._nodes.values():
            if not other.failed and other.chain_work > best.chain_work:
                best = other
        _set_tip(self._best, best)


def _set_tip(chain: list[BlockNode], node: BlockNode) -> None:
    """Make ``node`` the list's last, its ancestors below it (``CChain::SetTip``)."""
    branch = []
    walk: BlockNode | None = node
    while walk is not None and not (walk.height < len(chain) and chain[walk.height] is walk):
        branch.append(walk)
        walk = walk.previous
    del chain[node.height + 1 - len(branch) :]
    chain.extend(reversed(branch))
