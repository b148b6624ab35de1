"""One transaction against the chain and the mempool: Bitcoin Core's ``PreChecks`` (``src/validation.cpp``), in its
order and its words. No scripts are run here (``scripts.py``) and nothing changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from btclib.exceptions import BTClibValueError
from btclib.hashes import hash256
from btclib.policy import MAX_STANDARD_TX_SIGOPS_COST, sig_ops_adjusted_weight
from btclib.script.engine import ScriptFlag, sig_op_cost
from btclib.tx import Tx
from btclib.tx.coin import Coin
from btclib.tx.tx_context import assert_sequence_locks, is_final
from btclib.tx.tx_out import TxOut

from . import ephemeral, truc
from .entry import MempoolEntry, effective_lock_time, has_relative_locks, signals_rbf
from .feerate import fee_at
from .memory import counted
from .minimum import MinimumFee
from .policy import MempoolPolicy
from .rejected import Kind, Rejected
from .standard import check_inputs, check_size, check_standard, check_witness
from .store import Store
from .transaction import check_transaction, fee_of
from .view import ChainView, OutPoint

#: Outputs looked up to tell a confirmed transaction from one whose parents are unknown.
_KNOWN_LOOKUPS = 100


@dataclass(frozen=True)
class Incoming:
    """A transaction at the door, with what is computed once: ``raw`` has the witnesses, ``stripped_size`` counts bytes
    without, ids in display order.

    ``unbroadcast``: peers are to be told until one asks. ``on_disk``: it comes from there and needn't be written down.
    """

    tx: Tx
    raw: bytes
    txid: bytes
    wtxid: bytes
    stripped_size: int
    time: int
    unbroadcast: bool = False
    on_disk: bool = False

    @classmethod
    def of(cls, tx: Tx, time: int, *, unbroadcast: bool = False, on_disk: bool = False) -> "Incoming":
        """Serialise and hash."""
        raw = tx.serialize(include_witness=True, check_validity=False)
        wtxid = hash256(raw)[::-1]
        if not tx.is_segwit:
            return cls(tx, raw, wtxid, wtxid, len(raw), time, unbroadcast, on_disk)
        stripped = tx.serialize(include_witness=False, check_validity=False)
        return cls(tx, raw, hash256(stripped)[::-1], wtxid, len(stripped), time, unbroadcast, on_disk)

    @property
    def name(self) -> str:
        """As Core's messages name a transaction."""
        return f"{self.txid.hex()} (wtxid={self.wtxid.hex()})"


@dataclass(frozen=True)
class Terms:
    """What a transaction is spared, and what it may do (Core's ``ATMPArgs``).

    ``bypass_limits``: it comes from a disconnected block; no fee, no version 3 rule and no dust rule is asked.
    ``ask_fee``: whether it must pay the minimum by itself. ``replace``: whether it may replace others.
    ``evict_sibling``: whether a version 3 transaction may replace its sibling. ``max_fee_rate``: sat/kvB.
    """

    bypass_limits: bool = False
    ask_fee: bool = True
    replace: bool = True
    evict_sibling: bool = True
    max_fee_rate: int | None = None


@dataclass
class Candidate:
    """A transaction that has passed `Rules.check`: its entry to be, and what it means to others."""

    incoming: Incoming
    entry: MempoolEntry
    spent: list[TxOut]
    conflicts: set[MempoolEntry] = field(default_factory=set)
    sibling: bool = False


