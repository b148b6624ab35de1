"""Where each message of a peer goes: the table, the greeting after the handshake, and pings.

What messages mean is in ``blocks.py`` and ``transactions.py``. A message that is not in the table is ignored, as
Bitcoin Core does (``src/net_processing.cpp``).
"""

import logging
import secrets
import time
from collections.abc import Awaitable, Callable

from btclib import var_int
from btclib.exceptions import BTClibException
from btclib.p2p import FeeFilter, Message, Ping, Pong, SendHeaders
from btclib.p2p.limits import MAX_HEADERS_RESULTS, MAX_INV_SZ, MAX_LOCATOR_SZ

from bitcoind_mp.node.chain.header import BlockNode
from bitcoind_mp.node.chain.state import ChainState
from bitcoind_mp.node.mempool.pool import Mempool

from .blocks import BLOCK_TYPES, BlockRelay
from .inventory import Item, parse_items, serialize_items
from .peer import Peer
from .transactions import TX_TYPES, TransactionRelay
from .wire import PeerMisbehavedError

log = logging.getLogger("bitcoind_mp.net")

#: Where a message has the number of its items, and how many there may be.
_COUNTED = {
    "getblocks": (4, MAX_LOCATOR_SZ),
    "getdata": (0, MAX_INV_SZ),
    "getheaders": (4, MAX_LOCATOR_SZ),
    "headers": (0, MAX_HEADERS_RESULTS),
    "inv": (0, MAX_INV_SZ),
}
#: Features that are told before the handshake ends, or not at all.
_TOO_LATE = ("sendaddrv2", "wtxidrelay")
#: What only a peer with services that we don't offer is asked for: BIP35 and BIP37, BIP157.
_NOT_OFFERED = ("mempool", "filterload", "filteradd", "filterclear", "getcfilters", "getcfheaders", "getcfcheckpt")


