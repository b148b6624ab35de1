"""Rules about several transactions handed over together, that need no chain (Core's ``src/policy/packages.cpp``)."""

from collections.abc import Sequence

from btclib.tx import Tx

from .rejected import Kind, Rejected

MAX_PACKAGE_COUNT = 25
MAX_PACKAGE_WEIGHT = 404_000


class PackageRejected(Rejected):
    """The package as a whole breaks a rule."""

    def __init__(self, reason: str, details: str = "") -> None:
        super().__init__(reason, details, Kind.MEMPOOL_POLICY)


def check_well_formed(txs: Sequence[Tx], txids: Sequence[bytes]) -> None:
    """Raise `PackageRejected` for one that is too large, unsorted or at odds with itself (``IsWellFormedPackage``)."""
    if len(txs) > MAX_PACKAGE_COUNT:
        raise PackageRejected("package-too-many-transactions")
    if len(txs) > 1 and sum(tx.weight for tx in txs) > MAX_PACKAGE_WEIGHT:
        raise PackageRejected("package-too-large")
    if len(set(txids)) != len(txs):
        raise PackageRejected("package-contains-duplicates")
    _check_sorted(txs, txids)
    _check_consistent(txs)


def _check_sorted(txs: Sequence[Tx], txids: Sequence[bytes]) -> None:
    later = set(txids)
    for tx, txid in zip(txs, txids, strict=True):
        if any(tx_in.prev_out.tx_id in later for tx_in in tx.vin):
            raise PackageRejected("package-not-sorted")
        later.remove(txid)


def _check_consistent(txs: Sequence[Tx]) -> None:
    seen: set[tuple[bytes, int]] = set()
    for tx in txs:
        spends = {(tx_in.prev_out.tx_id, tx_in.prev_out.vout) for tx_in in tx.vin}
        if not spends or spends & seen:
            raise PackageRejected("conflict-in-package")
        seen |= spends


def is_child_with_parents(txs: Sequence[Tx], txids: Sequence[bytes]) -> bool:
    """Whether the last spends from every one before it (``IsChildWithParents``)."""
    spent = {tx_in.prev_out.tx_id for tx_in in txs[-1].vin}
    return len(txs) > 1 and all(txid in spent for txid in txids[:-1])
