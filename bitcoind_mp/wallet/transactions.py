"""One transaction that the wallet keeps: its bytes, its state, what we know about it.

What doesn't belong: how states change one another (``history.py``).
"""

from dataclasses import dataclass, field
from functools import cached_property

from btclib.tx import Tx

from .coins import OutPoint


@dataclass(frozen=True, slots=True)
class Confirmed:
    """In the best chain: the block's hash, height and time, and the transaction's place in it."""

    block: bytes
    height: int
    position: int
    time: int


@dataclass(frozen=True, slots=True)
class InMempool:
    """In the node's mempool, as far as we know."""


@dataclass(frozen=True, slots=True)
class Conflicted:
    """A transaction in this block spends one of its inputs, or one of an ancestor's."""

    block: bytes
    height: int


@dataclass(frozen=True, slots=True)
class Inactive:
    """Neither confirmed nor in the mempool; ``abandoned`` by a person's word."""

    abandoned: bool = False


State = Confirmed | InMempool | Conflicted | Inactive


@dataclass
class WalletTx:
    """A transaction of the wallet's (``CWalletTx``, Core's ``src/wallet/transaction.h``).

    ``time_received`` is when we first saw it; ``time_smart`` is that, corrected so that the order of times is the
    order in which transactions came (``ComputeTimeSmart``); ``order`` counts them in that order. ``replaces`` and
    ``replaced_by`` are txids, by fee bumping. ``mempool_conflicts``: txids in the mempool that spend the same.
    """

    txid: bytes
    raw: bytes
    state: State
    order: int = -1
    time_received: int = 0
    time_smart: int = 0
    comment: str = ""
    comment_to: str = ""
    replaces: bytes | None = None
    replaced_by: bytes | None = None
    mempool_conflicts: set[bytes] = field(default_factory=set)
    truc_child_in_mempool: bytes | None = None
    """The version 3 transaction in the mempool that spends one of its outputs."""

    @cached_property
    def tx(self) -> Tx:
        """The transaction, parsed. Not to be changed."""
        return Tx.parse(self.raw, check_validity=False)

    @cached_property
    def spends(self) -> tuple[OutPoint, ...]:
        """The outpoints of its inputs, none for a coinbase."""
        if self.is_coinbase:
            return ()
        return tuple(OutPoint(i.prev_out.tx_id, i.prev_out.vout) for i in self.tx.vin)

    @cached_property
    def is_coinbase(self) -> bool:
        """Whether it made its block's reward."""
        return self.tx.is_coinbase

    @property
    def is_confirmed(self) -> bool:
        """In the best chain."""
        return isinstance(self.state, Confirmed)

    @property
    def in_mempool(self) -> bool:
        """In the mempool."""
        return isinstance(self.state, InMempool)

    @property
    def is_abandoned(self) -> bool:
        """Given up by a person, or a coinbase whose block left the chain."""
        return isinstance(self.state, Inactive) and self.state.abandoned

    @property
    def is_block_conflicted(self) -> bool:
        """A confirmed transaction spends what it spends."""
        return isinstance(self.state, Conflicted)

    @property
    def is_mempool_conflicted(self) -> bool:
        """A transaction in the mempool spends what it spends."""
        return bool(self.mempool_conflicts)

    @property
    def time(self) -> int:
        """Core's ``GetTxTime``."""
        return self.time_smart or self.time_received

    def take_facts(self, other: "WalletTx") -> None:
        """Take over what people know of another; when each was received stays its own."""
        self.comment, self.comment_to = other.comment, other.comment_to
        self.replaces, self.replaced_by = other.replaces, other.replaced_by
        self.time_smart = other.time_smart
