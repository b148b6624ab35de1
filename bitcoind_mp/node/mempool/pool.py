# mypy: disable-error-code="empty-body"
"""The mempool's public face."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from btclib.tx import Tx
from btclib.tx.coin import Coin

from .entry import Accepted, MempoolEntry, PackageResult, Removal
from .policy import MempoolPolicy
from .view import ChainView, OutPoint, ScriptVerifier


class MempoolListener(Protocol):
    """Told of every change, in the loop, in order, after it happened."""

    def added(self, entry: MempoolEntry) -> None:
        """``entry`` is in the mempool now."""

    def removed(self, entry: MempoolEntry, reason: Removal) -> None:
        """``entry`` left the mempool; with `Removal.BLOCK` a block confirmed it."""


@dataclass(frozen=True)
class Package:
    """Totals over a set of entries: how many, vB, and modified fees in satoshis."""

    count: int
    vsize: int
    fees: int


@dataclass(frozen=True)
class Chunk:
    """A piece of a cluster that is mined or evicted as one: modified fees and adjusted weight."""

    fee: int
    weight: int
    entries: tuple[MempoolEntry, ...]


class Mempool:
    """The node's unconfirmed transactions. Every method runs in the loop; only the ``async`` ones wait.

    Args:
        chain: the best chain; the mempool subscribes to it and follows its blocks.
        policy: the limits.
        verify: the kernel's script check, called on a worker thread.
        directory: where ``mempool.dat`` and the journal live; None keeps nothing.
    """

    def __init__(
        self, chain: ChainView, policy: MempoolPolicy, *, verify: ScriptVerifier, directory: Path | None = None
    ) -> None: ...

    # what is there

    def __len__(self) -> int: ...

    def __contains__(self, txid: bytes) -> bool: ...

    def have(self, hash: bytes) -> bool:
        """Whether a transaction of that txid or wtxid is in the mempool."""

    def get(self, txid: bytes) -> Tx | None: ...

    def entry(self, txid: bytes) -> MempoolEntry | None: ...

    def entry_by_wtxid(self, wtxid: bytes) -> MempoolEntry | None: ...

    def entries(self) -> list[MempoolEntry]:
        """All of them, in the order they would be mined: parents first, best chunk first."""

    def coin(self, outpoint: OutPoint) -> Coin | None:
        """The output from the mempool (height one above the tip) or the coins at the tip, not spent in the mempool."""

    def spender(self, outpoint: OutPoint) -> bytes | None:
        """The txid of the mempool transaction that spends it."""

    def parents(self, entry: MempoolEntry) -> list[MempoolEntry]: ...

    def children(self, entry: MempoolEntry) -> list[MempoolEntry]: ...

    def ancestors(self, entry: MempoolEntry) -> list[MempoolEntry]:
        """All unconfirmed transactions that it depends on, itself not included."""

    def descendants(self, entry: MempoolEntry) -> list[MempoolEntry]:
        """All that depend on it, itself not included."""

    def cluster(self, entry: MempoolEntry) -> list[Chunk]:
        """Its cluster, in mining order, cut into chunks."""

    def chunk(self, entry: MempoolEntry) -> Chunk:
        """The chunk that it would be mined with (``fees.chunk`` and ``chunkweight`` of ``getmempoolentry``)."""

    def totals(self, entries: Iterable[MempoolEntry]) -> Package:
        """How many, their vB and modified fees (``ancestorcount``, ``ancestorsize``, ``fees.ancestor``)."""

    def replaceable(self, entry: MempoolEntry) -> bool:
        """Whether it or an ancestor signals BIP125."""

    # figures (getmempoolinfo)

    policy: MempoolPolicy
    loaded: bool
    """Whether loading from disk has been tried and is over."""
    sequence: int
    """``mempool_sequence``: the number of additions and removals so far, plus 1."""
    transactions_updated: int

    @property
    def total_vsize(self) -> int:
        """``bytes`` of ``getmempoolinfo``."""

    @property
    def total_fee(self) -> int:
        """Base fees of all, in satoshis."""

    @property
    def usage(self) -> int:
        """Estimated memory in bytes, what ``max_size`` bounds."""

    @property
    def optimal(self) -> bool:
        """Whether every cluster's order is known to be the best one."""

    @property
    def unbroadcast(self) -> frozenset[bytes]:
        """Txids that came from us and no peer has asked for yet."""

    def min_fee_rate(self) -> int:
        """What a transaction must pay to enter now, in sat/kvB: the rolling minimum, at least ``min_relay_fee``
        (``mempoolminfee``)."""

    # changes

    async def accept(
        self, tx: Tx, *, max_fee_rate: int | None = None, local: bool = True, unbroadcast: bool = False
    ) -> Accepted:
        """Put a transaction into the mempool. When this returns it survives a kill.

        ``local=False`` (from a peer) survives a kill of the process, and not a power cut. ``max_fee_rate`` in
        sat/kvB, refused as ``max-fee-exceeded``.

        Raises:
            Rejected: with Core's reason.
            OSError: it could not be written down and was not accepted.
        """

    async def accept_package(self, txs: Sequence[Tx], *, max_fee_rate: int | None = None) -> PackageResult:
        """``submitpackage``: a child and its parents, or one transaction (Core's ``AcceptPackage``)."""

    async def test(self, txs: Sequence[Tx], *, max_fee_rate: int | None = None) -> PackageResult:
        """``testmempoolaccept``: would they be accepted? One alone, or several as a package (1 to 25)."""

    async def prioritise(self, txid: bytes, delta: int) -> None:
        """Add ``delta`` satoshis to what the transaction is taken to pay; kept over restarts."""

    def prioritised(self) -> dict[bytes, int]:
        """txid to delta, for every one that isn't 0, in the mempool or not."""

    def mark_broadcast(self, txid: bytes) -> None:
        """A peer has asked for it: it needs no more announcing."""

    def add_unbroadcast(self, txid: bytes) -> None:
        """Announce it again until a peer asks."""

    def subscribe(self, listener: MempoolListener) -> "Subscription":
        """Tell ``listener`` of every change from now on."""

    # for the wallet

    def bump_fees(self, outpoints: Sequence[OutPoint], rate: int) -> list[int]:
        """`interfaces.chain.Chain.bump_fees`: ``rate`` in sat/kvB, satoshis for each."""

    def combined_bump_fee(self, outpoints: Sequence[OutPoint], rate: int) -> int | None:
        """`interfaces.chain.Chain.combined_bump_fee`; None where the clusters are too many to say."""

    # disk

    async def load(self) -> None:
        """Take back what ``mempool.dat`` and the journal hold; sets `loaded`."""

    async def save(self) -> Path:
        """Write ``mempool.dat`` in Core's format (``savemempool``); returns its path."""

    async def close(self) -> None:
        """Save, and stop following the chain."""


class Subscription(Protocol):
    """What `Mempool.subscribe` gives."""

    def disconnect(self) -> None:
        """Tell that listener nothing more."""
