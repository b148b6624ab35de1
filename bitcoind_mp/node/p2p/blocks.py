"""Headers and blocks, both ways: what peers have is fetched, what we have is announced and served.

Core's ``src/net_processing.cpp``, the headers-first part. Which block to ask whom for is in ``download.py``.
"""

import asyncio
import logging
import time
from collections.abc import Iterable

from btclib.block.block_header import BlockHeader
from btclib.hashes import hash256
from btclib.p2p import GetBlocks, GetData, GetHeaders, Headers, Inv, Inventory, InventoryType
from btclib.p2p.limits import MAX_HEADERS_RESULTS, PROTOCOL_VERSION

from bitcoind_mp.node.chain.contents import BlockContents
from bitcoind_mp.node.chain.header import BlockNode, work_of
from bitcoind_mp.node.chain.state import BlockDecodeError, BlockUnavailable, ChainState, DiskFull

from .download import BlockDownload
from .headers import HeadersGate, parse_headers
from .inventory import Item
from .peer import Peer
from .wire import PeerMisbehavedError

log = logging.getLogger("bitcoind_mp.net")

#: Headers announced directly when several blocks come at once (``MAX_BLOCKS_TO_ANNOUNCE``); more are an inv of the tip.
MAX_HEADERS_ANNOUNCED = 8
#: Runs of headers that don't connect before the peer is given up (``MAX_NUM_UNCONNECTING_HEADERS_MSGS``).
MAX_UNCONNECTING = 10
#: Blocks past the tip that are kept though nobody was asked for them (``MIN_BLOCKS_TO_KEEP``).
_TOO_FAR_AHEAD = 288
#: Seconds until another look at peers that owe a block and may not be to blame.
_LOOK_AGAIN = 1.0
#: Blocks told in answer to a ``getblocks``.
_GETBLOCKS_LIMIT = 500

#: Why a header or block may be refused without its sender being to blame: one of the two clocks is, or somebody said
#: here that the block is invalid (`invalidateblock`).
_BLAMELESS = ("time-too-new", "duplicate-invalid")
#: The same, of a peer that the operator named.
_PARDONED = "bad-prevblk"

BLOCK_TYPES = {InventoryType.MSG_BLOCK, InventoryType.MSG_WITNESS_BLOCK, InventoryType.MSG_CMPCT_BLOCK}


