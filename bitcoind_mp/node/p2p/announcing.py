"""Our mempool's transactions, told to peers and served to them (Core's ``src/net_processing.cpp``).

Peers are told at random times, callers all at the same, so that none can tell where a transaction started; and none is
served what came after it was last told. A new peer is told what comes from then on, as Core does. One that the operator
named, or that runs this program too, is told the whole mempool first: both ends of such a connection then hold the same
transactions however long one of them was away. The price is that it may learn when a transaction came to us. A stranger
that calls us can claim to be of this kind; it learns what it would by staying connected.
"""

import random
from collections.abc import Iterable

from btclib.p2p import Inv, Inventory, InventoryType, TxPayload
from btclib.p2p.limits import MAX_INV_SZ
from btclib.tx import Tx

from bitcoind_mp.node.chain.contents import BlockContents
from bitcoind_mp.node.chain.state import ChainState
from bitcoind_mp.node.mempool.entry import MempoolEntry
from bitcoind_mp.node.mempool.pool import Mempool

from .alarm import Alarm
from .inventory import Item
from .peer import Peer, Role, TxRelay
from .permissions import Permissions

#: Mean seconds between announcements of transactions, outbound and inbound (``OUTBOUND_``/``INBOUND_INVENTORY_…``).
ANNOUNCE_INTERVAL = (2.0, 5.0)
#: Transactions in one announcement: so many, more where many wait, and at most (``INVENTORY_BROADCAST_TARGET``,
#: ``INVENTORY_BROADCAST_MAX``). The rest follows with the next.
_AT_ONCE, _AT_ONCE_MOST = 70, 1000


