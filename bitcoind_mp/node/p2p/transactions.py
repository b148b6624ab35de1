"""Unconfirmed transactions from peers: what they announce is fetched, what comes goes to the mempool.

What to fetch from whom, and what becomes of what was refused, is in ``txdownload.py``; what our mempool has is told by
``announcing.py``.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable

from btclib.p2p import GetData, Inventory, InventoryType
from btclib.tx import Tx

from bitcoind_mp.node.chain.contents import BlockContents
from bitcoind_mp.node.chain.state import ChainState, CoinsUnavailable
from bitcoind_mp.node.mempool.entry import MempoolEntry
from bitcoind_mp.node.mempool.pool import Mempool
from bitcoind_mp.node.mempool.rejected import Rejected

from .alarm import Alarm
from .inventory import Item
from .orphans import Orphan
from .peer import Peer
from .permissions import Permissions
from .txdownload import Package, TxDownload, TxPeer

log = logging.getLogger("bitcoind_mp.net")

#: Transactions asked for in one message (``MAX_GETDATA_SZ``).
_ASK_AT_ONCE = 1000

TX_TYPES = {InventoryType.MSG_TX, InventoryType.MSG_WITNESS_TX, InventoryType.MSG_WTX}


class TransactionRelay:
    """Lives in the loop.

    Args:
        chain, mempool: ours.
        peers: the connected peers by number; the owner's own, seen here as it changes.
        announce: tells the others of a transaction although it isn't new.
    """

    def __init__(
        self, chain: ChainState, mempool: Mempool, peers: dict[int, Peer], announce: Callable[[MempoolEntry], None]
    ) -> None:
        self._chain = chain
        self._mempool = mempool
        self._peers = peers
        self._announce = announce
        self._download = TxDownload(mempool)
        self._alarm = Alarm(chain.clock, self._ask)
        self._taking = asyncio.Lock()

    def greet(self, peer: Peer) -> None:
        """The peer's handshake is complete."""
        about = TxPeer(peer.preferred, peer.may(Permissions.RELAY), peer.handshake.wtxid_relay)
        self._download.connected(peer.number, about)

    def forget(self, peer: Peer) -> None:
        """The peer is gone: what it owed us is asked of others."""
        self._download.disconnected(peer.number)
        self._ask()

    def close(self) -> None:
        self._alarm.close()

    def tip_changed(self) -> None:
        self._download.tip_changed()
        self._ask()

    def block_connected(self, contents: BlockContents) -> None:
        if not self._chain.initial_block_download:
            self._download.block_connected(contents)

    def block_disconnected(self) -> None:
        self._download.block_disconnected()

    @property
    def orphans(self) -> list[Orphan]:
        """What waits for its parents (``getorphantxs``)."""
        return self._download.listed()

    def announced(self, peer: Peer, items: Iterable[Item]) -> None:
        """The peer says that it has these."""
        now = self._chain.clock.exact()
        for item in items:
            _know(peer, item.hash)
            if not self._chain.initial_block_download:
                by_wtxid = item.kind == InventoryType.MSG_WTX
                self._download.announced(peer.number, item.hash, now, by_wtxid=by_wtxid)
        self._ask()

    def refused(self, peer: Peer, hashes: Iterable[bytes]) -> None:
        """The peer hasn't got them after all."""
        for hash in hashes:
            self._download.not_found(peer.number, hash)
        self._ask()

    def _ask(self) -> None:
        for number, announcements in self._download.to_request(self._chain.clock.exact()).items():
            peer = self._peers[number]
            by_txid = InventoryType.MSG_WITNESS_TX if peer.serves_witnesses else InventoryType.MSG_TX
            items = [
                Inventory(InventoryType.MSG_WTX if each.by_wtxid else by_txid, each.hash) for each in announcements
            ]
            for start in range(0, len(items), _ASK_AT_ONCE):
                peer.send(GetData(items[start : start + _ASK_AT_ONCE]))
        self._alarm.set(self._download.requests.next_deadline())

    async def on_tx(self, peer: Peer, payload: bytes) -> None:
        """One came. Taken one after another, whoever sent them, as what becomes of one decides about others."""
        if self._chain.initial_block_download:
            return
        tx = Tx.parse(payload, check_validity=False)
        _know(peer, tx.hash if peer.handshake.wtxid_relay else tx.id)
        async with self._taking:
            try:
                await self._on_tx(peer.number, tx)
            except CoinsUnavailable as error:
                log.debug("%s of %s was passed over: %s", tx.hash.hex(), peer, error)
        self._ask()

    async def _on_tx(self, peer: int, tx: Tx) -> None:
        alone, package = self._download.received(peer, tx)
        waiting: list[int] = []
        if alone:
            waiting += await self._take(peer, tx, first=True)
        elif package is not None:
            waiting += await self._take_package(package)
        elif self._relays_always(peer) and (entry := self._mempool.entry(tx.id)) is not None:
            self._announce(entry)
        while waiting:
            number = waiting.pop(0)
            while (orphan := self._download.orphans.to_reconsider(number)) is not None:
                waiting += await self._take(number, orphan, first=False)

    def _relays_always(self, peer: int) -> bool:
        sender = self._peers.get(peer)
        return sender is not None and sender.may(Permissions.FORCE_RELAY)

    async def _take(self, peer: int, tx: Tx, *, first: bool) -> list[int]:
        """Try it by itself; the peers whose orphans may be tried then."""
        try:
            await self._mempool.accept(tx, local=False)
        except Rejected as why:
            return await self._refused(peer, tx, why, first=first)
        except OSError as error:
            log.error("%s could not be kept: %s", tx.id.hex(), error)
            return []
        if first and (sender := self._peers.get(peer)) is not None:
            sender.traffic.last_transaction = self._chain.clock.now()
        return list(self._download.accepted(tx))

    async def _refused(self, peer: int, tx: Tx, why: Rejected, *, first: bool) -> list[int]:
        log.debug("%s (wtxid=%s) from peer=%d was not accepted: %s", tx.id.hex(), tx.hash.hex(), peer, why)
        outcome = self._download.refused(tx, why, peer, self._chain.clock.exact(), first=first)
        sender = self._peers.get(peer)
        for parent in outcome.parents:
            _know(sender, parent)
        return await self._take_package(outcome.package) if outcome.package is not None else []

    async def _take_package(self, package: Package) -> list[int]:
        """Try the two together; the peers whose orphans may be tried then."""
        try:
            result = await self._mempool.accept_package([package.parent, package.child], local=False)
        except OSError as error:
            log.error("%s and its parent could not be kept: %s", package.child.id.hex(), error)
            return []
        if result.package_error:
            self._download.package_refused(package)
        by_wtxid = {each.wtxid: each for each in result.results}
        waiting: list[int] = []
        for tx in (package.child, package.parent):
            each = by_wtxid.get(tx.hash)
            if each is None:
                continue
            if each.accepted is not None:
                waiting += self._download.accepted(tx)
            elif each.rejected is not None:
                self._download.refused(tx, each.rejected, package.peer, self._chain.clock.exact(), first=False)
        return waiting


def _know(peer: Peer | None, hash: bytes) -> None:
    """The peer has it: it needn't be told."""
    if peer is not None and peer.tx_relay is not None:
        peer.tx_relay.known.add(hash)