class BlockRelay:
    """The chain, kept the same with every peer. Lives in the loop.

    Args:
        chain: ours.
        peers: the connected peers by number; the owner's own, seen here as it changes.
    """

    def __init__(self, chain: ChainState, peers: dict[int, Peer]) -> None:
        self._chain = chain
        self._peers = peers
        self._gate = HeadersGate(chain)
        self._download = BlockDownload(chain)
        self._timer: asyncio.TimerHandle | None = None

    def greet(self, peer: Peer) -> None:
        """The peer's handshake is complete."""
        if peer.serves_blocks:
            self.ask_for_headers(peer, self._chain.best_header.previous or self._chain.best_header)

    def forget(self, peer: Peer) -> None:
        """The peer is gone: its blocks are asked of others."""
        self._download.forget_peer(peer.number)
        self._ask_for_blocks()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def in_flight(self, peer: Peer) -> list[BlockNode]:
        """The blocks that it was asked for."""
        return self._download.in_flight(peer.number)

    # --- fetching

    def ask_for_headers(self, peer: Peer, since: BlockNode | None = None) -> None:
        """What comes after ``since``, by default after our best header."""
        peer.send(GetHeaders(PROTOCOL_VERSION, self._chain.locator(since or self._chain.best_header)))

    async def on_headers(self, peer: Peer, payload: bytes) -> None:
        headers = parse_headers(payload)
        if not headers:
            peer.headers_sync = None  # it has no more, after all
            return
        self._gate.check(headers)
        full = len(headers) == MAX_HEADERS_RESULTS
        released = self._gate.redownloaded(peer, headers)
        if released is not None:
            headers = released
            if not headers:
                return
        start = self._chain.by_hash(headers[0][35:3:-1])
        if start is None:
            peer.unconnecting_headers += 1
            if peer.unconnecting_headers > MAX_UNCONNECTING:
                raise PeerMisbehavedError("headers that never connect")
            self.ask_for_headers(peer)
            return
        if released is None and self._gate.holds_back(peer, start, headers):
            return
        await self._take_headers(peer, headers)
        peer.unconnecting_headers = 0
        last = self._chain.by_hash(hash256(headers[-1])[::-1])
        if full and peer.headers_sync is None and last is not None:
            self.ask_for_headers(peer, last)
        self._ask_for_blocks()

    async def _take_headers(self, peer: Peer, headers: list[bytes]) -> None:
        outcome = await self._chain.submit_headers(headers)
        if outcome.last is not None:
            peer.learned(outcome.last)
        if outcome.reason is not None and not _pardoned(peer, outcome.reason):
            raise PeerMisbehavedError(f"invalid header received: {outcome.reason}")

    def announced(self, peer: Peer, hashes: list[bytes]) -> None:
        """The peer says that it has these blocks."""
        nodes = [self._chain.by_hash(hash) for hash in hashes]
        for node in nodes:
            if node is not None:
                peer.learned(node)
        if None in nodes and peer.headers_sync is None:  # which would begin anew
            self.ask_for_headers(peer)
        self._ask_for_blocks()

    def refused(self, peer: Peer, hashes: Iterable[bytes]) -> None:
        """The peer hasn't got these blocks after all: it would only be asked again."""
        if owed := {node.hash for node in self.in_flight(peer)} & set(hashes):
            raise PeerMisbehavedError(f"block {owed.pop().hex()} isn't there though it was announced")

    async def on_block(self, peer: Peer, payload: bytes) -> None:
        if len(payload) < 80:
            raise PeerMisbehavedError("block shorter than its header")
        header = payload[:80]
        hash, parent = hash256(header)[::-1], self._chain.by_hash(header[35:3:-1])
        if parent is None:
            raise PeerMisbehavedError("block of an unknown parent")
        peer.traffic.last_block = int(time.time())
        if not self._download.was_asked_for(hash) and not await self._is_welcome(peer, hash, header, parent):
            return
        self._download.received(peer.number, hash)
        try:
            outcome = await self._chain.submit_block(payload, durable=not self._chain.initial_block_download)
        except BlockDecodeError as error:
            raise PeerMisbehavedError(f"block can't be read: {error}") from error
        except DiskFull as error:
            log.error("No room for block %s: %s", hash.hex(), error)
            return
        finally:
            self._download.processed(hash, time.monotonic())
        node = self._chain.by_hash(hash)
        if node is not None and outcome.accepted:
            peer.learned(node)
        refused = not outcome.accepted and outcome.reason not in (None, "duplicate", "inconclusive")
        if refused and not _pardoned(peer, str(outcome.reason)):
            raise PeerMisbehavedError(f"invalid block {hash.hex()}: {outcome.reason}")
        self._ask_for_blocks()

    async def _is_welcome(self, peer: Peer, hash: bytes, header: bytes, parent: BlockNode) -> bool:
        """Whether a block that nobody was asked for is worth the disk (``AcceptBlock``). Its header may be worth
        keeping though it isn't."""
        self._gate.check([header])
        work = parent.chain_work + work_of(int.from_bytes(header[72:76], "little"))
        if self._chain.by_hash(hash) is None:
            if work < self._gate.threshold:
                return False
            await self._take_headers(peer, [header])
        node, tip = self._chain.by_hash(hash), self._chain.tip
        if node is None or node.has_data:
            if node is not None:
                peer.learned(node)
            return False
        return (
            work >= max(tip.chain_work, self._chain.params.minimum_chain_work)
            and node.height <= tip.height + _TOO_FAR_AHEAD
        )

    def _ask_for_blocks(self) -> None:
        """Give every peer with room something to fetch."""
        now = time.monotonic()
        for peer in self._peers.values():
            if not peer.ready or not peer.serves_blocks or peer.best_known is None:
                continue
            nodes = self._download.next_blocks(peer.number, peer.best_known, now)
            if nodes:
                peer.send(GetData([Inventory(InventoryType.MSG_WITNESS_BLOCK, node.hash) for node in nodes]))
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._download.next_deadline()
        if due is not None:
            wait = max(_LOOK_AGAIN, due - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait, self._give_up)

    def _give_up(self) -> None:
        """Peers that owe a block for too long are disconnected; others are asked then."""
        behind = {number for number, peer in self._peers.items() if peer.link.is_behind}
        for number in self._download.late(time.monotonic(), behind):
            self._peers[number].disconnect("timeout downloading a block")
        self._set_timer()

    # --- announcing

    def tip_changed(self, node: BlockNode) -> None:
        """Our best chain has a new tip: tell those who don't know it."""
        if self._chain.initial_block_download:
            return
        for peer in self._peers.values():
            if peer.ready and not peer.knows(node):
                self._announce(peer, node)

    def _announce(self, peer: Peer, tip: BlockNode) -> None:
        news: list[BlockNode] = []
        node: BlockNode | None = tip
        while node is not None and not peer.knows(node) and len(news) <= MAX_HEADERS_ANNOUNCED:
            news.append(node)
            node = node.previous
        connects = node is not None and peer.knows(node)
        if peer.prefers_headers and connects and len(news) <= MAX_HEADERS_ANNOUNCED:
            peer.send(_headers(reversed(news)))
        else:
            peer.send(Inv([Inventory(InventoryType.MSG_BLOCK, tip.hash)]))
        peer.best_sent = tip

    # --- serving

    async def on_getheaders(self, peer: Peer, payload: bytes) -> None:
        request = GetHeaders.parse(payload)
        if request.locator:
            node = self._chain.next(self._chain.fork_point(list(request.locator)))
        else:
            node = self._chain.by_hash(request.hash_stop)
        run: list[BlockNode] = []
        while node is not None and len(run) < MAX_HEADERS_RESULTS:
            run.append(node)
            if node.hash == request.hash_stop or not request.locator:
                break
            node = self._chain.next(node)
        peer.send(_headers(run))
        peer.best_sent = run[-1] if run else self._chain.tip

    async def on_getblocks(self, peer: Peer, payload: bytes) -> None:
        request = GetBlocks.parse(payload)
        node = self._chain.next(self._chain.fork_point(list(request.locator)))
        run: list[Inventory] = []
        while node is not None and len(run) < _GETBLOCKS_LIMIT and node.hash != request.hash_stop:
            run.append(Inventory(InventoryType.MSG_BLOCK, node.hash))
            node = self._chain.next(node)
        if run:
            peer.send(Inv(run))

    async def serve(self, peer: Peer, item: Item) -> bool:
        """Send the block that the peer asked for; False where it isn't here."""
        node = self._chain.by_hash(item.hash)
        if node is None:
            return False
        try:
            raw = await self._chain.read_block(node)
        except BlockUnavailable:
            return False
        if item.kind == InventoryType.MSG_BLOCK:
            raw = await asyncio.to_thread(_without_witnesses, raw)
        peer.link.send_raw("block", raw)
        return True


def _without_witnesses(raw: bytes) -> bytes:
    return BlockContents(raw).block.serialize(False, check_validity=False)


def _headers(nodes: Iterable[BlockNode]) -> Headers:
    return Headers([BlockHeader.parse(node.header, check_validity=False) for node in nodes], check_validity=False)


def _pardoned(peer: Peer, reason: str) -> bool:
    """Whether a peer that sent something refused for this reason is kept (``MaybePunishNodeForBlock``)."""
    return reason in _BLAMELESS or (peer.manual and reason == _PARDONED)