class TransactionAnnouncing:
    """The mempool, told to every peer that wants to know. Lives in the loop.

    Args:
        chain, mempool: ours.
        peers: the connected peers by number; the owner's own, seen here as it changes.
        interval: mean seconds between announcements to outbound and to inbound peers.
    """

    def __init__(
        self, chain: ChainState, mempool: Mempool, peers: dict[int, Peer], interval: tuple[float, float]
    ) -> None:
        self._clock = chain.clock
        self._mempool = mempool
        self._peers = peers
        self._interval = interval
        self._next_inbound = 0.0
        self._newest: BlockContents | None = None
        self._newest_transactions: dict[bytes, Tx] = {}
        self._alarm = Alarm(chain.clock, self._announce_due)

    def greet(self, peer: Peer) -> None:
        """The peer's handshake is complete: tell one of ours what we have."""
        relay = peer.tx_relay
        if relay is None:
            return
        self._told(peer, relay)
        if relay.wanted and (peer.role is Role.MANUAL or peer.is_of_our_kind):
            for entry in self._mempool.entries():
                self._queue(peer, entry)
            self._set_alarm()

    def close(self) -> None:
        self._alarm.close()

    def added(self, entry: MempoolEntry) -> None:
        """It is in our mempool: tell those who may want it."""
        for peer in self._peers.values():
            self._queue(peer, entry)
        self._set_alarm()

    def announce_again(self, txids: Iterable[bytes]) -> None:
        """Those of ours that no peer has asked for yet."""
        for entry in filter(None, map(self._mempool.entry, txids)):
            self.added(entry)

    def announce_all(self, peer: Peer) -> None:
        """The peer asked for the whole mempool (BIP35)."""
        relay = peer.tx_relay
        if relay is None:
            return
        kind = InventoryType.MSG_WTX if peer.handshake.wtxid_relay else InventoryType.MSG_TX
        news: list[Inventory] = []
        for entry in self._mempool.entries():
            relay.to_announce.pop(entry.txid, None)
            if entry.fee * 1000 >= relay.fee_filter * entry.vsize:
                hash = entry.wtxid if peer.handshake.wtxid_relay else entry.txid
                relay.known.add(hash)
                news.append(Inventory(kind, hash))
        for start in range(0, len(news), MAX_INV_SZ):
            peer.send(Inv(news[start : start + MAX_INV_SZ]))
        self._told(peer, relay)

    def block_connected(self, contents: BlockContents) -> None:
        """What it confirms is served as long as it is the newest block."""
        self._newest = contents
        self._newest_transactions = {}

    # --- serving

    def serve(self, peer: Peer, item: Item) -> bool:
        """Send the transaction that the peer asked for; False where it isn't there for the peer."""
        relay = peer.tx_relay
        if relay is None:
            return True  # it asked not to be told, and isn't told this either
        if relay.next_time <= self._clock.exact() and not relay.to_announce:
            self._told(peer, relay)
        by_wtxid = item.kind == InventoryType.MSG_WTX
        entry = self._mempool.entry_by_wtxid(item.hash) if by_wtxid else self._mempool.entry(item.hash)
        with_witness = item.kind != InventoryType.MSG_TX
        if entry is not None and entry.sequence < relay.last_sequence:
            if with_witness:
                peer.link.send_raw("tx", entry.raw)
            else:
                peer.send(TxPayload(entry.tx, False, check_validity=False))
            self._mempool.mark_broadcast(entry.txid)
            return True
        confirmed = self._just_confirmed(item.hash)
        if confirmed is None:
            return False
        peer.send(TxPayload(confirmed, with_witness, check_validity=False))
        return True

    def _just_confirmed(self, hash: bytes) -> Tx | None:
        if self._newest is not None and not self._newest_transactions:
            for tx in self._newest.transactions:
                self._newest_transactions[tx.id] = self._newest_transactions[tx.hash] = tx
        return self._newest_transactions.get(hash)

    # --- announcing

    def _queue(self, peer: Peer, entry: MempoolEntry) -> None:
        relay = peer.tx_relay
        if relay is None or not relay.wanted or not peer.ready:
            return
        hash = entry.wtxid if peer.handshake.wtxid_relay else entry.txid
        if hash in relay.known:
            return
        if relay.next_time <= self._clock.exact() and not relay.to_announce:
            self._told(peer, relay, before=entry)
        relay.to_announce[entry.txid] = hash

    def _told(self, peer: Peer, relay: TxRelay, before: MempoolEntry | None = None) -> None:
        """The peer was told all that there was to tell: when next, and what it may ask for until then."""
        relay.last_sequence = self._mempool.sequence if before is None else max(1, before.sequence)
        now = self._clock.exact()
        if peer.may(Permissions.NO_BAN):
            relay.next_time = now
        elif not peer.inbound:
            relay.next_time = now + _random(self._interval[0])
        else:
            if self._next_inbound <= now:
                self._next_inbound = now + _random(self._interval[1])
            relay.next_time = self._next_inbound

    def _announce_due(self) -> None:
        now = self._clock.exact()
        for peer in list(self._peers.values()):
            relay = peer.tx_relay
            if relay is not None and relay.to_announce and relay.next_time <= now:
                self._announce(peer, relay)
        self._set_alarm()

    def _set_alarm(self) -> None:
        waiting = [peer.tx_relay for peer in self._peers.values() if peer.tx_relay is not None]
        self._alarm.set(min((relay.next_time for relay in waiting if relay.to_announce), default=None))

    def _announce(self, peer: Peer, relay: TxRelay) -> None:
        """Send what is queued for the peer, what would be mined first first, and wait again where that wasn't all."""
        kind = InventoryType.MSG_WTX if peer.handshake.wtxid_relay else InventoryType.MSG_TX
        most = min(_AT_ONCE_MOST, _AT_ONCE + len(relay.to_announce) // 1000 * 5)
        news: list[Inventory] = []
        for entry in self._in_order(relay):
            if len(news) == most:
                break
            hash = relay.to_announce.pop(entry.txid)
            if hash in relay.known or entry.fee * 1000 < relay.fee_filter * entry.vsize:
                continue
            relay.known.add(hash)
            news.append(Inventory(kind, hash))
        if news:
            peer.send(Inv(news))
        self._told(peer, relay)

    def _in_order(self, relay: TxRelay) -> list[MempoolEntry]:
        """What is queued and still in the mempool; the rest is dropped."""
        entries = []
        for txid in list(relay.to_announce):
            entry = self._mempool.entry(txid)
            if entry is None:
                del relay.to_announce[txid]
            else:
                entries.append(entry)
        if len(entries) == 1:
            return entries
        keyed = []
        for entry in entries:
            chunk = self._mempool.chunk(entry)
            keyed.append((chunk.order, chunk.entries.index(entry), entry))
        keyed.sort(key=lambda each: each[:2])
        return [entry for _, _, entry in keyed]


def _random(mean: float) -> float:
    return random.expovariate(1 / mean) if mean else 0.0
