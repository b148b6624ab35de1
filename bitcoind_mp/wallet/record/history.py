"""The wallet's transactions as a graph: who spends what, and how a change of one's state changes others.

The rules are Core's (``src/wallet/wallet.cpp``: ``AddToWallet``, ``MarkConflicted``, ``AbandonTransaction``,
``transactionAddedToMempool`` and the like). Everything that changes a stored transaction runs inside a ledger
transaction of the caller's. What doesn't belong: balances (``balances.py``), addresses, where blocks come from.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from btclib.tx import Tx

from bitcoind_mp.wallet.coins import OutPoint, Owner
from bitcoind_mp.wallet.storage.tables import TransactionTable
from bitcoind_mp.wallet.transactions import Confirmed, Conflicted, Inactive, InMempool, State, WalletTx

from .scan import wire_outpoint

#: Core's limit for how far a smart time may lie in the future, in seconds (``ComputeTimeSmart``).
_TOLERATED_FUTURE = 300
_TRUC_VERSION = 3


class Output(NamedTuple):
    """An output of one of our transactions that pays us."""

    amount: int
    script: bytes
    owner: Owner


class History:
    """All transactions of one wallet, in memory, with the table they are written through to.

    ``note`` is called, in the same ledger transaction, with the txid of each that came or changed as -walletnotify
    means it: where Core's ``AddToWallet`` is called, also for one that stays as it was (a scan finds it again); but not
    for one that is still in the mempool, which each new stream tells anew."""

    def __init__(
        self, table: TransactionTable, owner_of: Callable[[bytes], Owner | None], note: Callable[[bytes], None]
    ) -> None:
        self._table = table
        self._note = note
        self._owner_of = owner_of
        self._txs: dict[bytes, WalletTx] = {}
        self._spenders: dict[OutPoint, list[bytes]] = {}
        self._outputs: dict[OutPoint, Output] = {}
        self._watched: set[bytes] = set()
        self._conflicting: dict[bytes, set[bytes]] = {}
        self._truc_parents: dict[bytes, bytes] = {}
        self._next_order = 0
        self.reload()

    def reload(self) -> None:
        """Read what the ledger holds."""
        self._txs, self._spenders, self._outputs, self._conflicting, self._truc_parents = {}, {}, {}, {}, {}
        self._watched = set()
        self._next_order = 0
        for tx in self._table.all():
            self._remember(tx)

    def _remember(self, tx: WalletTx) -> None:
        self._txs[tx.txid] = tx
        self._next_order = max(self._next_order, tx.order + 1)
        for outpoint in tx.spends:
            self._spenders.setdefault(outpoint, []).append(tx.txid)
            self._watched.add(wire_outpoint(*outpoint))
        self._find_outputs(tx)

    def _find_outputs(self, tx: WalletTx) -> None:
        for n, out in enumerate(tx.tx.vout):
            script = out.script_pub_key.script
            owner = self._owner_of(script)
            if owner is not None:
                self._outputs[OutPoint(tx.txid, n)] = Output(out.value, script, owner)
            if owner is not None or tx.tx.version == _TRUC_VERSION:
                self._watched.add(wire_outpoint(tx.txid, n))

    def find_new_outputs(self) -> None:
        """Look through all transactions again after descriptors were added (``RefreshAllTXOs``)."""
        for tx in self._txs.values():
            self._find_outputs(tx)

    # --- looking up -----------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._txs)

    def __iter__(self) -> Iterator[WalletTx]:
        """In the order they came."""
        return iter(list(self._txs.values()))

    def get(self, txid: bytes) -> WalletTx | None:
        """One by its txid."""
        return self._txs.get(txid)

    @property
    def outputs(self) -> Mapping[OutPoint, Output]:
        """Every output that pays us, spent or not."""
        return self._outputs

    @property
    def watched(self) -> set[bytes]:
        """The outpoints, in wire form, whose spending concerns us."""
        return self._watched

    def spenders(self, outpoint: OutPoint) -> list[WalletTx]:
        """The transactions of ours that spend it, in whatever state."""
        return [self._txs[txid] for txid in self._spenders.get(outpoint, ())]

    def is_spent(self, outpoint: OutPoint) -> bool:
        """Spent by a transaction that is neither abandoned nor conflicted (``IsSpent``)."""
        return any(_counts(spender) for spender in self.spenders(outpoint))

    def is_from_me(self, tx: WalletTx) -> bool:
        """Whether it spends a coin of ours (``IsFromMe``)."""
        return any(outpoint in self._outputs for outpoint in tx.spends)

    def conflicts(self, tx: WalletTx) -> set[bytes]:
        """The txids of the others that spend what it spends (``GetTxConflicts``)."""
        return {spender.txid for outpoint in tx.spends for spender in self.spenders(outpoint)} - {tx.txid}

    def has_wallet_spend(self, tx: WalletTx) -> bool:
        """Whether an output of it is spent by another of ours (``HasWalletSpend``)."""
        return any(self.is_spent(OutPoint(tx.txid, n)) for n in range(len(tx.tx.vout)))

    def descendants(self, tx: WalletTx) -> Iterator[WalletTx]:
        """Itself and all of ours that spend from it, however far."""
        pending, seen = [tx], {tx.txid}
        while pending:
            now = pending.pop()
            yield now
            for child in self._children(now):
                if child.txid not in seen:
                    seen.add(child.txid)
                    pending.append(child)

    def _children(self, tx: WalletTx) -> list[WalletTx]:
        return [child for n in range(len(tx.tx.vout)) for child in self.spenders(OutPoint(tx.txid, n))]

    # --- a transaction arrives or changes -------------------------------------------------------------------

    def put(
        self, raw: bytes, state: State, *, now: int, block_time: int | None = None, rescanning: bool = False
    ) -> tuple[WalletTx, bool]:
        """Add a transaction that concerns us, or bring a known one to ``state``; and whether it is new.

        ``now`` in seconds; ``block_time`` is the confirming block's time, while ``rescanning`` the highest of the
        chain up to it (``AddToWallet``).
        """
        fresh = WalletTx(txid=Tx.parse(raw, check_validity=False).id, raw=raw, state=state)
        tx = self._txs.get(fresh.txid)
        is_old_news = tx is not None and isinstance(state, InMempool) and tx.state == state
        if tx is None:
            tx = fresh
            tx.order = self._next_order
            tx.time_received = now
            tx.time_smart = self._smart_time(now, block_time, rescanning)
            self._remember(tx)
            self._table.put(tx)
            self._share_facts(tx)
        elif fresh.tx.is_segwit and not tx.tx.is_segwit:
            # what we had was stripped of its witnesses
            tx.raw = raw
            del tx.tx
            self._set_state(tx, state)
        elif tx.state != state:
            self._set_state(tx, state)
        if tx.is_coinbase and isinstance(tx.state, Inactive):
            for gone in list(self.descendants(tx)):
                self._set_state(gone, Inactive(abandoned=True))
        if not is_old_news:
            self._note(tx.txid)
        return tx, tx is fresh

    def _share_facts(self, tx: WalletTx) -> None:
        """What people know of a transaction holds for one that is the same but for its signatures: the oldest's is
        taken (``SyncMetaData``)."""
        for outpoint in tx.spends:
            same = sorted(self.spenders(outpoint), key=lambda spender: spender.order)
            for other in same[1:]:
                if _unsigned(other.tx) == _unsigned(same[0].tx):
                    other.take_facts(same[0])
                    self._table.put(other)

    def _set_state(self, tx: WalletTx, state: State) -> None:
        tx.state = state
        self._table.put(tx)

    def save(self, tx: WalletTx) -> None:
        """Write what was changed of it (comment, replaces, replaced by)."""
        self._table.put(tx)

    def remove(self, tx: WalletTx) -> None:
        """Forget a transaction (``RemoveTxs``)."""
        self._table.remove(tx.txid)
        del self._txs[tx.txid]
        for outpoint in tx.spends:
            self._spenders[outpoint].remove(tx.txid)
            if outpoint not in self._outputs and not self._spenders[outpoint]:
                self._watched.discard(wire_outpoint(*outpoint))
        for n in range(len(tx.tx.vout)):
            outpoint = OutPoint(tx.txid, n)
            self._outputs.pop(outpoint, None)
            if not self._spenders.get(outpoint):
                self._watched.discard(wire_outpoint(*outpoint))

    def _smart_time(self, now: int, block_time: int | None, rescanning: bool) -> int:
        if block_time is None:
            return now
        if rescanning:
            return block_time
        latest_now, latest_entry = now, 0
        for tx in reversed(self._txs.values()):
            if tx.time <= now + _TOLERATED_FUTURE:
                latest_entry = tx.time
                latest_now = max(latest_now, latest_entry)
                break
        return max(latest_entry, min(block_time, latest_now))

    def _update(self, first: WalletTx, change: Callable[[WalletTx], bool]) -> None:
        """Apply ``change`` to a transaction and, where it changed something, to what spends from it, and so on
        (``RecursiveUpdateTxState``)."""
        pending, done = [first], set()
        while pending:
            tx = pending.pop()
            done.add(tx.txid)
            if change(tx):
                pending += [child for child in self._children(tx) if child.txid not in done]

    # --- blocks ---------------------------------------------------------------------------------------------

    def mark_conflicts(self, tx: WalletTx, block: bytes, height: int, tip: int) -> None:
        """A confirmed transaction makes the others that spend what it spends conflicted, and their descendants
        (``MarkConflicted``). ``tip`` is the height of the newest block processed."""
        depth = -(tip - height + 1)
        if depth >= 0:
            return

        def change(other: WalletTx) -> bool:
            if depth < self.depth(other, tip):
                self._set_state(other, Conflicted(block, height))
                return True
            return False

        for txid in self.conflicts(tx):
            self._update(self._txs[txid], change)

    def rewind(self, height: int) -> None:
        """The blocks above that height left the chain: what they confirmed is unconfirmed, what they conflicted with
        is not any more."""
        for tx in self:
            if isinstance(tx.state, Confirmed) and tx.state.height > height:
                if tx.is_coinbase:
                    for gone in list(self.descendants(tx)):
                        self._set_state(gone, Inactive(abandoned=True))
                else:
                    self._set_state(tx, Inactive())
                self._note(tx.txid)
            elif isinstance(tx.state, Conflicted) and tx.state.height > height:
                self._set_state(tx, Inactive())

    # --- the mempool ----------------------------------------------------------------------------------------

    def entered_mempool(self, tx: Tx) -> None:
        """Note what a transaction in the mempool (ours or a stranger's) conflicts with."""
        txid = tx.id

        def change(other: WalletTx) -> bool:
            return self._add_mempool_conflict(other, txid)

        for tx_in in tx.vin:
            for other in self.spenders(OutPoint(tx_in.prev_out.tx_id, tx_in.prev_out.vout)):
                if other.txid != txid:
                    self._update(other, change)
            parent = self._txs.get(tx_in.prev_out.tx_id)
            if tx.version == _TRUC_VERSION and parent is not None and _is_unconfirmed(parent):
                self._set_truc_child(parent, txid)
                for sibling in self._children(parent):
                    if sibling.txid != txid:
                        self._update(sibling, change)

    def _add_mempool_conflict(self, tx: WalletTx, txid: bytes) -> bool:
        if txid in tx.mempool_conflicts:
            return False
        if isinstance(tx.state, InMempool):
            self._set_state(tx, Inactive())  # both can't be there: that it left may never be told
        tx.mempool_conflicts.add(txid)
        self._conflicting.setdefault(txid, set()).add(tx.txid)
        return True

    def left_mempool(self, txid: bytes, *, confirmed: bool = False) -> bool:
        """A transaction is not in the mempool any more; whether that concerned us."""
        concerned = False
        for other in self._conflicting.pop(txid, ()):
            self._txs[other].mempool_conflicts.discard(txid)
            concerned = True
        tx = self._txs.get(txid)
        if tx is not None and isinstance(tx.state, InMempool) and not confirmed:
            self._set_state(tx, Inactive())
            concerned = True
        parent = self._txs.get(self._truc_parents.pop(txid, b""))
        if parent is not None and parent.truc_child_in_mempool == txid:
            parent.truc_child_in_mempool = None
        return concerned

    def _set_truc_child(self, parent: WalletTx, txid: bytes) -> None:
        parent.truc_child_in_mempool = txid
        self._truc_parents[txid] = parent.txid

    def mempool_unknown(self) -> None:
        """Another stream will tell the mempool from the start: forget who conflicted with us."""
        self._conflicting = {}
        self._truc_parents = {}
        for tx in self._txs.values():
            tx.mempool_conflicts.clear()
            tx.truc_child_in_mempool = None

    def mempool_is(self, txids: Iterable[bytes]) -> None:
        """Which of our unconfirmed transactions are in the mempool."""
        present = set(txids)
        for tx in self.unconfirmed():
            if tx.txid in present:
                self.accepted(tx)
            elif isinstance(tx.state, InMempool):
                self._set_state(tx, Inactive())

    def unconfirmed(self) -> list[WalletTx]:
        """Those that wait, abandoned ones included, conflicted ones not; in the order they came."""
        return [tx for tx in self if isinstance(tx.state, Inactive | InMempool)]

    def accepted(self, tx: WalletTx) -> None:
        """It is in the mempool."""
        if not isinstance(tx.state, InMempool):
            self._set_state(tx, InMempool())
            self._note(tx.txid)

    def abandon(self, tx: WalletTx) -> None:
        """Give it and what spends from it up (``AbandonTransaction``)."""

        def change(other: WalletTx) -> bool:
            if isinstance(other.state, Inactive) and not other.state.abandoned:
                self._set_state(other, Inactive(abandoned=True))
                return True
            return False

        self._update(tx, change)

    def depth(self, tx: WalletTx, tip: int) -> int:
        """Confirmations at that height; 0 unconfirmed; negative: how deep the block is that conflicts with it."""
        match tx.state:
            case Confirmed(height=height):
                return tip - height + 1
            case Conflicted(height=height):
                return -(tip - height + 1)
            case _:
                return 0


def _unsigned(tx: Tx) -> tuple[object, ...]:
    """All of a transaction but its scriptSigs and witnesses."""
    inputs = [(tx_in.prev_out.tx_id, tx_in.prev_out.vout, tx_in.sequence) for tx_in in tx.vin]
    return tx.version, tx.lock_time, inputs, [(out.value, out.script_pub_key.script) for out in tx.vout]


def _is_unconfirmed(tx: WalletTx) -> bool:
    """Core's ``isUnconfirmed``: neither abandoned, conflicted nor confirmed."""
    return isinstance(tx.state, InMempool) or (isinstance(tx.state, Inactive) and not tx.state.abandoned)


def _counts(tx: WalletTx) -> bool:
    return not tx.is_abandoned and not tx.is_block_conflicted and not tx.is_mempool_conflicted
