"""A transaction in the mempool, and what its acceptance answers."""

from dataclasses import dataclass, field
from enum import StrEnum

from btclib.tx import Tx

from .rejected import Rejected


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
    ``raw`` is the transaction with its witnesses.
    """

    tx: Tx
    raw: bytes
    txid: bytes
    wtxid: bytes
    fee: int
    modified_fee: int
    weight: int
    adjusted_weight: int
    sigop_cost: int
    time: int
    height: int
    sequence: int
    spends_coinbase: bool

    @property
    def vsize(self) -> int:
        """Virtual size in vB, signature operations included (``GetTxSize``)."""
        return -(-self.adjusted_weight // 4)


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

    ``package_error`` is Core's word for what is wrong with the package as a whole (``package-not-sorted``,
    ``transaction failed``), ``package_details`` its debug message; both empty when nothing is.
    """

    results: list[TxResult] = field(default_factory=list)
    package_error: str = ""
    package_details: str = ""
    replaced: tuple[bytes, ...] = ()
