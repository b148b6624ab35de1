"""Where each message of a peer goes: the table, and the greeting after the handshake.

What messages mean is in ``blocks.py``, ``serving.py``, ``transactions.py`` and ``announcing.py``, and whether the peer
is still there in ``pings.py``. A message that is not in the table is ignored, as Bitcoin Core does
(``src/net_processing.cpp``).
"""

import logging
from collections.abc import Awaitable, Callable

from btclib import var_int
from btclib.exceptions import BTClibException
from btclib.p2p import FeeFilter, InventoryType, Message, ServiceFlags
from btclib.p2p.limits import MAX_ADDR_TO_SEND, MAX_HEADERS_RESULTS, MAX_INV_SZ, MAX_LOCATOR_SZ

from bitcoind_mp.interfaces.amounts import MAX_MONEY
from bitcoind_mp.node.chain.contents import BlockContents
from bitcoind_mp.node.chain.filterindex import BlockFilterIndex
from bitcoind_mp.node.chain.header import BlockNode
from bitcoind_mp.node.chain.state import ChainState
from bitcoind_mp.node.mempool.pool import Mempool

from .announcing import TransactionAnnouncing
from .blocks import BLOCK_TYPES, BlockRelay
from .feefilter import FeeFilters
from .filterserving import FilterServing
from .inventory import Item, parse_items, serialize_items
from .peer import Peer, Role, TxRelay
from .permissions import Permissions
from .pings import Pings
from .transactions import TX_TYPES, TransactionRelay
from .wire import PeerEndedError, PeerMisbehavedError

log = logging.getLogger("bitcoind_mp.net")

#: Where a message has the number of its items, and how many there may be: more is misbehaving.
_COUNTED = {
    "addr": (0, MAX_ADDR_TO_SEND),
    "addrv2": (0, MAX_ADDR_TO_SEND),
    "getdata": (0, MAX_INV_SZ),
    "headers": (0, MAX_HEADERS_RESULTS),
    "inv": (0, MAX_INV_SZ),
}
#: The same, and more ends the connection whoever the peer is.
_LOCATORS = {"getblocks": (4, MAX_LOCATOR_SZ), "getheaders": (4, MAX_LOCATOR_SZ)}
#: Peers that we call for what they have, unlike those that the operator named.
_EXPECTED_TO_SERVE = (Role.FULL_RELAY, Role.BLOCK_RELAY, Role.ADDR_FETCH)
#: Blocks behind up to which a peer with only the newest will do (``NODE_NETWORK_LIMITED_ALLOW_CONN_BLOCKS``).
_CLOSE_ENOUGH = 144
#: Features that are told before the handshake ends, or not at all.
_TOO_LATE = ("sendaddrv2", "wtxidrelay")
#: What only a peer with services that we don't offer is asked for: BIP37, BIP157.
_NOT_OFFERED = ("filterload", "filteradd", "filterclear", "getcfilters", "getcfheaders", "getcfcheckpt")