class Processing:
    """All peers' messages, against one chain and one mempool. Lives in the loop."""

    def __init__(
        self, chain: ChainState, mempool: Mempool, *, announce_interval: tuple[float, float], take_transactions: bool
    ) -> None:
        self._chain = chain
        self._mempool = mempool
        self._take_transactions = take_transactions
        self._peers: dict[int, Peer] = {}
        self.blocks = BlockRelay(chain, self._peers)
        self.transactions = TransactionRelay(chain, mempool, self._peers, announce_interval)
        self._handlers: dict[str, Callable[[Peer, bytes], Awaitable[None]]] = {
            "block": self.blocks.on_block,
            "feefilter": self._on_feefilter,
            "getblocks": self.blocks.on_getblocks,
            "getdata": self._on_getdata,
            "getheaders": self.blocks.on_getheaders,
            "headers": self.blocks.on_headers,
            "inv": self._on_inv,
            "notfound": self._on_notfound,
            "ping": self._on_ping,
            "pong": self._on_pong,
            "sendheaders": self._on_sendheaders,
            "tx": self._on_tx,
            **dict.fromkeys(_TOO_LATE, self._on_late_feature),
            **dict.fromkeys(_NOT_OFFERED, self._on_unoffered),
        }

    def add(self, peer: Peer) -> None:
        """The peer is connected; the handshake comes first."""
        self._peers[peer.number] = peer

    def remove(self, peer: Peer) -> None:
        """The peer is gone."""
        self._peers.pop(peer.number, None)
        self.blocks.forget(peer)
        self.transactions.forget(peer)

    def close(self) -> None:
        """Forget every timer."""
        self.blocks.close()
        self.transactions.close()

    def tip_changed(self, node: BlockNode) -> None:
        """Our best chain has a new tip."""
        self.transactions.tip_changed()
        self.blocks.tip_changed(node)

    async def handle(self, peer: Peer, message: Message) -> None:
        """One message of the peer. One whose payload can't be read is ignored, as Core does.

        Raises:
            PeerMisbehavedError: it is to be disconnected.
        """
        if not peer.ready:
            peer.send(*peer.handshake.receive(message))
            if peer.ready:
                self._greet(peer)
            return
        handler = self._handlers.get(message.command)
        if handler is None:
            return
        try:
            _check_count(message)
            await handler(peer, message.payload)
        except BTClibException as error:
            log.debug("ignoring a bad %s message of %s: %s", message.command, peer, error)

    def _greet(self, peer: Peer) -> None:
        theirs = peer.handshake.theirs
        assert theirs is not None
        peer.time_offset = theirs.timestamp - self._chain.clock.now()
        direction = "inbound" if peer.inbound else "manual"
        log.info(
            "New %s peer connected: version: %d, blocks=%d, %s", direction, theirs.version, theirs.start_height, peer
        )
        peer.send(SendHeaders())
        if self._take_transactions:
            peer.send(FeeFilter(self._mempool.min_fee_rate()))
        self.blocks.greet(peer)
        self.transactions.greet(peer)
        self.ping(peer)

    async def _on_inv(self, peer: Peer, payload: bytes) -> None:
        items = parse_items(payload)
        blocks = [item.hash for item in items if item.kind in BLOCK_TYPES]
        transactions = [item.hash for item in items if item.kind in TX_TYPES]
        if transactions and not self._take_transactions:
            raise PeerMisbehavedError("transaction announced to a node of -blocksonly")
        if blocks:
            self.blocks.announced(peer, blocks)
        if transactions:
            self.transactions.announced(peer, transactions)

    async def _on_tx(self, peer: Peer, payload: bytes) -> None:
        if not self._take_transactions:
            raise PeerMisbehavedError("transaction sent to a node of -blocksonly")
        await self.transactions.on_tx(peer, payload)

    async def _on_getdata(self, peer: Peer, payload: bytes) -> None:
        missing: list[Item] = []
        for item in parse_items(payload):
            if not await peer.link.drained():
                return
            if item.kind in TX_TYPES:
                found = self.transactions.serve(peer, item)
            elif item.kind in BLOCK_TYPES:
                found = await self.blocks.serve(peer, item)
            else:
                continue  # a kind that nobody is told is missing
            if not found:
                missing.append(item)
        if missing:
            peer.link.send_raw("notfound", serialize_items(missing))

    async def _on_notfound(self, peer: Peer, payload: bytes) -> None:
        items = parse_items(payload)
        self.blocks.refused(peer, [item.hash for item in items if item.kind in BLOCK_TYPES])
        self.transactions.refused(peer, [item.hash for item in items if item.kind in TX_TYPES])

    async def _on_late_feature(self, peer: Peer, payload: bytes) -> None:
        raise PeerMisbehavedError("feature told after the handshake")

    async def _on_unoffered(self, peer: Peer, payload: bytes) -> None:
        raise PeerMisbehavedError("request for a service that we don't offer")

    async def _on_sendheaders(self, peer: Peer, payload: bytes) -> None:
        peer.prefers_headers = True

    async def _on_feefilter(self, peer: Peer, payload: bytes) -> None:
        peer.fee_filter = FeeFilter.parse(payload).feerate

    async def _on_ping(self, peer: Peer, payload: bytes) -> None:
        peer.send(Pong(Ping.parse(payload).nonce))

    async def _on_pong(self, peer: Peer, payload: bytes) -> None:
        if not peer.ping.nonce or Pong.parse(payload).nonce != peer.ping.nonce:
            return
        took = time.monotonic() - peer.ping.sent
        peer.ping.nonce, peer.ping.last = 0, took
        peer.ping.best = min(took, peer.ping.best if peer.ping.best is not None else took)

    def ping(self, peer: Peer) -> None:
        """Measure the round trip, unless a ping is under way."""
        if peer.ready and not peer.ping.nonce:
            peer.ping.nonce, peer.ping.sent = secrets.randbits(64) | 1, time.monotonic()
            peer.send(Ping(peer.ping.nonce))


def _check_count(message: Message) -> None:
    """More items than the protocol allows are no accident, unlike bytes that can't be read."""
    offset, most = _COUNTED.get(message.command, (0, 0))
    if most and var_int.parse(message.payload[offset : offset + 9]) > most:
        raise PeerMisbehavedError(f"{message.command} message of more than {most} items")
