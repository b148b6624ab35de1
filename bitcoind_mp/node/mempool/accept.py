"""Letting transactions in: the plan is made, the scripts are run off the loop, the plan is carried out.

What belongs here: Bitcoin Core's ``AcceptToMemoryPool`` and ``ProcessNewPackage`` (``src/validation.cpp``). While
scripts run, a block may come: then the plan is made anew. Nothing is seen by anybody before it is in the journal.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace as changed

from .entry import Accepted, AlreadyThere, PackageResult, TxResult
from .feerate import fee_at, rate_of
from .package import PackageRejected, check_well_formed, is_child_with_parents
from .plan import TRANSACTION_FAILED, MemberRejected, Plan, Planner
from .rejected import Kind, Rejected
from .rules import Candidate, Incoming, Terms
from .scripts import Scripts
from .store import Store

TEST_PACKAGE = Terms(replace=False, evict_sibling=False)

#: Refusals that a package may turn into acceptance.
_RETRY_AS_PACKAGE = {Kind.RECONSIDERABLE, Kind.MISSING_INPUTS}


class Acceptance:
    """Brings transactions in.

    Args:
        changes: a number that is another one whenever the chain or the mempool has changed.
        settled: waits while a reorganisation is under way.
        record: writes a plan down before it is carried out; may raise OSError.
        trim: evicts down to the size limit.
    """

    def __init__(
        self,
        store: Store,
        planner: Planner,
        scripts: Scripts,
        *,
        changes: Callable[[], object],
        settled: Callable[[], Awaitable[None]],
        record: Callable[[Plan], None],
        trim: Callable[[], None],
    ) -> None:
        self._store = store
        self._planner = planner
        self._scripts = scripts
        self._changes = changes
        self._settled = settled
        self._record = record
        self._trim = trim

    async def single(
        self, incoming: Incoming, terms: Terms, *, max_fee_rate: int | None = None, trim: bool = True
    ) -> Accepted:
        """Bring one in.

        Raises:
            Rejected: it may not come in.
            OSError: it could not be written down, and isn't in.
        """
        plan = await self._ready(lambda: self._planner.single(incoming, terms))
        result = _accepted(plan, plan.candidates[0])
        _check_max_fee(result, max_fee_rate)
        self._carry_out(plan)
        if trim:
            self._trim()
            if incoming.txid not in self._store.entries:
                raise Rejected("mempool full", "", Kind.RECONSIDERABLE)
        return result

    async def test_single(self, incoming: Incoming, *, max_fee_rate: int | None) -> PackageResult:
        """Would it be let in?"""
        try:
            plan = await self._ready(lambda: self._planner.single(incoming, Terms()))
            result = _accepted(plan, plan.candidates[0])
            _check_max_fee(result, max_fee_rate)
        except Rejected as rejected:
            return PackageResult([TxResult(incoming.txid, incoming.wtxid, rejected=rejected)])
        return PackageResult([TxResult(incoming.txid, incoming.wtxid, accepted=result)])

    async def test_package(self, txs: Sequence[Incoming], *, max_fee_rate: int | None) -> PackageResult:
        """Would they be let in together?"""
        try:
            plan = await self._ready(lambda: self._planner.package(txs, TEST_PACKAGE))
        except PackageRejected as rejected:
            return _broken_package(txs, rejected)
        except MemberRejected as member:
            if member.plan is None:
                return _broken_member(txs, member)
            return _within_fee(member.plan, member.index, _broken_member(txs, member), max_fee_rate)
        return _within_fee(plan, len(txs), PackageResult([_blank(each) for each in txs]), max_fee_rate)

    async def package(self, txs: Sequence[Incoming], max_fee_rate: int | None) -> PackageResult:
        """``submitpackage``: each by itself, and then what failed over fees or parents together (``AcceptPackage``).

        Raises:
            OSError: it could not be written down; what came before that is in.
        """
        txids = [each.txid for each in txs]
        try:
            check_well_formed([each.tx for each in txs], txids)
            if len(txs) > 1 and not is_child_with_parents([each.tx for each in txs], txids):
                raise PackageRejected("package-not-child-with-parents")
        except PackageRejected as rejected:
            return _broken_package(txs, rejected)
        results, left, failed = await self._each(txs, max_fee_rate)
        outcome = PackageResult(list(results.values()), TRANSACTION_FAILED if failed else "")
        if left and not failed:
            outcome = await self._together(
                left, results, Terms(ask_fee=False, evict_sibling=False, max_fee_rate=max_fee_rate)
            )
        self._trim()
        return self._still_there(outcome)

    async def _each(
        self, txs: Sequence[Incoming], max_fee_rate: int | None
    ) -> tuple[dict[bytes, TxResult], list[Incoming], bool]:
        """Results by txid, what to try together, and whether there is no use in it."""
        results: dict[bytes, TxResult] = {}
        left: list[Incoming] = []
        failed = False
        for incoming in txs:
            blank = _blank(incoming)
            if (entry := self._store.entries.get(incoming.txid)) is not None:
                other = None if entry.wtxid == incoming.wtxid else entry.wtxid
                there = AlreadyThere(entry.txid, entry.wtxid, entry.vsize, entry.fee, other)
                results[incoming.txid] = changed(blank, already=there)
                continue
            try:
                accepted = await self.single(incoming, Terms(max_fee_rate=max_fee_rate), trim=False)
                results[incoming.txid] = changed(blank, accepted=accepted)
            except Rejected as rejected:
                results[incoming.txid] = changed(blank, rejected=rejected)
                if len(txs) == 1 or rejected.kind not in _RETRY_AS_PACKAGE:
                    failed = True
                else:
                    left.append(incoming)
        return results, left, failed

    async def _together(self, left: list[Incoming], before: dict[bytes, TxResult], terms: Terms) -> PackageResult:
        """Try these together; ``before`` has what each of the whole package came to by itself."""
        results = dict(before)
        try:
            if len(left) == 1:
                accepted = await self.single(left[0], Terms(max_fee_rate=terms.max_fee_rate), trim=False)
                results[left[0].txid] = changed(_blank(left[0]), accepted=accepted)
                return PackageResult(list(results.values()))
            plan = await self._ready(lambda: self._planner.package(left, terms))
        except PackageRejected as rejected:
            return PackageResult(list(results.values()), rejected.reason, rejected.details, package_policy=True)
        except MemberRejected as member:
            failed = left[member.index]
            results[failed.txid] = changed(_blank(failed), rejected=member.rejected)
            return PackageResult(list(results.values()), member.package_error)
        except Rejected as rejected:
            results[left[0].txid] = changed(_blank(left[0]), rejected=rejected)
            return PackageResult(list(results.values()), TRANSACTION_FAILED)
        self._carry_out(plan)
        includes = tuple(candidate.incoming.wtxid for candidate in plan.candidates)
        for number, candidate in enumerate(plan.candidates):
            accepted = changed(
                _accepted(plan, candidate),
                effective_fee_rate=plan.fee_rate,
                effective_includes=includes,
                replaced=() if number else plan.replaced,
            )
            results[candidate.incoming.txid] = changed(_blank(candidate.incoming), accepted=accepted)
        return PackageResult(list(results.values()))

    def _still_there(self, outcome: PackageResult) -> PackageResult:
        """What the size limit has pushed out again was refused after all."""
        full = Rejected("mempool full", "", Kind.MEMPOOL_POLICY)
        error, results = outcome.package_error, []
        for result in outcome.results:
            gone = result.rejected is None and result.txid not in self._store.entries
            results.append(TxResult(result.txid, result.wtxid, rejected=full) if gone else result)
            error = TRANSACTION_FAILED if gone else error
        return changed(outcome, results=results, package_error=error)

    async def _ready(self, make: Callable[[], Plan]) -> Plan:
        """A plan whose scripts have passed, made against the state of this very moment."""
        while True:
            await self._settled()
            plan, made_at = make(), self._changes()
            for index, candidate in enumerate(plan.candidates):
                incoming = candidate.incoming
                try:
                    await self._scripts.check(incoming.tx, incoming.raw, incoming.wtxid, candidate.spent)
                except Rejected as rejected:
                    if len(plan.candidates) == 1:
                        raise
                    raise MemberRejected(index, rejected, plan=plan) from None
            if self._changes() == made_at:
                return plan

    def _carry_out(self, plan: Plan) -> None:
        self._record(plan)
        self._store.apply(plan.staged, plan.evicted, [candidate.entry for candidate in plan.candidates])


def _accepted(plan: Plan, candidate: Candidate) -> Accepted:
    entry = candidate.entry
    return Accepted(
        txid=entry.txid,
        wtxid=entry.wtxid,
        vsize=entry.vsize,
        fee=entry.fee,
        effective_fee_rate=rate_of(entry.modified_fee, entry.vsize),
        effective_includes=(entry.wtxid,),
        replaced=plan.replaced,
    )


def _check_max_fee(accepted: Accepted, max_fee_rate: int | None) -> None:
    """What the caller will pay at most (``-maxtxfee``, ``maxfeerate``); 0 and None are no limit."""
    if max_fee_rate and accepted.fee > fee_at(max_fee_rate, accepted.vsize):
        raise Rejected("max-fee-exceeded", "", Kind.MEMPOOL_POLICY)


def _within_fee(plan: Plan, passed: int, outcome: PackageResult, max_fee_rate: int | None) -> PackageResult:
    """The outcome with the first ``passed`` accepted; after one that pays too much, nothing is said of the rest."""
    results = list(outcome.results)
    for index, candidate in enumerate(plan.candidates[:passed]):
        accepted = _accepted(plan, candidate)
        try:
            _check_max_fee(accepted, max_fee_rate)
        except Rejected as rejected:
            blank = [TxResult(each.txid, each.wtxid) for each in results[index:]]
            return PackageResult([*results[:index], changed(blank[0], rejected=rejected), *blank[1:]])
        results[index] = changed(results[index], accepted=accepted)
    return changed(outcome, results=results)


def _blank(incoming: Incoming) -> TxResult:
    return TxResult(incoming.txid, incoming.wtxid)


def _broken_package(txs: Sequence[Incoming], rejected: PackageRejected) -> PackageResult:
    return PackageResult([_blank(each) for each in txs], rejected.reason, rejected.details, package_policy=True)


def _broken_member(txs: Sequence[Incoming], member: MemberRejected) -> PackageResult:
    results = [_blank(each) for each in txs]
    results[member.index] = changed(results[member.index], rejected=member.rejected)
    return PackageResult(results, member.package_error)
