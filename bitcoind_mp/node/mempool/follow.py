"""What blocks do to the mempool: confirmed transactions leave, conflicts go, a reorganisation gives back.

Bitcoin Core's ``removeForBlock`` (``src/txmempool.cpp``). What coming back means is in ``reorganise.py``.
"""

from collections.abc import Callable, Sequence

from btclib.tx import Tx

from .entry import MempoolEntry, Removal
from .estimator import FeeEstimator
from .minimum import MinimumFee
from .reorganise import Reorganiser
from .store import Store
from .view import BlockView, ChainView, Contents

#: So many of the blocks that somebody says are invalid give their transactions back, the newest; more is futile
#: (``Chainstate::InvalidateBlock``).
_INVALID_GIVING_BACK = 10


class Follower:
    """Listens to the chain for one mempool. ``settled`` is called when a step of the chain is over."""

    def __init__(
        self,
        chain: ChainView,
        store: Store,
        reorganiser: Reorganiser,
        minimum: MinimumFee,
        estimator: FeeEstimator,
        *,
        settled: Callable[[], None],
    ) -> None:
        self._chain = chain
        self._store = store
        self._reorganiser = reorganiser
        self._minimum = minimum
        self._estimator = estimator
        self._settled = settled
        self._invalid = 0

    def block_connected(self, node: BlockView, contents: Contents) -> None:
        """Confirmed transactions leave, and what conflicts with them."""
        confirmed: list[MempoolEntry] = []
        if self._store.entries or self._store.deltas or self._reorganiser.pending:
            confirmed = self._confirm(contents.transactions)
        self._minimum.block(self._chain.clock.now())
        self._estimator.block(node.height, confirmed)

    def block_disconnected(self, node: BlockView, contents: Contents) -> None:
        """Its transactions come back, once the chain stands again."""
        self._invalid += node.failed
        self._reorganiser.disconnected(contents.transactions, lost=self._invalid > _INVALID_GIVING_BACK)

    def tip_changed(self, node: BlockView) -> None:
        """The chain stands."""
        self._invalid = 0
        if self._reorganiser.pending:
            self._reorganiser.finish()
        self._settled()

    def header_added(self, node: BlockView) -> None:
        """Of no interest here."""

    def warned(self) -> None:
        """Nor this."""

    def _confirm(self, transactions: Sequence[Tx]) -> list[MempoolEntry]:
        confirmed = []
        txids = [tx.id for tx in transactions]
        self._reorganiser.connected(txids)
        for tx, txid in zip(transactions, txids, strict=True):
            if (entry := self._store.entries.get(txid)) is not None:
                confirmed.append(entry)
                self._store.remove([entry], Removal.BLOCK)
            for tx_in in tx.vin:
                conflict = self._store.spends.get((tx_in.prev_out.tx_id, tx_in.prev_out.vout))
                if conflict is not None:
                    self._store.deltas.pop(conflict.txid, None)
                    self._store.remove(self._store.descendants([conflict]), Removal.CONFLICT)
            self._store.deltas.pop(txid, None)
        return confirmed
