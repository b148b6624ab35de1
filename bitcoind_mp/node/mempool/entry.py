"""A transaction in the mempool, and what its acceptance answers."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from btclib.tx import Tx
from btclib.tx.limits import SEQUENCE_FINAL, SEQUENCE_LOCKTIME_DISABLE_FLAG

from .rejected import Rejected
from .view import OutPoint

if TYPE_CHECKING:
    from .clusters import Cluster

_SIGNALS_RBF = 0xFFFFFFFD


class Removal(StrEnum):
    """Why an entry left: Core's ``MemPoolRemovalReason`` words."""

    EXPIRY = "expiry"
    SIZELIMIT = "sizelimit"
    REORG = "reorg"
    BLOCK = "block"
    CONFLICT = "conflict"
    REPLACED = "replaced"


@dataclass(eq=False, slots=True)
class MempoolEntry:
    """One transaction of the mempool (Core's ``CTxMemPoolEntry``).

    Ids are in the order they are printed. ``fee`` is what it pays, ``modified_fee`` that plus what
    ``prioritisetransaction`` added, in satoshis. ``weight`` is BIP141's, ``adjusted_weight`` the larger of that and
    what its signature operations count as; ``vsize`` is the latter in vB. ``time`` is when it came (node's clock),
    ``height`` the tip's height then, ``sequence`` its number in the order of arrival (0: from a disconnected block).
    ``raw`` is the transaction with its witnesses, ``spends`` the outputs it spends, in order. ``lock_time`` is 0 where
    none holds it back, ``relative_locks`` says whether BIP68 has something to say. ``memory`` is what it counts against
    ``-maxmempool`` (``memory.py``). ``parents`` and ``children`` are its
    direct relatives in the mempool.
    """

    raw: bytes
    txid: bytes
    wtxid: bytes
    version: int
    spends: tuple[OutPoint, ...]
    signals_rbf: bool
    lock_time: int
    relative_locks: bool
    fee: int
    modified_fee: int
    weight: int
    adjusted_weight: int
    sigop_cost: int
    time: int
    height: int
    sequence: int
    spends_coinbase: bool
    memory: int
    parents: set["MempoolEntry"] = field(default_factory=set)
    children: set["MempoolEntry"] = field(default_factory=set)
    cluster: "Cluster | None" = None

    @property
    def tx(self) -> Tx:
        """The transaction, taken apart anew at each call: 16 µs and more, against 5 KB kept."""
        return Tx.parse(self.raw, check_validity=False)

    @property
    def vsize(self) -> int:
        """Virtual size in vB, signature operations included (``GetTxSize``)."""
        return -(-self.adjusted_weight // 4)

    @property
    def tie(self) -> bytes:
        """What orders transactions that are alike in everything else: the txid as it is on the wire."""
        return self.txid[::-1]


def ancestors_of(entries: Iterable[MempoolEntry]) -> set[MempoolEntry]:
    """These and everything they depend on."""
    return closure(entries, lambda entry: entry.parents)


def descendants_of(entries: Iterable[MempoolEntry]) -> set[MempoolEntry]:
    """These and everything that depends on them."""
    return closure(entries, lambda entry: entry.children)


def closure(
    entries: Iterable[MempoolEntry], near: Callable[[MempoolEntry], Iterable[MempoolEntry]]
) -> set[MempoolEntry]:
    """These, what is ``near`` them, what is near that, and so on."""
    found = set(entries)
    queue = list(found)
    while queue:
        for other in near(queue.pop()):
            if other not in found:
                found.add(other)
                queue.append(other)
    return found


def signals_rbf(tx: Tx) -> bool:
    """Whether the transaction itself signals BIP125 (``SignalsOptInRBF``)."""
    return any(tx_in.sequence <= _SIGNALS_RBF for tx_in in tx.vin)


def effective_lock_time(tx: Tx) -> int:
    """The lock time, 0 where every input waives it."""
    return 0 if all(tx_in.sequence == SEQUENCE_FINAL for tx_in in tx.vin) else tx.lock_time


def has_relative_locks(tx: Tx) -> bool:
    """Whether an input has a relative lock time (BIP68)."""
    return tx.version >= 2 and any(not tx_in.sequence & SEQUENCE_LOCKTIME_DISABLE_FLAG for tx_in in tx.vin)


@dataclass(frozen=True)
class Accepted:
    """A transaction is acceptable (`Mempool.test`) or in the mempool (`Mempool.accept`).

    ``fee`` is the base fee in satoshis; ``effective_fee_rate`` (sat/kvB, rounded down) is the modified fee rate of
    the transactions named in ``effective_includes`` (wtxids). ``replaced`` are the txids it removed.
    """

    txid: bytes
    wtxid: bytes
    vsize: int
    fee: int
    effective_fee_rate: int
    effective_includes: tuple[bytes, ...]
    replaced: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class AlreadyThere:
    """A package's transaction that the mempool had before; ``other_wtxid`` where with another witness."""

    txid: bytes
    wtxid: bytes
    vsize: int
    fee: int
    other_wtxid: bytes | None = None


@dataclass(frozen=True)
class TxResult:
    """One transaction of a package: exactly one of ``accepted``, ``rejected``, ``already``, or none of them where the
    package was given up before this one was looked at."""

    txid: bytes
    wtxid: bytes
    accepted: Accepted | None = None
    rejected: Rejected | None = None
    already: AlreadyThere | None = None


@dataclass(frozen=True)
class PackageResult:
    """`Mempool.test` and `Mempool.accept_package`: one result for each transaction, in the order given.

    ``package_error`` is Core's word for what is wrong with the package (``package-not-sorted``,
    ``transaction failed``), ``package_details`` its debug message; both empty when nothing is. ``package_policy``
    says that it is the package as a whole that broke a rule: then ``testmempoolaccept`` names it in every result.
    """

    results: list[TxResult] = field(default_factory=list)
    package_error: str = ""
    package_details: str = ""
    package_policy: bool = False

    @property
    def package_message(self) -> str:
        """``error, details`` as Core prints a state (``ValidationState::ToString``)."""
        return f"{self.package_error}, {self.package_details}" if self.package_details else self.package_error
