"""What accepting a transaction, or several together, would do: worked out at once, carried out later.

What belongs here: Bitcoin Core's ``AcceptSingleTransactionInternal`` and ``AcceptMultipleTransactionsInternal``
(``src/validation.cpp``) up to the scripts. What doesn't: running scripts and changing anything (``accept.py``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from btclib.tx import Tx

from . import ephemeral, replace, truc
from .clusters import Staged
from .entry import MempoolEntry
from .feerate import rate_of
from .package import PackageRejected, check_well_formed, is_child_with_parents
from .policy import MempoolPolicy
from .rejected import Kind, Rejected
from .rules import Candidate, Incoming, Rules, Terms
from .store import Store

TRANSACTION_FAILED = "transaction failed"


@dataclass(frozen=True)
class Plan:
    """These candidates (parents first) would enter, and ``evicted`` would go."""

    candidates: tuple[Candidate, ...]
    evicted: frozenset[MempoolEntry]
    staged: Staged

    @property
    def replaced(self) -> tuple[bytes, ...]:
        """Txids of what would go, in the order they came."""
        return tuple(entry.txid for entry in sorted(self.evicted, key=lambda entry: entry.sequence))

    @property
    def fee_rate(self) -> int:
        """Modified fee rate of all together, sat/kvB."""
        entries = [candidate.entry for candidate in self.candidates]
        return rate_of(sum(entry.modified_fee for entry in entries), sum(entry.vsize for entry in entries))


class MemberRejected(Exception):
    """A transaction of a package was refused: which, and why. ``package_error`` is what it makes of the package.

    ``plan`` is there if the refusal came from its scripts: those before it in the plan have passed every check.
    """

    def __init__(
        self, index: int, rejected: Rejected, package_error: str = TRANSACTION_FAILED, plan: Plan | None = None
    ) -> None:
        super().__init__(index, rejected, package_error)
        self.index = index
        self.rejected = rejected
        self.package_error = package_error
        self.plan = plan


class Planner:
    """Makes plans against the mempool as it is now."""

    def __init__(self, store: Store, rules: Rules, policy: MempoolPolicy) -> None:
        self._store = store
        self._rules = rules
        self._policy = policy

    def single(self, incoming: Incoming, terms: Terms) -> Plan:
        """One transaction by itself.

        Raises:
            Rejected: it may not enter.
        """
        candidate = self._rules.check(incoming, terms)
        entry, conflicts = candidate.entry, candidate.conflicts
        aside = " (including sibling eviction)" if candidate.sibling else ""
        if reason := replace.too_many_clusters(entry.txid, conflicts):
            raise Rejected(f"too many potential replacements{aside}", reason, Kind.MEMPOOL_POLICY)
        evicted = self._store.descendants(conflicts)
        staged = self._store.clusters.stage(evicted, [entry])
        if conflicts:
            rate = self._policy.incremental_relay_fee
            replace.check_single(entry, evicted, staged, self._store.clusters, rate, aside)
        if self._store.clusters.oversized(staged):
            raise Rejected("too-large-cluster", "", Kind.MEMPOOL_POLICY)
        self._check_independent(entry, conflicts)
        _check_max_rate(entry, terms)
        if not terms.bypass_limits and self._policy.require_standard:
            self._check_dust_spent(candidate, {})
        return Plan((candidate,), frozenset(evicted), staged)

    def package(self, txs: Sequence[Incoming], terms: Terms) -> Plan:
        """Several transactions, parents first, none of them in the mempool.

        Raises:
            PackageRejected: the package breaks a rule.
            MemberRejected: one of them may not enter.
        """
        check_well_formed([each.tx for each in txs], [each.txid for each in txs])
        candidates = self._check_members(txs, terms)
        entries = [candidate.entry for candidate in candidates]
        for entry in entries:
            try:
                truc.check_package(entry, entries)
            except truc.TrucViolation as violation:
                raise PackageRejected(violation.reason, violation.details) from None
        if not terms.ask_fee:
            self._check_package_fee(entries)
        evicted = self._evicted(txs, candidates)
        staged = self._store.clusters.stage(evicted, entries)
        if evicted:
            rate = self._policy.incremental_relay_fee
            replace.check_package(entries[0], entries[1], evicted, staged, self._store.clusters, rate)
        if self._store.clusters.oversized(staged):
            raise PackageRejected("too-large-cluster")
        if self._policy.require_standard:
            self._check_package_dust(candidates)
        return Plan(tuple(candidates), frozenset(evicted), staged)

    def _check_members(self, txs: Sequence[Incoming], terms: Terms) -> list[Candidate]:
        checked: dict[bytes, Candidate] = {}
        for index, incoming in enumerate(txs):
            try:
                candidate = self._rules.check(incoming, terms, checked)
                _check_max_rate(candidate.entry, terms)
            except Rejected as rejected:
                raise MemberRejected(index, rejected) from None
            checked[incoming.txid] = candidate
        return list(checked.values())

    def _check_package_fee(self, entries: Sequence[MempoolEntry]) -> None:
        fee, vsize = sum(entry.modified_fee for entry in entries), sum(entry.vsize for entry in entries)
        try:
            self._rules.check_fee(fee, vsize)
        except Rejected as rejected:
            raise MemberRejected(len(entries) - 1, rejected) from None

    def _evicted(self, txs: Sequence[Incoming], candidates: Sequence[Candidate]) -> set[MempoolEntry]:
        """What the package would replace, where it may at all."""
        conflicts = set().union(*(candidate.conflicts for candidate in candidates))
        if not conflicts:
            return set()
        if len(txs) != 2 or not is_child_with_parents([each.tx for each in txs], [each.txid for each in txs]):
            raise PackageRejected("package RBF failed: package must be 1-parent-1-child")
        if any(parent.cluster is not None for candidate in candidates for parent in candidate.entry.parents):
            raise PackageRejected("package RBF failed: new transaction cannot have mempool ancestors")
        if reason := replace.too_many_clusters(txs[-1].txid, conflicts):
            raise PackageRejected("package RBF failed: too many potential replacements", reason)
        return self._store.descendants(conflicts)

    def _check_package_dust(self, candidates: Sequence[Candidate]) -> None:
        package = {candidate.incoming.txid: candidate.incoming.tx for candidate in candidates}
        for index, candidate in enumerate(candidates):
            try:
                self._check_dust_spent(candidate, package)
            except Rejected as rejected:
                raise MemberRejected(index, rejected, "unspent-dust") from None

    def _check_dust_spent(self, candidate: Candidate, package: dict[bytes, Tx]) -> None:
        parents = {parent.txid: package.get(parent.txid) or parent.tx for parent in candidate.entry.parents}
        ephemeral.check_spends(candidate.incoming.tx, candidate.incoming.name, parents, self._policy)

    def _check_independent(self, entry: MempoolEntry, conflicts: set[MempoolEntry]) -> None:
        """Nothing may spend from what it replaces (``EntriesAndTxidsDisjoint``)."""
        if conflicts:
            for ancestor in self._store.ancestors(entry.parents) & conflicts:
                details = f"{entry.txid.hex()} spends conflicting transaction {ancestor.txid.hex()}"
                raise Rejected("bad-txns-spends-conflicting-tx", details)


def _check_max_rate(entry: MempoolEntry, terms: Terms) -> None:
    if terms.max_fee_rate is not None and entry.modified_fee * 1000 > terms.max_fee_rate * entry.vsize:
        raise Rejected("max feerate exceeded", "", Kind.MEMPOOL_POLICY)
