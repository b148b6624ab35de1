"""Headers and blocks, both ways: what peers have is fetched, what we have is announced (``serving.py`` serves it).

Core's ``src/net_processing.cpp``, the headers-first part. Which block to ask whom for is in ``download.py``, when
headers are asked for and taken in ``headerfetch.py``.
"""

import logging
from collections.abc import Iterable

from btclib.block.block_header import BlockHeader
from btclib.p2p import GetData, Inv, Inventory, InventoryType, SendHeaders

from bitcoind_mp.node.chain.contents import BlockContents
from bitcoind_mp.node.chain.header import BlockNode, work_of
from bitcoind_mp.node.chain.state import BlockDecodeError, BlockOutcome, ChainState, DiskFull

from .alarm import Alarm
from .download import BlockDownload
from .headerfetch import Header, HeaderFetch, has_work, is_pardoned
from .peer import Peer
from .serving import BlockServing, headers_of
from .wire import PeerMisbehavedError

log = logging.getLogger("bitcoind_mp.net")

#: Headers announced directly when several blocks come at once (``MAX_BLOCKS_TO_ANNOUNCE``); more are an inv of the tip.
MAX_HEADERS_ANNOUNCED = 8
#: A block that nobody asked for isn't stored so far ahead of the tip (``MIN_BLOCKS_TO_KEEP``).
_TOO_FAR_AHEAD = 288

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
        self._download = BlockDownload(chain, peers)
        self._headers = HeaderFetch(chain, peers, learned=self._learned, downloading=lambda: bool(self._download))
        self.serving = BlockServing(chain)
        self._alarm = Alarm(chain.clock, self._give_up)
        self._told = chain.tip

    def greet(self, peer: Peer) -> None:
        """The peer's handshake is complete."""
        self._go_on()

    def forget(self, peer: Peer) -> None:
        """The peer is gone: its blocks are asked of others."""
        self._download.forget_peer(peer.number)
        self._go_on()

    def close(self) -> None:
        self._alarm.close()

    def in_flight(self, peer: Peer) -> list[BlockNode]:
        """The blocks that it was asked for."""
        return self._download.in_flight(peer.number)

    # --- fetching

    async def on_headers(self, peer: Peer, payload: bytes) -> None:
        """Raises PeerMisbehavedError: see `HeaderFetch.on_headers`."""
        await self._headers.on_headers(peer, payload)
        self._go_on()

    def announced(self, peer: Peer, hashes: list[bytes]) -> None:
        """The peer says that it has these blocks."""
        unknown = None
        for hash in hashes:
            self._learned(peer, hash)
            if self._chain.by_hash(hash) is None:
                unknown = hash
        if unknown is not None:
            self._headers.announced(peer, unknown)
        self._go_on()

    def fetch(self, peer: Peer, node: BlockNode) -> None:
        """Ask this peer for the block (``getblockfrompeer``)."""
        self._download.fetch(peer, node, self._chain.clock.exact())
        peer.send(GetData([Inventory(InventoryType.MSG_WITNESS_BLOCK, node.hash)]))
        self._set_alarm()

    def refused(self, peer: Peer, hashes: Iterable[bytes]) -> None:
        """The peer hasn't got these blocks after all: it would only be asked again."""
        if owed := {node.hash for node in self.in_flight(peer)} & set(hashes):
            raise PeerMisbehavedError(f"block {owed.pop().hex()} isn't there though it was announced")

    async def on_block(self, peer: Peer, payload: bytes) -> None:
        """Raises PeerMisbehavedError: it breaks the rules, or builds on nothing that we know."""
        hash = BlockHeader.parse(payload[:80], check_validity=False).hash
        now = self._chain.clock.exact()
        requested = self._download.received(hash, peer, now)
        try:
            if not requested and not await self._wants(peer, payload, hash):
                return
            outcome = await self._chain.submit_block(payload, durable=not self._chain.initial_block_download)
            self._look_at(peer, hash, outcome)
        except BlockDecodeError:
            log.debug("ignoring a block of %s that can't be read", peer)
        except DiskFull as error:
            log.error("No room for block %s: %s", hash.hex(), error)
        finally:
            self._download.processed(hash, self._chain.clock.exact())
            self._go_on()

    async def _wants(self, peer: Peer, payload: bytes, hash: bytes) -> bool:
        """Whether a block that wasn't asked for is worth storing (``AcceptBlock``); its header is taken if it is any
        good."""
        parent = self._chain.by_hash(payload[35:3:-1])
        if parent is None:
            if self._chain.by_hash(hash) is not None:  # genesis
                return False
            raise PeerMisbehavedError("block of an unknown parent")
        if self._chain.by_hash(hash) is None:
            if not has_work(Header(payload[:80]), self._chain.params):
                raise PeerMisbehavedError("block whose header has no proof of work")
            work = parent.chain_work + work_of(int.from_bytes(payload[72:76], "little"))
            if work < self._headers.threshold:
                log.debug("ignoring a block of %s of too little work: %s", peer, hash.hex())
                return False
            outcome = await self._chain.submit_headers([payload[:80]])
            if outcome.reason is not None:
                if is_pardoned(peer, outcome.reason):
                    return False
                raise PeerMisbehavedError(f"invalid header received: {outcome.reason}")
        node = self._chain.by_hash(hash)
        tip = self._chain.tip
        return (
            node is not None
            and not node.tx_count
            and node.chain_work >= max(tip.chain_work, self._chain.params.minimum_chain_work)
            and node.height <= tip.height + _TOO_FAR_AHEAD
        )

    def _look_at(self, peer: Peer, hash: bytes, outcome: BlockOutcome) -> None:
        if outcome.accepted:
            self._learned(peer, hash)
            self._download.stored(hash, self._chain.clock.exact())
            if outcome.new:
                peer.traffic.last_block = self._chain.clock.now()
            return
        if outcome.reason in (None, "duplicate", "inconclusive") or is_pardoned(peer, str(outcome.reason)):
            return
        raise PeerMisbehavedError(f"invalid block {hash.hex()}: {outcome.reason}")

    def _learned(self, peer: Peer, hash: bytes) -> None:
        """The peer has that block (``UpdateBlockAvailability``)."""
        self._look_up(peer)
        node = self._chain.by_hash(hash)
        if node is None:
            peer.last_unknown = hash
        else:
            peer.learned(node)

    def _look_up(self, peer: Peer) -> None:
        """What it said to have may be known by now (``ProcessBlockAvailability``)."""
        if peer.last_unknown is not None and (node := self._chain.by_hash(peer.last_unknown)) is not None:
            peer.learned(node)
            peer.last_unknown = None

    def _go_on(self) -> None:
        """Ask every peer for what there is to ask for now."""
        now = self._chain.clock.exact()
        self._headers.start()
        for peer in list(self._peers.values()):
            if not peer.ready:
                continue
            self._look_up(peer)
            self._prefer_headers(peer)
            if not self._fetches_from(peer):
                continue
            nodes = self._download.next_blocks(peer, now)
            if nodes:
                kind = InventoryType.MSG_WITNESS_BLOCK if peer.serves_witnesses else InventoryType.MSG_BLOCK
                peer.send(GetData([Inventory(kind, node.hash) for node in nodes]))
        self._set_alarm()

    def _prefer_headers(self, peer: Peer) -> None:
        """Ask once for headers instead of invs, when the peer's chain is known."""
        best = peer.best_known
        enough = best is not None and best.chain_work > self._chain.params.minimum_chain_work
        if enough and not peer.sent_sendheaders:
            peer.send(SendHeaders())
            peer.sent_sendheaders = True

    def _fetches_from(self, peer: Peer) -> bool:
        if not peer.serves_blocks:
            return False
        if not self._chain.initial_block_download:
            return True
        return not peer.serves_newest_only and self._headers.may_start(peer)

    def _set_alarm(self, again: float = 0.0) -> None:
        due = [self._download.next_deadline(), self._headers.next_deadline()]
        earliest = min((each for each in due if each is not None), default=None)
        now = self._chain.clock.exact()
        self._alarm.set(None if earliest is None else max(earliest + _A_MOMENT, now + again))

    def _give_up(self) -> None:
        """Peers that are too slow are disconnected; others are asked then."""
        now = self._chain.clock.exact()
        for peer in list(self._peers.values()):
            why = self._download.late(peer, now) or (
                "timeout downloading headers" if self._headers.overdue(peer, now) else ""
            )
            if why:
                peer.disconnect(why)
        self._go_on()
        self._set_alarm(_LOOK_AGAIN)

    # --- announcing

    def tip_changed(self, node: BlockNode) -> None:
        """Our best chain has a new tip: tell those who don't know it."""
        before, self._told = self._told, node
        self._go_on()
        if self._chain.initial_block_download:
            return
        news: list[BlockNode] = []
        walk: BlockNode | None = node
        while walk is not None and not self._is_ancestor(walk, before) and len(news) < MAX_HEADERS_ANNOUNCED:
            news.append(walk)
            walk = walk.previous
        if news:
            for peer in self._peers.values():
                if peer.ready:
                    self._announce(peer, news[::-1])

    def block_connected(self, node: BlockNode, contents: BlockContents) -> None:
        self._download.connected()

    def _is_ancestor(self, node: BlockNode, of: BlockNode) -> bool:
        return node.height <= of.height and self._chain.ancestor(of, node.height) is node

    def _announce(self, peer: Peer, news: list[BlockNode]) -> None:
        """By headers, from the first that the peer hasn't got and that connects to what it has; else by an inv of the
        last. ``news`` are blocks of the best chain, each on the one before."""
        tip = news[-1]
        start = next((index for index, node in enumerate(news) if not peer.knows(node)), None)
        if start is None:
            return
        first = news[start]
        if peer.prefers_headers and (first.previous is None or peer.knows(first.previous)):
            peer.send(headers_of(news[start:]))
            peer.best_sent = tip
        elif not peer.knows(tip):
            peer.send(Inv([Inventory(InventoryType.MSG_BLOCK, tip.hash)]))


#: Deadlines are past a moment after they are reached; those of peers that aren't to blame are looked at again.
_A_MOMENT, _LOOK_AGAIN = 0.001, 1.0
