"""Which blocks to ask which peer for, headers known first. No socket, no clock: time is passed in.

Core's ``FindNextBlocksToDownload`` (``src/net_processing.cpp``), with its numbers.
"""

from dataclasses import dataclass

from bitcoind_mp.node.chain.header import BlockNode
from bitcoind_mp.node.chain.state import ChainState

#: Blocks that one peer is asked for at a time (``MAX_BLOCKS_IN_TRANSIT_PER_PEER``).
MAX_IN_FLIGHT = 16
#: How far past the last common block to ask (``BLOCK_DOWNLOAD_WINDOW``): bounds what lies unconnected on the disk.
WINDOW = 1024
#: Seconds that a peer has to deliver a block it was asked for before it is disconnected.
BLOCK_TIMEOUT = 60.0


@dataclass(frozen=True)
class InFlight:
    """A block that was asked for: from which peer, and by when it has to be here."""

    node: BlockNode
    peer: int
    deadline: float


class BlockDownload:
    """The blocks that are being fetched, for all peers together."""

    def __init__(self, chain: ChainState) -> None:
        self._chain = chain
        self._in_flight: dict[bytes, InFlight] = {}
        self._processing: set[bytes] = set()

    def in_flight(self, peer: int) -> list[BlockNode]:
        """What that peer was asked for and hasn't sent."""
        return [request.node for request in self._in_flight.values() if request.peer == peer]

    def next_blocks(self, peer: int, best: BlockNode, now: float) -> list[BlockNode]:
        """What to ask the peer for now, whose best known block is ``best``; counted as asked from here on."""
        room = MAX_IN_FLIGHT - len(self.in_flight(peer))
        if room <= 0 or best.chain_work <= self._chain.tip.chain_work:
            return []
        asked = []
        for node in self._missing(best):
            if node.hash in self._in_flight:
                continue
            self._in_flight[node.hash] = InFlight(node, peer, now + BLOCK_TIMEOUT)
            asked.append(node)
            if len(asked) == room:
                break
        return asked

    def _missing(self, best: BlockNode) -> list[BlockNode]:
        """The blocks on the way to ``best`` that aren't here, the oldest first, within the window."""
        fork = best
        while not self._chain.contains(fork):
            step = self._chain.ancestor(fork, min(fork.height - 1, self._chain.height))
            if step is None:
                return []
            fork = step
        end = self._chain.ancestor(best, min(best.height, fork.height + WINDOW))
        branch: list[BlockNode] = []
        node = end
        while node is not None and node is not fork:
            if node.failed:
                return []  # nothing on top of an invalid block is worth having
            branch.append(node)
            node = node.previous
        branch.reverse()
        return [node for node in branch if not node.has_data and node.hash not in self._processing]

    def received(self, hash: bytes) -> None:
        """The block is here and goes to the kernel: not asked for again meanwhile."""
        self._in_flight.pop(hash, None)
        self._processing.add(hash)

    def processed(self, hash: bytes) -> None:
        """The kernel has spoken."""
        self._processing.discard(hash)

    def refused(self, peer: int, hash: bytes) -> None:
        """The peer hasn't got it after all."""
        request = self._in_flight.get(hash)
        if request is not None and request.peer == peer:
            del self._in_flight[hash]

    def forget_peer(self, peer: int) -> None:
        """The peer is gone: others may be asked for its blocks."""
        for hash in [hash for hash, request in self._in_flight.items() if request.peer == peer]:
            del self._in_flight[hash]

    def late(self, now: float) -> set[int]:
        """The peers that let a deadline pass."""
        return {request.peer for request in self._in_flight.values() if request.deadline <= now}

    def next_deadline(self) -> float | None:
        """When `late` may next name somebody."""
        return min((request.deadline for request in self._in_flight.values()), default=None)