class Rules:
    """The checks, against one chain and one mempool."""

    def __init__(self, chain: ChainView, store: Store, policy: MempoolPolicy, minimum: MinimumFee) -> None:
        self._chain = chain
        self._store = store
        self._policy = policy
        self._minimum = minimum

    def check(self, incoming: Incoming, terms: Terms, package: Mapping[bytes, Candidate] | None = None) -> Candidate:
        """Everything but scripts, cluster limits and replacement.

        ``package`` are the transactions of the same package that were checked before, by txid.

        Raises:
            Rejected: in Core's words.
            CoinsUnavailable: during the initial download.
        """
        tx, policy = incoming.tx, self._policy
        check_transaction(tx, incoming.stripped_size)
        if tx.is_coinbase:
            raise Rejected("coinbase")
        check_standard(tx, policy)
        check_size(incoming.stripped_size)
        tip = self._chain.tip
        if not is_final(tx, tip.height + 1, tip.median_time):
            raise Rejected("non-final", "", Kind.PREMATURE_SPEND)
        self._check_new(incoming)
        spends = tuple((tx_in.prev_out.tx_id, tx_in.prev_out.vout) for tx_in in tx.vin)
        conflicts = self._conflicts(spends, terms)
        coins = self._coins(incoming, spends, package or {})
        self.check_sequence_locks(tx, coins)
        fee = fee_of(tx, coins, tip.height + 1)
        spent = [coin.tx_out for coin in coins]
        if policy.require_standard:
            check_inputs(tx, spent)
            check_witness(tx, spent)
        entry = self._entry(incoming, spends, coins, spent, fee, terms)
        self._check_price(entry, tx, terms)
        entry.parents = self._store.parents_of(spends)
        candidate = Candidate(incoming, entry, spent, conflicts)
        if not terms.bypass_limits:
            self._check_truc(candidate, terms)
        # parents in the package last: version 3's rules on those are the package's
        entry.parents |= {package[txid].entry for txid, _ in spends if txid in package} if package else set()
        return candidate

    def _check_new(self, incoming: Incoming) -> None:
        if incoming.wtxid in self._store.by_wtxid:
            raise Rejected("txn-already-in-mempool", "", Kind.CONFLICT)
        if incoming.txid in self._store.entries:
            raise Rejected("txn-same-nonwitness-data-in-mempool", "", Kind.CONFLICT)

    def _conflicts(self, spends: tuple[OutPoint, ...], terms: Terms) -> set[MempoolEntry]:
        found = {entry for outpoint in spends if (entry := self._store.spends.get(outpoint)) is not None}
        if found and not terms.replace:
            raise Rejected("bip125-replacement-disallowed", "", Kind.MEMPOOL_POLICY)
        return found

    def _coins(
        self, incoming: Incoming, spends: tuple[OutPoint, ...], package: Mapping[bytes, Candidate]
    ) -> list[Coin]:
        coins = []
        parsed: dict[bytes, Tx] = {txid: candidate.incoming.tx for txid, candidate in package.items()}
        for outpoint in spends:
            coin = self.coin(outpoint, parsed)
            if coin is None:
                known = ((incoming.txid, index) for index in range(min(len(incoming.tx.vout), _KNOWN_LOOKUPS)))
                if any(self._chain.coins.get(output) is not None for output in known):
                    raise Rejected("txn-already-known", "", Kind.CONFLICT)
                raise Rejected("bad-txns-inputs-missingorspent", "", Kind.MISSING_INPUTS)
            coins.append(coin)
        return coins

    def coin(self, outpoint: OutPoint, parsed: dict[bytes, Tx] | None = None) -> Coin | None:
        """An output of the mempool (its height one above the tip) or of the chain. ``parsed`` are transactions that
        count as in the mempool; those taken apart here are added to it."""
        txid, index = outpoint
        tx = parsed.get(txid) if parsed else None
        if tx is None and (entry := self._store.entries.get(txid)) is not None:
            tx = entry.tx
            if parsed is not None:
                parsed[txid] = tx
        if tx is None:
            return self._chain.coins.get(outpoint)
        if index >= len(tx.vout):
            return None
        return Coin(tx.vout[index], self._chain.tip.height + 1, False, check_validity=False)

    def check_sequence_locks(self, tx: Tx, coins: list[Coin]) -> None:
        """Raise `Rejected` where a relative lock time keeps it out of the next block (BIP68)."""
        tip = self._chain.tip
        try:
            assert_sequence_locks(tx, coins, tip.height + 1, tip.median_time, self._median_time)
        except BTClibValueError:
            raise Rejected("non-BIP68-final", "", Kind.PREMATURE_SPEND) from None

    def _median_time(self, height: int) -> int:
        block = self._chain.by_height(height)
        return block.median_time if block is not None else self._chain.tip.median_time

    def _entry(
        self,
        incoming: Incoming,
        spends: tuple[OutPoint, ...],
        coins: list[Coin],
        spent: list[TxOut],
        fee: int,
        terms: Terms,
    ) -> MempoolEntry:
        tx, weight = incoming.tx, 3 * incoming.stripped_size + len(incoming.raw)
        sigops = sig_op_cost(spent, tx, ScriptFlag.P2SH | ScriptFlag.WITNESS)
        return MempoolEntry(
            raw=incoming.raw,
            txid=incoming.txid,
            wtxid=incoming.wtxid,
            version=tx.version,
            spends=spends,
            signals_rbf=signals_rbf(tx),
            lock_time=effective_lock_time(tx),
            relative_locks=has_relative_locks(tx),
            fee=fee,
            modified_fee=fee + self._store.deltas.get(incoming.txid, 0),
            weight=weight,
            adjusted_weight=sig_ops_adjusted_weight(
                weight, sig_op_cost=sigops, bytes_per_sigop=self._policy.bytes_per_sigop
            ),
            sigop_cost=sigops,
            time=incoming.time,
            height=self._chain.tip.height,
            sequence=0 if terms.bypass_limits else self._store.sequence,
            spends_coinbase=any(coin.is_coinbase for coin in coins),
            memory=counted(tx),
        )

    def _check_price(self, entry: MempoolEntry, tx: Tx, terms: Terms) -> None:
        if self._policy.require_standard:
            ephemeral.check_fee(tx, entry.fee, entry.modified_fee, self._policy)
        if entry.sigop_cost > MAX_STANDARD_TX_SIGOPS_COST:
            raise Rejected("bad-txns-too-many-sigops", str(entry.sigop_cost), Kind.NOT_STANDARD)
        if terms.ask_fee and not terms.bypass_limits:
            self.check_fee(entry.modified_fee, entry.vsize)

    def check_fee(self, fee: int, vsize: int) -> None:
        """Raise `Rejected` below the mempool's minimum or the relay minimum (``CheckFeeRate``)."""
        rolling = fee_at(self._minimum.rate(self._chain.clock.now(), self._store.usage), vsize)
        if rolling > 0 and fee < rolling:
            raise Rejected("mempool min fee not met", f"{fee} < {rolling}", Kind.RECONSIDERABLE)
        relay = fee_at(self._policy.min_relay_fee, vsize)
        if fee < relay:
            raise Rejected("min relay fee not met", f"{fee} < {relay}", Kind.RECONSIDERABLE)

    def _check_truc(self, candidate: Candidate, terms: Terms) -> None:
        try:
            truc.check_single(candidate.entry, candidate.conflicts)
        except truc.TrucViolation as violation:
            if not terms.evict_sibling or violation.sibling is None:
                raise
            candidate.conflicts.add(violation.sibling)
            candidate.sibling = True
