"""Unconfirmed transactions, both ways: what peers announce is fetched, what our mempool takes is announced and served.

A new peer is told what comes from then on, as Core does. One that the operator named, or that runs this program too, is
told the whole mempool first: both ends of such a connection then hold the same transactions however long one of them
was away. The price is that it may learn when a transaction came to us. A stranger that calls us can claim to be of this
kind; it learns what it would by staying connected.
"""

import asyncio
import logging
import random
import time
from collections.abc import Iterable

from btclib.p2p import GetData, Inv, Inventory, InventoryType, TxPayload
from btclib.tx import Tx

from bitcoind_mp.node.chain.state import ChainState
from bitcoind_mp.node.mempool.entry import MempoolEntry
from bitcoind_mp.node.mempool.pool import Mempool
from bitcoind_mp.node.mempool.rejected import Kind, Rejected

from .inventory import Item
from .orphans import Orphan, Orphanage
from .peer import Peer, RecentHashes
from .requests import TxRequests

log = logging.getLogger("bitcoind_mp.net")

#: Mean seconds between announcements of transactions, outbound and inbound (``OUTBOUND_``/``INBOUND_INVENTORY_…``):
#: random waits, so that a peer can't tell where a transaction started.
ANNOUNCE_INTERVAL = (2.0, 5.0)
#: Transaction hashes in one announcement; the rest follows with the next.
ANNOUNCE_AT_ONCE = 1000
_REJECTED_REMEMBERED = 20_000

TX_TYPES = {InventoryType.MSG_TX, InventoryType.MSG_WITNESS_TX, InventoryType.MSG_WTX}


