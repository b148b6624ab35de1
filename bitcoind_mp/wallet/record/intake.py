"""What a block or a mempool transaction does to a wallet. Core's ``AddToWalletIfInvolvingMe`` and its callers.

Everything here runs inside a ledger transaction of the caller's. What doesn't belong: connections, streams.
"""

from collections.abc import Callable, Mapping

from btclib.tx import Tx

from bitcoind_mp.interfaces.chain import BlockRef
from bitcoind_mp.wallet.addressing.addresses import has_address
from bitcoind_mp.wallet.addressing.book import RECEIVE, AddressBook
from bitcoind_mp.wallet.addressing.descriptors import DescriptorSet, WalletDescriptor
from bitcoind_mp.wallet.coins import OutPoint, Owner
from bitcoind_mp.wallet.transactions import Confirmed, Inactive, InMempool, State, WalletTx

from .history import History
from .locks import Locks
from .scan import concerns, scan_block


class Intake:
    """Applies what the node tells to the parts of one wallet."""

    def __init__(
        self,
        history: History,
        descriptors: DescriptorSet,
        book: AddressBook,
        locks: Locks,
        *,
        mapping: Callable[[WalletDescriptor], Mapping[str, str] | None],
        now: Callable[[], int],
        note_reuse: Callable[[], bool],
    ) -> None:
        self._history = history
        self._descriptors = descriptors
        self._book = book
        self._locks = locks
        self._mapping = mapping
        self._now = now
        self._note_reuse = note_reuse

    def block(self, raw: bytes, block: BlockRef, tip: int, max_time: int | None = None) -> list[WalletTx]:
        """A block of the best chain; the transactions of ours in it. ``tip`` is the wallet's newest height, this
        block's where it is new; ``max_time`` is given when it is an older one, scanned again: the highest block time
        up to it."""
        taken = []
        hash = bytes.fromhex(block.hash)
        for found in scan_block(raw, self._descriptors.owned_scripts, self._history.watched):
            state = Confirmed(hash, block.height, found.position, block.time)
            tx = WalletTx(Tx.parse(found.raw, check_validity=False).id, found.raw, state)
            self._history.mark_conflicts(tx, hash, block.height, tip)
            if self._take(tx, block.time if max_time is None else max_time, max_time is not None):
                taken.append(tx)
            self._history.left_mempool(tx.txid, confirmed=True)
        return taken

    def finds(self, raw: bytes) -> bool:
        """Whether anything in a block concerns us."""
        return any(True for _ in scan_block(raw, self._descriptors.owned_scripts, self._history.watched))

    def known_in(self, raw: bytes) -> list[WalletTx]:
        """The transactions of ours that are in a serialised block, in its order."""
        found = scan_block(raw, self._descriptors.owned_scripts, self._history.watched)
        txids = (Tx.parse(one.raw, check_validity=False).id for one in found)
        return [tx for txid in txids if (tx := self._history.get(txid)) is not None]

    def mempool(self, raw: bytes, time: int) -> WalletTx | None:
        """A transaction that is in the mempool now; ours where one is returned."""
        if not self.concerns(raw):
            return None
        parsed = Tx.parse(raw, check_validity=False)
        tx = WalletTx(parsed.id, raw, InMempool())
        known = self._history.get(tx.txid)
        taken = None
        if known is None or not known.is_confirmed:
            taken = self._take(tx, None, False, received=time)
        self._history.entered_mempool(parsed)
        return taken

    def concerns(self, raw: bytes) -> bool:
        """Whether a transaction pays or spends what concerns us."""
        return concerns(raw, self._descriptors.owned_scripts, self._history.watched)

    def ours(self, raw: bytes, state: State) -> WalletTx:
        """A transaction that we made."""
        tx = WalletTx(Tx.parse(raw, check_validity=False).id, raw, state)
        return self._store(tx, None, False, self._now())

    def proved(self, raw: bytes, state: Confirmed) -> bool:
        """A transaction that somebody proved to be in a block of the best chain; False where it doesn't pay us."""
        tx = WalletTx(Tx.parse(raw, check_validity=False).id, raw, state)
        if not any(self._descriptors.owner(out.script_pub_key.script) for out in tx.tx.vout):
            return False
        self._store(tx, state.time, False, self._now())
        return True

    def left_mempool(self, txid: bytes, reason: str) -> bool:
        """A transaction left the mempool unconfirmed; whether that concerned us."""
        concerned = self._history.left_mempool(txid)
        known = self._history.get(txid)
        if reason == "conflict" and known is not None and not known.is_confirmed and not known.is_block_conflicted:
            self._history.put(known.raw, Inactive(), now=self._now())
        return concerned or known is not None

    def _take(
        self, tx: WalletTx, block_time: int | None, rescanning: bool, received: int | None = None
    ) -> WalletTx | None:
        """Keep a transaction if it is ours: known, paying us, or spending our coins."""
        pays = [out.script_pub_key.script for out in tx.tx.vout if self._descriptors.owner(out.script_pub_key.script)]
        if self._history.get(tx.txid) is None and not pays and not self._history.is_from_me(tx):
            return None
        for script in pays:
            self._mark_used(script)
        return self._store(tx, block_time, rescanning, self._now() if received is None else received)

    def _store(self, tx: WalletTx, block_time: int | None, rescanning: bool, received: int) -> WalletTx:
        if self._note_reuse():
            for outpoint in tx.spends:
                output = self._history.outputs.get(outpoint)
                if output is not None:
                    self._book.set_spent(output.script)
        kept, is_new = self._history.put(tx.raw, tx.state, now=received, block_time=block_time, rescanning=rescanning)
        if is_new:
            self._locks.unlock(OutPoint(*outpoint) for outpoint in tx.spends)
        return kept

    def _mark_used(self, script: bytes) -> None:
        """An address of ours was paid: it and those before it count as handed out (``MarkUnusedAddresses``)."""
        for owner in self._descriptors.owners(script):
            found = self._descriptors.get(owner.descriptor)
            if owner.index >= found.next_index and found.is_ranged:
                internal = self._descriptors.is_internal(found.number)
                for index in range(found.next_index, owner.index + 1):
                    if internal is False:
                        self._enter(self._descriptors.cached(Owner(found.number, index)))
                found.next_index = owner.index + 1
                self._descriptors.save(found)
            self._descriptors.top_up(found, prv_keys=self._mapping(found))

    def _enter(self, scripts: list[bytes]) -> None:
        for script in scripts:
            if has_address(script) and self._book.get(script) is None:
                self._book.record(script, "", RECEIVE)
