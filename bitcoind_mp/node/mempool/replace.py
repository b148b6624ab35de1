"""Replacement: when a transaction may take the place of what it conflicts with (Core's ``src/policy/rbf.cpp``).

Every transaction is replaceable, whatever it signals. The replacement pays at least what it evicts, its own relay on
top, and leaves the fee rate diagram better than it was.
"""

from collections.abc import Collection

from .clusters import Clusters, Staged
from .entry import MempoolEntry
from .feerate import fee_at, format_money, format_rate, rate_of
from .package import PackageRejected
from .rejected import Kind, Rejected

#: Clusters that the transactions replaced directly may belong to.
MAX_REPLACED_CLUSTERS = 100


def too_many_clusters(txid: bytes, conflicts: Collection[MempoolEntry]) -> str:
    """Why these are too many to replace, empty if they aren't (``GetEntriesForConflicts``)."""
    count = len({entry.cluster for entry in conflicts})
    if count <= MAX_REPLACED_CLUSTERS:
        return ""
    return f"rejecting replacement {txid.hex()}; too many conflicting clusters ({count} > {MAX_REPLACED_CLUSTERS})"


def pays_too_little(txid: bytes, old_fees: int, new_fees: int, vsize: int, relay_rate: int) -> str:
    """Why the new fees don't do, empty if they do (``PaysForRBF``). Modified fees in satoshis."""
    if new_fees < old_fees:
        return (
            f"rejecting replacement {txid.hex()}, less fees than conflicting txs; "
            f"{format_money(new_fees)} < {format_money(old_fees)}"
        )
    extra, due = new_fees - old_fees, fee_at(relay_rate, vsize)
    if extra < due:
        return (
            f"rejecting replacement {txid.hex()}, not enough additional fees to relay; "
            f"{format_money(extra)} < {format_money(due)}"
        )
    return ""


def check_single(
    entry: MempoolEntry,
    evicted: Collection[MempoolEntry],
    staged: Staged,
    clusters: Clusters,
    relay_rate: int,
    aside: str = "",
) -> None:
    """Raise `Rejected` unless ``entry`` may replace ``evicted`` (``ReplacementChecks``).

    ``aside`` is what Core adds to the reason where the replaced conflicts in nothing but being a sibling.
    """
    old_fees = sum(other.modified_fee for other in evicted)
    if reason := pays_too_little(entry.txid, old_fees, entry.modified_fee, entry.vsize, relay_rate):
        raise Rejected(f"insufficient fee{aside}", reason, Kind.RECONSIDERABLE)
    if clusters.oversized(staged):
        raise Rejected("too-large-cluster", "", Kind.MEMPOOL_POLICY)
    if not staged.improves():
        details = "insufficient feerate: does not improve feerate diagram"
        raise Rejected("replacement-failed", details, Kind.RECONSIDERABLE)


def check_package(
    parent: MempoolEntry,
    child: MempoolEntry,
    evicted: Collection[MempoolEntry],
    staged: Staged,
    clusters: Clusters,
    relay_rate: int,
) -> None:
    """Raise `PackageRejected` unless the two may replace ``evicted`` (``PackageRBFChecks``)."""
    fees, vsize = parent.modified_fee + child.modified_fee, parent.vsize + child.vsize
    old_fees = sum(other.modified_fee for other in evicted)
    if reason := pays_too_little(child.txid, old_fees, fees, vsize, relay_rate):
        raise PackageRejected("package RBF failed: insufficient anti-DoS fees", reason)
    if fees * parent.vsize <= parent.modified_fee * vsize:
        rates = [format_rate(rate_of(fees, vsize)), format_rate(rate_of(parent.modified_fee, parent.vsize))]
        raise PackageRejected(
            "package RBF failed: package feerate is less than or equal to parent feerate",
            f"package feerate {rates[0]} <= parent feerate is {rates[1]}",
        )
    if clusters.oversized(staged):
        raise PackageRejected("too-large-cluster")
    if not staged.improves():
        raise PackageRejected("package RBF failed: insufficient feerate: does not improve feerate diagram")
