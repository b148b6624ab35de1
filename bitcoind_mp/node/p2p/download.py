"""Which blocks to ask which peer for, headers known first. No socket, no clock: time is passed in.

Core's ``FindNextBlocksToDownload`` and the timeouts of ``SendMessages`` (``src/net_processing.cpp``), with its numbers.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from bitcoind_mp.node.chain.header import BlockNode
from bitcoind_mp.node.chain.state import ChainState

from .peer import Peer

#: Blocks that one peer is asked for at a time (``MAX_BLOCKS_IN_TRANSIT_PER_PEER``).
MAX_IN_FLIGHT = 16
#: How far past the last common block to ask (``BLOCK_DOWNLOAD_WINDOW``): bounds what lies unconnected on the disk.
WINDOW = 1024
#: A peer has so many times the time between blocks for the one it owes, and so much more for each other that is asked
#: at the same time (``BLOCK_DOWNLOAD_TIMEOUT_BASE``, ``_PER_PEER``).
_TIMEOUT, _TIMEOUT_PER_PEER = 1.0, 0.5
#: Seconds that a peer has which alone holds up all others: at first, and at most (``BLOCK_STALLING_TIMEOUT_…``). It
#: doubles with each that was too slow, and shrinks with each block.
_STALLING, _STALLING_MOST, _STALLING_SHRINKS = 2.0, 64.0, 0.85
#: Seconds past its time that a peer is forgiven because we are behind.
_FORBEARANCE = 600.0
#: Blocks that a peer with only the newest has for sure, less what may come meanwhile.
_LIMITED = 288 - 2


@dataclass(frozen=True)
class InFlight:
    """A block that was asked for, and from which peer."""

    node: BlockNode
    peer: int


class BlockDownload:
    """The blocks that are being fetched, for all peers together.

    Args:
        chain: ours.
        peers: the connected peers by number; the owner's own, seen here as it changes.
    """

    def __init__(self, chain: ChainState, peers: dict[int, Peer]) -> None:
        self._chain = chain
        self._peers = peers
        self._in_flight: dict[bytes, InFlight] = {}
        self._processing: dict[bytes, int] = {}
        self._stalling = _STALLING

    def __bool__(self) -> bool:
        """Whether anything was asked for."""
        return bool(self._in_flight)

    def in_flight(self, peer: int) -> list[BlockNode]:
        """What that peer was asked for and hasn't sent, the oldest request first."""
        return [request.node for request in self._in_flight.values() if request.peer == peer]

    def next_blocks(self, peer: Peer, now: float) -> list[BlockNode]:
        """What to ask the peer for now; counted as asked from here on."""
        owed = len(self.in_flight(peer.number))
        room = MAX_IN_FLIGHT - owed
        chain, best = self._chain, peer.best_known
        if room <= 0 or best is None:
            return []
        if best.chain_work < max(chain.tip.chain_work, chain.params.minimum_chain_work):
            return []
        nodes, blocker = self._missing(peer, best, room)
        for node in nodes:
            self.requested(peer, node, now)
        if not nodes and not owed and blocker is not None:
            staller = self._peers.get(blocker)
            if staller is not None and staller.stalling_since is None:
                staller.stalling_since = now
        return nodes

    def _missing(self, peer: Peer, best: BlockNode, room: int) -> tuple[list[BlockNode], int | None]:
        """The blocks on the way to ``best`` that aren't here, the oldest first, within the window; where there are none
        because of another peer's being late, that peer."""
        chain = self._chain
        common = self._last_common(peer, best)
        end = common.height + WINDOW
        found: list[BlockNode] = []
        awaited = None
        for node in self._towards(best, common, min(best.height, end + 1)):
            if node.failed or not (peer.serves_witnesses or node.height == 0):
                return found, None  # nothing on top of it is worth having
            if node.has_data or chain.contains(node):
                if node.chain_tx_count:
                    peer.last_common = node
                continue
            if node.hash in self._processing:
                continue
            if (request := self._in_flight.get(node.hash)) is not None:
                awaited = request.peer if awaited is None else awaited
                continue
            if node.height > end:
                return found, None if found or awaited == peer.number else awaited
            if peer.serves_newest_only and best.height - node.height >= _LIMITED:
                continue
            found.append(node)
            if len(found) == room:
                break
        return found, None

    def _last_common(self, peer: Peer, best: BlockNode) -> BlockNode:
        """Where to go on: the newest block of the peer's chain that is known to be here."""
        fork = self._chain.headers.fork_from_active(best)
        last = peer.last_common
        if last is None or fork.chain_work > last.chain_work or self._chain.ancestor(best, last.height) is not last:
            peer.last_common = last = fork
        return last

    def _towards(self, best: BlockNode, start: BlockNode, height: int) -> Iterable[BlockNode]:
        """From the one after ``start`` to the ancestor of ``best`` at ``height``."""
        branch: list[BlockNode] = []
        node = self._chain.ancestor(best, height) if height > start.height else None
        while node is not None and node is not start:
            branch.append(node)
            node = node.previous
        return reversed(branch)

    def requested(self, peer: Peer, node: BlockNode, now: float) -> None:
        """The peer was asked for the block."""
        if not self.in_flight(peer.number):
            peer.downloading_since = now
        self._in_flight[node.hash] = InFlight(node, peer.number)

    def fetch(self, peer: Peer, node: BlockNode, now: float) -> None:
        """Ask this peer for the block, whoever was asked before; told by whoever sends the request."""
        self._in_flight.pop(node.hash, None)
        self.requested(peer, node, now)

    def received(self, hash: bytes, peer: Peer, now: float) -> bool:
        """The block came from the peer, and goes to the kernel: not asked for again meanwhile. Whether it was asked of
        anybody."""
        self._processing[hash] = peer.number
        request = self._in_flight.get(hash)
        if request is not None and request.peer == peer.number:
            self._done(hash, now)
        return request is not None

    def stored(self, hash: bytes, now: float) -> None:
        """The block is here: nobody has to send it any more."""
        if hash in self._in_flight:
            self._done(hash, now)

    def processed(self, hash: bytes, now: float) -> None:
        """The kernel has spoken. Time that it took isn't held against the peer."""
        sender = self._peers.get(self._processing.pop(hash, -1))
        if sender is not None:
            sender.downloading_since = now

    def connected(self) -> None:
        """A block came into the chain: peers that are slow to send are given less time again."""
        if self._stalling > _STALLING:
            self._stalling = max(_STALLING, self._stalling * _STALLING_SHRINKS)

    def forget_peer(self, peer: int) -> None:
        """The peer is gone: others may be asked for its blocks."""
        for hash in [hash for hash, request in self._in_flight.items() if request.peer == peer]:
            del self._in_flight[hash]

    def late(self, peer: Peer, now: float) -> str:
        """Why the peer is too slow; empty where it isn't, or where it waits for us: the kernel has a block of its, or
        we are behind with what it sent."""
        if peer.number in self._processing.values():
            return ""
        if peer.link.is_behind and now <= self._deadline(peer) + _FORBEARANCE:
            return ""
        if peer.stalling_since is not None and now > peer.stalling_since + self._stalling:
            self._stalling = min(2 * self._stalling, _STALLING_MOST)
            return "stalling the block download"
        if self.in_flight(peer.number) and now > self._deadline(peer):
            return "timeout downloading a block"
        return ""

    def next_deadline(self) -> float | None:
        """When `late` may next name somebody."""
        busy = {request.peer for request in self._in_flight.values()}
        deadlines = [self._deadline(self._peers[number]) for number in busy if number in self._peers]
        stalled = [p.stalling_since + self._stalling for p in self._peers.values() if p.stalling_since is not None]
        return min([*deadlines, *stalled], default=None)

    def _deadline(self, peer: Peer) -> float:
        others = len({request.peer for request in self._in_flight.values()} - {peer.number})
        spacing = self._chain.params.consensus.pow_target_spacing
        return peer.downloading_since + spacing * (_TIMEOUT + _TIMEOUT_PER_PEER * others)

    def _done(self, hash: bytes, now: float) -> None:
        request = self._in_flight.pop(hash)
        asked = self._peers.get(request.peer)
        if asked is not None:
            asked.stalling_since = None
            asked.downloading_since = now
