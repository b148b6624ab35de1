"""Which blocks to ask which peer for, headers known first. No socket, no clock: time is passed in.

Core's ``FindNextBlocksToDownload`` (``src/net_processing.cpp``), with its numbers.
"""

from collections.abc import Collection
from dataclasses import dataclass

from bitcoind_mp.node.chain.header import BlockNode
from bitcoind_mp.node.chain.state import ChainState

#: Blocks that one peer is asked for at a time (``MAX_BLOCKS_IN_TRANSIT_PER_PEER``).
MAX_IN_FLIGHT = 16
#: How far past the last common block to ask (``BLOCK_DOWNLOAD_WINDOW``): bounds what lies unconnected on the disk.
WINDOW = 1024
#: Seconds that a peer has, since it last delivered a block, to deliver the next before it is disconnected; and for any
#: block, whatever else it does meanwhile.
BLOCK_TIMEOUT = 60.0
LONGEST = 600.0


@dataclass
class InFlight:
    """A block that was asked for: from which peer, when, and since when the peer could have sent it."""

    node: BlockNode
    peer: int
    asked: float
    since: float


class BlockDownload:
    """The blocks that are being fetched, for all peers together."""

    def __init__(self, chain: ChainState) -> None:
        self._chain = chain
        self._in_flight: dict[bytes, InFlight] = {}
        self._processing: dict[bytes, int] = {}

    def in_flight(self, peer: int) -> list[BlockNode]:
        """What that peer was asked for and hasn't sent."""
        return [request.node for request in self._in_flight.values() if request.peer == peer]

    def next_blocks(self, peer: int, best: BlockNode, now: float) -> list[BlockNode]:
        """What to ask the peer for now, whose best known block is ``best``; counted as asked from here on."""
        room = MAX_IN_FLIGHT - len(self.in_flight(peer))
        least = max(self._chain.tip.chain_work + 1, self._chain.params.minimum_chain_work)
        if room <= 0 or best.chain_work < least:
            return []
        asked = []
        for node in self._missing(best):
            if node.hash in self._in_flight:
                continue
            self._in_flight[node.hash] = InFlight(node, peer, now, now)
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

    def was_asked_for(self, hash: bytes) -> bool:
        """Whether some peer owes us this block."""
        return hash in self._in_flight

    def received(self, peer: int, hash: bytes) -> None:
        """The peer's block is here and goes to the kernel: not asked for again meanwhile."""
        self._in_flight.pop(hash, None)
        self._processing[hash] = peer

    def processed(self, hash: bytes, now: float) -> None:
        """The kernel has spoken."""
        peer = self._processing.pop(hash, None)
        for request in self._in_flight.values():
            if request.peer == peer:
                request.since = now

    def forget_peer(self, peer: int) -> None:
        """The peer is gone: others may be asked for its blocks."""
        for hash in [hash for hash, request in self._in_flight.items() if request.peer == peer]:
            del self._in_flight[hash]

    def late(self, now: float, behind: Collection[int] = ()) -> set[int]:
        """The peers that owe a block for too long. Time in which the kernel has one of theirs doesn't count, nor such
        in which we are ``behind`` with what they sent: they wait for us, up to a bound."""
        busy = set(self._processing.values())
        return {
            request.peer
            for request in self._in_flight.values()
            if request.peer not in busy
            and (
                (request.peer not in behind and request.since + BLOCK_TIMEOUT <= now) or request.asked + LONGEST <= now
            )
        }

    def next_deadline(self) -> float | None:
        """When `late` may next name somebody."""
        return min((request.since + BLOCK_TIMEOUT for request in self._in_flight.values()), default=None)