class Processing:
    """All peers' messages, against one chain and one mempool. Lives in the loop.

    Args:
        filters: what peers may ask of them (BIP157); None where they may not.
    """

    def __init__(
        self,
        chain: ChainState,
        mempool: Mempool,
        *,
        announce_interval: tuple[float, float],
        take_transactions: bool,
        filters: BlockFilterIndex | None = None,
    ) -> None:
        self._chain = chain
        self._take_transactions = take_transactions
        self._peers: dict[int, Peer] = {}
        self.blocks = BlockRelay(chain, self._peers)
        self.announcing = TransactionAnnouncing(chain, mempool, self._peers, announce_interval)
        self.transactions = TransactionRelay(chain, mempool, self._peers, self.announcing.added)
        self.pings = Pings(chain.clock, self._peers)
        self._fees = FeeFilters(chain, mempool)
        self._handlers: dict[str, Callable[[Peer, bytes], Awaitable[None]]] = {
            "block": self.blocks.on_block,
            "feefilter": self._on_feefilter,
            "getblocks": self._on_getblocks,
            "getdata": self._on_getdata,
            "getheaders": self._on_getheaders,
            "headers": self.blocks.on_headers,
            "inv": self._on_inv,
            "mempool": self._on_mempool,
            "notfound": self._on_notfound,
            "ping": self._on_ping,
            "pong": self._on_pong,
            "sendheaders": self._on_sendheaders,
            "tx": self._on_tx,
            **dict.fromkeys(_TOO_LATE, self._on_late_feature),
            **dict.fromkeys(_NOT_OFFERED, self._on_unoffered),
        }
        if filters is not None:
            self._handlers |= FilterServing(chain, filters, self.blocks.serving.may_be_served).handlers

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
        self.announcing.close()
        self.pings.close()

    def block_connected(self, node: BlockNode, contents: BlockContents) -> None:
        """One block more; whole steps are announced, in `tip_changed`."""
        self.blocks.block_connected(node, contents)
        self.transactions.block_connected(contents)
        self.announcing.block_connected(contents)

    def block_disconnected(self) -> None:
        """One block less."""
        self.transactions.block_disconnected()

    def tip_changed(self, node: BlockNode) -> None:
        """Our best chain has a new tip."""
        self.transactions.tip_changed()
        self.blocks.tip_changed(node)
        self.tell_fees()

    def tell_fees(self) -> None:
        """Tell every peer what fee it need not tell us transactions below, where it is time to."""
        if self._take_transactions:
            for peer in list(self._peers.values()):
                if peer.ready:
                    self._fees.tell(peer)

    async def handle(self, peer: Peer, message: Message) -> None:
        """One message of the peer. One whose payload can't be read is ignored, as Core does.

        Raises:
            PeerEndedError: it is to be disconnected.
        """
        if not peer.ready:
            self._shake_hands(peer, message)
            return
        handler = self._handlers.get(message.command)
        try:
            _check_count(message)
            if handler is not None:
                await handler(peer, message.payload)
        except PeerMisbehavedError as error:
            if not peer.spared:
                raise
            why = "manually connected" if peer.role is Role.MANUAL else "noban"
            log.warning("Not punishing %s %s: %s", why, peer, error)
        except BTClibException as error:
            log.debug("ignoring a bad %s message of %s: %s", message.command, peer, error)

    def _shake_hands(self, peer: Peer, message: Message) -> None:
        answers = peer.handshake.receive(message)
        if peer.handshake.theirs is not None and peer.role in _EXPECTED_TO_SERVE and not self._serves_enough(peer):
            raise PeerEndedError(f"peer does not offer the expected services ({int(peer.services):08x} offered)")
        peer.send(*answers)
        if peer.role is Role.FEELER and peer.handshake.theirs is not None:
            raise PeerEndedError("feeler connection completed")
        if peer.ready:
            self._greet(peer)

    def _serves_enough(self, peer: Peer) -> bool:
        """Whether blocks with witnesses can be had of it: all, or the newest where we are close to the tip
        (``GetDesirableServiceFlags``)."""
        behind = (self._chain.clock.now() - self._chain.tip.time) // self._chain.params.consensus.pow_target_spacing
        blocks = peer.serves_blocks if behind < _CLOSE_ENOUGH else ServiceFlags.NODE_NETWORK in peer.services
        return blocks and peer.serves_witnesses

    def _greet(self, peer: Peer) -> None:
        theirs = peer.handshake.theirs
        assert theirs is not None
        peer.time_offset = theirs.timestamp - self._chain.clock.now()
        log.log(
            logging.DEBUG if peer.inbound else logging.INFO,
            "New %s peer connected: version: %d, blocks=%d, %s",
            peer.role,
            theirs.version,
            theirs.start_height,
            peer,
        )
        if theirs.is_relay_requested and peer.role not in (Role.BLOCK_RELAY, Role.FEELER):
            peer.tx_relay = TxRelay(wanted=True)
        self.transactions.greet(peer)
        self.blocks.greet(peer)
        self.announcing.greet(peer)
        self.pings.greet(peer)
        if self._take_transactions:
            self._fees.tell(peer)

    def _takes_transactions(self, peer: Peer) -> bool:
        if peer.role in (Role.BLOCK_RELAY, Role.FEELER):
            return False
        return self._take_transactions or peer.may(Permissions.RELAY)

    async def _on_inv(self, peer: Peer, payload: bytes) -> None:
        items = parse_items(payload)
        # A peer tells transactions by the hash that was agreed on, or not at all.
        kind = InventoryType.MSG_WTX if peer.handshake.wtxid_relay else InventoryType.MSG_TX
        transactions = [item for item in items if item.kind == kind]
        if transactions and not self._takes_transactions(peer):
            raise PeerEndedError("transaction announced to a node of -blocksonly")
        blocks = [item.hash for item in items if item.kind == InventoryType.MSG_BLOCK]
        if blocks:
            self.blocks.announced(peer, blocks)
        if transactions:
            self.transactions.announced(peer, transactions)

    async def _on_tx(self, peer: Peer, payload: bytes) -> None:
        if not self._takes_transactions(peer):
            raise PeerEndedError("transaction sent to a node of -blocksonly")
        await self.transactions.on_tx(peer, payload)

    async def _on_getdata(self, peer: Peer, payload: bytes) -> None:
        missing: list[Item] = []
        for item in parse_items(payload):
            if not await peer.link.drained():
                return
            if item.kind in TX_TYPES:
                if not self.announcing.serve(peer, item):
                    missing.append(item)
            elif item.kind in BLOCK_TYPES:
                await self.blocks.serving.serve(peer, item)
        if missing:  # of blocks, and of what it doesn't know, nobody is told that they are missing
            peer.link.send_raw("notfound", serialize_items(missing))

    async def _on_notfound(self, peer: Peer, payload: bytes) -> None:
        items = parse_items(payload)
        self.blocks.refused(peer, [item.hash for item in items if item.kind in BLOCK_TYPES])
        self.transactions.refused(peer, [item.hash for item in items if item.kind in TX_TYPES])

    async def _on_getheaders(self, peer: Peer, payload: bytes) -> None:
        self.blocks.serving.on_getheaders(peer, payload)

    async def _on_getblocks(self, peer: Peer, payload: bytes) -> None:
        self.blocks.serving.on_getblocks(peer, payload)

    async def _on_late_feature(self, peer: Peer, payload: bytes) -> None:
        raise PeerEndedError("feature told after the handshake")

    async def _on_unoffered(self, peer: Peer, payload: bytes) -> None:
        raise PeerEndedError("request for a service that we don't offer")

    async def _on_mempool(self, peer: Peer, payload: bytes) -> None:
        if peer.may(Permissions.MEMPOOL):
            self.announcing.announce_all(peer)
        elif not peer.may(Permissions.NO_BAN):
            raise PeerEndedError("mempool asked for by a peer that may not")

    async def _on_sendheaders(self, peer: Peer, payload: bytes) -> None:
        peer.prefers_headers = True

    async def _on_feefilter(self, peer: Peer, payload: bytes) -> None:
        fee = FeeFilter.parse(payload).feerate
        if peer.tx_relay is not None and 0 <= fee <= MAX_MONEY:
            peer.tx_relay.fee_filter = fee

    async def _on_ping(self, peer: Peer, payload: bytes) -> None:
        self.pings.on_ping(peer, payload)

    async def _on_pong(self, peer: Peer, payload: bytes) -> None:
        self.pings.on_pong(peer, payload)


def _check_count(message: Message) -> None:
    """More items than the protocol allows are no accident, unlike bytes that can't be read."""
    for table, error in ((_COUNTED, PeerMisbehavedError), (_LOCATORS, PeerEndedError)):
        offset, most = table.get(message.command, (0, 0))
        if most and var_int.parse(message.payload[offset : offset + 9]) > most:
            raise error(f"{message.command} message of more than {most} items")
