"""A wallet's unconfirmed transactions on their way to the node: handed over, and again, and whether it has them.

When that is due is ``follow.py``'s and ``rebroadcast.py``'s. What doesn't belong: making or keeping a transaction.
"""

from collections.abc import Callable

from bitcoind_mp.interfaces.chain import Chain
from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcCode, RpcError
from bitcoind_mp.wallet.record.history import History
from bitcoind_mp.wallet.storage.ledger import Ledger
from bitcoind_mp.wallet.transactions import WalletTx

#: Refusals that say something about the node at that moment, and nothing about the transaction.
_PASSING = {RpcCode.DATABASE_ERROR, RpcCode.OUT_OF_MEMORY, RpcCode.CLIENT_NOT_CONNECTED, RpcCode.IN_WARMUP}


class Outbox:
    """One wallet's. Nothing is handed over unless ``broadcast``; ``height`` is where the wallet stands, ``changed`` is
    called after each change, and ``log`` with a line's format and values."""

    def __init__(
        self,
        chain: Chain,
        ledger: Ledger,
        history: History,
        *,
        broadcast: bool,
        height: Callable[[], int],
        changed: Callable[[], None],
        log: Callable[..., None],
    ) -> None:
        self._chain = chain
        self._ledger = ledger
        self._history = history
        self._broadcast = broadcast
        self._height = height
        self._changed = changed
        self._log = log
        self.is_put_off = False
        """Whether the node couldn't take a transaction of ours for a reason that passes (a full disk)."""

    async def submit(self, tx: WalletTx) -> str:
        """Hand a waiting transaction to the node (``SubmitTxMemoryPoolAndRelay``); why it was refused, empty if not."""
        if not self._broadcast or tx.is_abandoned or tx.is_coinbase or self._depth(tx) != 0:
            return ""
        try:
            await self._chain.broadcast(tx.raw.hex(), None)
        except (RpcError, Disconnected, CallTimeout) as error:
            self._log("transaction %s can't be broadcast now: %s", tx.txid.hex(), error)
            self.is_put_off = self.is_put_off or not isinstance(error, RpcError) or error.code in _PASSING
            return str(error)
        if self._depth(tx) == 0 and not tx.in_mempool:
            try:
                with self._ledger.transaction():
                    self._history.accepted(tx)
            except RpcError as error:  # the node has it: who pays must not be told that nothing was done
                self._log("that transaction %s is in the mempool can't be kept now: %s", tx.txid.hex(), error)
                self.is_put_off = True
            else:
                self._changed()
        return ""

    async def resubmit(self, before: int | None = None) -> int:
        """Hand all waiting transactions to the node, in the order they came; of those received at or before
        ``before`` where given (``ResubmitWalletTransactions``). How many it has.

        Without ``before`` what is in the node's mempool isn't handed over: peers would be told of it again, at every
        start, and learn whose it is.
        """
        self.is_put_off, accepted = self.is_put_off and before is not None, 0
        for tx in self._history.unconfirmed():
            if before is None and tx.in_mempool:
                accepted += 1
            elif not tx.is_abandoned and (before is None or tx.time_received <= before):
                accepted += not await self.submit(tx)
        return accepted

    async def look(self) -> None:
        """Ask once which of our unconfirmed transactions the node has."""
        waiting = self._history.unconfirmed()
        if not waiting:
            return
        found = await self._chain.packages([tx.txid.hex() for tx in waiting])
        with self._ledger.transaction():
            self._history.mempool_is(tx.txid for tx, package in zip(waiting, found, strict=True) if package is not None)
        self._changed()

    def _depth(self, tx: WalletTx) -> int:
        return self._history.depth(tx, self._height())
