"""Topologically restricted transactions: version 3, one unconfirmed parent, one child (BIP431).

Bitcoin Core's ``src/policy/truc_policy.cpp``, whose words these are.
"""

from collections.abc import Collection, Sequence

from .entry import MempoolEntry, ancestors_of, descendants_of
from .rejected import Kind, Rejected

TRUC_VERSION = 3
#: vB that a version 3 transaction may have, and one that has an unconfirmed parent.
MAX_VSIZE = 10_000
CHILD_MAX_VSIZE = 1_000
#: Unconfirmed transactions in a line, itself included.
_LINE_LIMIT = 2


class TrucViolation(Rejected):
    """``sibling``: the one transaction whose eviction would make room, where that may be considered."""

    def __init__(self, details: str, sibling: MempoolEntry | None = None) -> None:
        super().__init__("TRUC-violation", details, Kind.MEMPOOL_POLICY)
        self.sibling = sibling


def check_single(entry: MempoolEntry, conflicts: Collection[MempoolEntry]) -> None:
    """A transaction against its parents in the mempool (``SingleTRUCChecks``).

    ``conflicts`` are what it would replace.

    Raises:
        TrucViolation: it may not enter.
    """
    for parent in _in_order(entry.parents):
        _check_inheritance(entry, parent)
    if entry.version != TRUC_VERSION:
        return
    _check_size(entry, MAX_VSIZE, "tx")
    if len(entry.parents) + 1 > _LINE_LIMIT:
        raise TrucViolation(f"tx {_name(entry)} would have too many ancestors")
    for parent in entry.parents:
        if len(ancestors_of([parent])) + 1 > _LINE_LIMIT:
            raise TrucViolation(f"tx {_name(entry)} would have too many ancestors")
        _check_size(entry, CHILD_MAX_VSIZE, "child tx")
        _check_siblings(parent, conflicts)


def _check_siblings(parent: MempoolEntry, conflicts: Collection[MempoolEntry]) -> None:
    others = descendants_of([parent]) - {parent}
    if not others or any(other in conflicts for other in others):
        return
    sibling = next(iter(others))
    # only an only child without a family of its own: anything else is what a reorganisation left
    alone = len(others) == 1 and len(ancestors_of([sibling])) == _LINE_LIMIT
    raise TrucViolation(f"tx {_name(parent)} would exceed descendant count limit", sibling if alone else None)


def check_package(entry: MempoolEntry, package: Sequence[MempoolEntry]) -> None:
    """A transaction of a package, whose others aren't in the mempool (``PackageTRUCChecks``).

    ``package`` is in order, parents first; ``entry.parents`` holds its parents in the mempool and in the package.

    Raises:
        TrucViolation: the package may not enter.
    """
    ours = [other for other in package if other in entry.parents]
    there = _in_order(entry.parents - set(ours))
    if entry.version != TRUC_VERSION:
        for parent in [*there, *ours]:
            _check_inheritance(entry, parent)
        return
    _check_size(entry, MAX_VSIZE, "tx")
    if len(there) + len(ours) + 1 > _LINE_LIMIT:
        raise TrucViolation(f"tx {_name(entry)} would have too many ancestors")
    if there and len(ancestors_of(there[:1])) + len(ours) + 1 > _LINE_LIMIT:
        raise TrucViolation(f"tx {_name(entry)} would have too many ancestors")
    if not there and not ours:
        return
    _check_size(entry, CHILD_MAX_VSIZE, "child tx")
    parent = (there or ours)[0]
    _check_inheritance(entry, parent)
    for other in package:
        if other is not entry and any(txid == parent.txid for txid, _ in other.spends):
            raise TrucViolation(f"tx {_name(parent)} would exceed descendant count limit")
        if other is not entry and any(txid == entry.txid for txid, _ in other.spends):
            raise TrucViolation(f"tx {_name(other)} would have too many ancestors")
    if there and len(descendants_of([parent])) > 1:
        raise TrucViolation(f"tx {_name(parent)} would exceed descendant count limit")


def _check_inheritance(entry: MempoolEntry, parent: MempoolEntry) -> None:
    """Version 3 spends from version 3 alone, and only it does."""
    if entry.version != TRUC_VERSION and parent.version == TRUC_VERSION:
        raise TrucViolation(f"non-version=3 tx {_name(entry)} cannot spend from version=3 tx {_name(parent)}")
    if entry.version == TRUC_VERSION and parent.version != TRUC_VERSION:
        raise TrucViolation(f"version=3 tx {_name(entry)} cannot spend from non-version=3 tx {_name(parent)}")


def _check_size(entry: MempoolEntry, limit: int, what: str) -> None:
    if entry.vsize > limit:
        raise TrucViolation(f"version=3 {what} {_name(entry)} is too big: {entry.vsize} > {limit} virtual bytes")


def _name(entry: MempoolEntry) -> str:
    return f"{entry.txid.hex()} (wtxid={entry.wtxid.hex()})"


def _in_order(entries: Collection[MempoolEntry]) -> list[MempoolEntry]:
    return sorted(entries, key=lambda entry: entry.tie)