class TransactionRelay:
    """The mempool, kept the same with every peer. Lives in the loop.

    Args:
        chain, mempool: ours.
        peers: the connected peers by number; the owner's own, seen here as it changes.
        interval: mean seconds between announcements to outbound and to inbound peers.
    """

    def __init__(
        self, chain: ChainState, mempool: Mempool, peers: dict[int, Peer], interval: tuple[float, float]
    ) -> None:
        self._chain = chain
        self._mempool = mempool
        self._peers = peers
        self._interval = interval
        self._requests = TxRequests()
        self._orphans = Orphanage()
        self._rejected = RecentHashes(_REJECTED_REMEMBERED)
        self._announcing: dict[int, asyncio.TimerHandle] = {}
        self._timer: asyncio.TimerHandle | None = None

    def greet(self, peer: Peer) -> None:
        """The peer's handshake is complete: tell one of ours what we have."""
        if peer.wants_transactions and (peer.manual or peer.is_of_our_kind):
            for entry in self._mempool.entries():
                self._queue(peer, entry)

    def forget(self, peer: Peer) -> None:
        """The peer is gone: what it owed us is asked of others."""
        timer = self._announcing.pop(peer.number, None)
        if timer is not None:
            timer.cancel()
        self._requests.forget_peer(peer.number)
        self._orphans.forget_peer(peer.number)
        self._ask()

    def close(self) -> None:
        for timer in self._announcing.values():
            timer.cancel()
        if self._timer is not None:
            self._timer.cancel()

    def tip_changed(self) -> None:
        """What was refused may be acceptable on the new tip."""
        self._rejected.clear()

    # --- fetching

    def announced(self, peer: Peer, hashes: list[bytes]) -> None:
        """The peer says that it has these (wtxids, or txids from a peer without BIP339)."""
        for hash in hashes:
            peer.known_transactions.add(hash)
            if not self._chain.initial_block_download and not self._known(hash):
                self._requests.announced(peer.number, hash)
        self._ask()

    def refused(self, peer: Peer, hashes: list[bytes]) -> None:
        """The peer hasn't got the transactions after all."""
        self._requests.answered(peer.number, *hashes)
        self._ask()

    def _known(self, hash: bytes) -> bool:
        return self._mempool.have(hash) or hash in self._rejected or hash in self._orphans

    def _ask(self) -> None:
        for number, hashes in self._requests.next_requests(time.monotonic()).items():
            peer = self._peers[number]
            kind = InventoryType.MSG_WTX if peer.handshake.wtxid_relay else InventoryType.MSG_WITNESS_TX
            peer.send(GetData([Inventory(kind, hash) for hash in hashes]))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._requests.next_deadline()
        if due is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, due - time.monotonic()), self._ask)

    async def on_tx(self, peer: Peer, payload: bytes) -> None:
        tx = Tx.parse(payload, check_validity=False)
        txid, wtxid = tx.id, tx.hash
        # of another peer the txid is still wanted: this one may have put a false witness to it
        self._requests.answered(peer.number, txid)
        self._requests.received(wtxid)
        peer.known_transactions.add(wtxid if peer.handshake.wtxid_relay else txid)
        if (
            not self._chain.initial_block_download
            and not self._known(wtxid)
            and await self._take(peer, tx, len(payload))
        ):
            peer.traffic.last_transaction = int(time.time())
            await self._take_orphans(txid)
        self._ask()

    async def _take(self, peer: Peer, tx: Tx, size: int) -> bool:
        """Whether the transaction is in the mempool now; else it is an orphan, or refused and remembered."""
        try:
            await self._mempool.accept(tx, local=False)
        except Rejected as refusal:
            if refusal.kind == Kind.MISSING_INPUTS:
                self._keep_orphan(peer, tx, size)
            else:
                log.debug("%s from %s was not accepted: %s", tx.hash.hex(), peer, refusal)
                if refusal.kind != Kind.WITNESS_STRIPPED:
                    self._rejected.add(tx.hash)
            return False
        except OSError as error:
            log.error("%s could not be kept: %s", tx.id.hex(), error)
            return False
        return True

    def _keep_orphan(self, peer: Peer, tx: Tx, size: int) -> None:
        parents = {tx_in.prev_out.tx_id for tx_in in tx.vin}
        if any(parent in self._rejected for parent in parents):
            self._rejected.add(tx.hash)
            return
        self._orphans.add(tx.hash, Orphan(tx, size, peer.number))
        wanted = {
            tx_in.prev_out.tx_id
            for tx_in in tx.vin
            if not self._mempool.have(tx_in.prev_out.tx_id)
            and self._chain.coins.get((tx_in.prev_out.tx_id, tx_in.prev_out.vout)) is None
        }
        if wanted:  # by txid: that is all a child tells
            peer.send(GetData([Inventory(InventoryType.MSG_WITNESS_TX, parent) for parent in wanted]))

    async def _take_orphans(self, txid: bytes) -> None:
        """The transaction came: its children may come in, and theirs."""
        waiting = [txid]
        while waiting:
            for wtxid, orphan in self._orphans.children_of(waiting.pop()):
                sender = self._peers.get(orphan.peer)
                if sender is None:
                    continue
                self._orphans.remove(wtxid)
                if await self._take(sender, orphan.tx, orphan.size):
                    waiting.append(orphan.tx.id)

    # --- announcing and serving

    def added(self, entry: MempoolEntry) -> None:
        """It is in our mempool: tell those who may want it."""
        self._requests.received(entry.txid, entry.wtxid)
        for peer in self._peers.values():
            if peer.wants_transactions:
                self._queue(peer, entry)

    def announce_again(self, txids: Iterable[bytes]) -> None:
        """Those of ours that no peer has asked for yet."""
        for entry in filter(None, map(self._mempool.entry, txids)):
            self.added(entry)

    def _queue(self, peer: Peer, entry: MempoolEntry) -> None:
        hash = entry.wtxid if peer.handshake.wtxid_relay else entry.txid
        if hash in peer.known_transactions:
            return
        peer.to_announce[entry.txid] = hash
        self.announce_later(peer)

    def announce_later(self, peer: Peer) -> None:
        """Send what is queued for the peer in a while, if that isn't due anyway."""
        if peer.number not in self._announcing:
            mean = self._interval[1 if peer.inbound else 0]
            wait = random.expovariate(1 / mean) if mean else 0.0
            self._announcing[peer.number] = asyncio.get_running_loop().call_later(wait, self._announce, peer)

    def _announce(self, peer: Peer) -> None:
        """Send what is queued for the peer, parents first, and wait again where that wasn't all."""
        del self._announcing[peer.number]
        kind = InventoryType.MSG_WTX if peer.handshake.wtxid_relay else InventoryType.MSG_TX
        news: list[Inventory] = []
        for txid, hash in list(peer.to_announce.items()):
            if len(news) == ANNOUNCE_AT_ONCE:
                break
            del peer.to_announce[txid]
            entry = self._mempool.entry(txid)
            if entry is None or hash in peer.known_transactions:
                continue
            if entry.fee * 1000 < peer.fee_filter * entry.vsize:
                continue
            peer.known_transactions.add(hash)
            news.append(Inventory(kind, hash))
        if news:
            peer.send(Inv(news))
        if peer.to_announce:
            self.announce_later(peer)

    def serve(self, peer: Peer, item: Item) -> bool:
        """Send the transaction that the peer asked for; False where it isn't in the mempool."""
        by_wtxid = item.kind == InventoryType.MSG_WTX
        entry = self._mempool.entry_by_wtxid(item.hash) if by_wtxid else self._mempool.entry(item.hash)
        if entry is None:
            return False
        if item.kind == InventoryType.MSG_TX:
            peer.send(TxPayload(entry.tx, False, check_validity=False))
        else:
            peer.link.send_raw("tx", entry.raw)
        self._mempool.mark_broadcast(entry.txid)
        return True
