"""What is in the mempool: asking, without changing anything.

What belongs here: relations, order and figures of what is there. What doesn't: how it got there (``pool.py``).
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

from btclib.tx import Tx
from btclib.tx.coin import Coin

from bitcoind_mp.interfaces.chain import FeeEstimate

from .bump import BumpFees
from .clusters import Chunk
from .entry import MempoolEntry
from .estimator import FeeEstimator
from .minimum import MinimumFee
from .policy import MempoolPolicy
from .reorganise import Reorganiser
from .rules import Rules
from .store import Store
from .view import ChainView, OutPoint


@dataclass(frozen=True)
class Package:
    """Totals over a set of entries: how many, vB, and modified fees in satoshis."""

    count: int
    vsize: int
    fees: int


class MempoolView:
    """The answers. Every method runs in the loop and answers at once; the parts are `Mempool`'s."""

    policy: MempoolPolicy
    estimator: FeeEstimator
    _chain: ChainView
    _store: Store
    _rules: Rules
    _minimum: MinimumFee
    _reorganiser: Reorganiser

    def __len__(self) -> int:
        return len(self._store.entries)

    def __contains__(self, txid: bytes) -> bool:
        return txid in self._store.entries

    def have(self, hash: bytes) -> bool:
        """Whether a transaction of that txid or wtxid is in the mempool."""
        return hash in self._store.entries or hash in self._store.by_wtxid

    def get(self, txid: bytes) -> Tx | None:
        """The transaction of that txid, taken apart anew."""
        entry = self._store.entries.get(txid)
        return entry.tx if entry is not None else None

    def entry(self, txid: bytes) -> MempoolEntry | None:
        return self._store.entries.get(txid)

    def entry_by_wtxid(self, wtxid: bytes) -> MempoolEntry | None:
        return self._store.by_wtxid.get(wtxid)

    def entries(self) -> list[MempoolEntry]:
        """All of them, in the order they would be mined: parents first, best chunk first."""
        return [entry for chunk in self._store.clusters.chunks() for entry in chunk.entries]

    def chunks(self) -> list[Chunk]:
        """All chunks in the order they would be mined; empty while a reorganisation is under way."""
        return [] if self._reorganiser.pending else self._store.clusters.chunks()

    def coin(self, outpoint: OutPoint) -> Coin | None:
        """The unspent output, from the mempool (its height one above the tip) or the chain; None if the mempool
        spends it."""
        return None if outpoint in self._store.spends else self._rules.coin(outpoint)

    def spender(self, outpoint: OutPoint) -> bytes | None:
        """The txid of the mempool transaction that spends it."""
        entry = self._store.spends.get(outpoint)
        return entry.txid if entry is not None else None

    def parents(self, entry: MempoolEntry) -> list[MempoolEntry]:
        return _sorted(entry.parents)

    def children(self, entry: MempoolEntry) -> list[MempoolEntry]:
        return _sorted(entry.children)

    def ancestors(self, entry: MempoolEntry) -> list[MempoolEntry]:
        """All unconfirmed transactions that it depends on, itself not included; in Core's order."""
        return _sorted(self._store.ancestors([entry]) - {entry})

    def descendants(self, entry: MempoolEntry) -> list[MempoolEntry]:
        """All that depend on it, itself not included; in Core's order."""
        return _sorted(self._store.descendants([entry]) - {entry})

    def cluster(self, entry: MempoolEntry) -> list[Chunk]:
        """Its cluster, in mining order, cut into chunks."""
        return list(entry.cluster.chunks) if entry.cluster is not None else []

    def chunk(self, entry: MempoolEntry) -> Chunk:
        """The chunk that it would be mined with (``fees.chunk`` and ``chunkweight`` of ``getmempoolentry``).

        Raises:
            KeyError: the entry is no longer in the mempool.
        """
        if entry.cluster is None:
            raise KeyError(entry.txid)
        return entry.cluster.chunk_of(entry)

    def totals(self, entries: Iterable[MempoolEntry]) -> Package:
        """How many, their vB and modified fees (``ancestorcount``, ``ancestorsize``, ``fees.ancestor``)."""
        found = list(entries)
        return Package(len(found), sum(entry.vsize for entry in found), sum(entry.modified_fee for entry in found))

    def replaceable(self, entry: MempoolEntry) -> bool:
        """Whether it or an ancestor signals BIP125."""
        return any(member.signals_rbf for member in self._store.ancestors([entry]))

    # figures

    @property
    def sequence(self) -> int:
        """``mempool_sequence``: one more than the additions and removals so far."""
        return self._store.sequence

    @property
    def transactions_updated(self) -> int:
        """A number that grows with every change to what a block would hold (``getblocktemplate``'s ``longpollid``)."""
        return self._store.updates

    @property
    def total_vsize(self) -> int:
        """``bytes`` of ``getmempoolinfo``."""
        return self._store.total_vsize

    @property
    def total_fee(self) -> int:
        """Base fees of all, in satoshis."""
        return self._store.total_fee

    @property
    def usage(self) -> int:
        """Estimated memory in bytes, what ``max_size`` bounds."""
        return self._store.usage

    @property
    def optimal(self) -> bool:
        """Whether every cluster's order is known to be the best one: here it always is."""
        return True

    @property
    def unbroadcast(self) -> Set[bytes]:
        """Txids that came from us and no peer has asked for yet; changes as they are asked for."""
        return self._store.unbroadcast

    def min_fee_rate(self) -> int:
        """What a transaction must pay to enter now, in sat/kvB: the rolling minimum, at least ``min_relay_fee``
        (``mempoolminfee``)."""
        return max(self.rolling_fee_rate(), self.policy.min_relay_fee)

    def rolling_fee_rate(self) -> int:
        """What being full has raised the minimum to, in sat/kvB; 0 while it hasn't (``CTxMemPool::GetMinFee``)."""
        return self._minimum.rate(self._chain.clock.now(), self.usage)

    def estimate_fee(self, target: int, *, conservative: bool = False) -> FeeEstimate:
        """``estimatesmartfee``: at least the mempool's minimum. ``target`` from 1 to 1008 blocks."""
        estimate = self.estimator.smart(target, conservative=conservative)
        minimum = self.min_fee_rate()
        if estimate.rate is None or estimate.rate >= minimum:
            return estimate
        return FeeEstimate(minimum, estimate.blocks, [], "Mempool Min Fee")

    def prioritised(self) -> dict[bytes, int]:
        """txid to delta, for every one that isn't 0, in the mempool or not."""
        return dict(self._store.deltas)

    # for the wallet

    def bump_fees(self, outpoints: Sequence[OutPoint], rate: int) -> list[int]:
        """`interfaces.chain.Chain.bump_fees`: ``rate`` in sat/kvB, satoshis for each; all 0 where the clusters are too
        large to say."""
        bump = BumpFees(self._store, outpoints, rate)
        return bump.each() if bump.answerable else [0] * len(outpoints)

    def combined_bump_fee(self, outpoints: Sequence[OutPoint], rate: int) -> int | None:
        """`interfaces.chain.Chain.combined_bump_fee`; None where the clusters are too large to say."""
        bump = BumpFees(self._store, outpoints, rate)
        return bump.together() if bump.answerable else None


def _sorted(entries: Iterable[MempoolEntry]) -> list[MempoolEntry]:
    return sorted(entries, key=lambda entry: entry.tie)
