"""The unspent outputs at the tip, for whoever must know a coin now: mempool, ``gettxout``, the wallet's feed.

A copy of the kernel's database as it was when the kernel was last opened, under an overlay of what blocks have
created and spent since. The initial download does without: the overlay would outgrow everything, and nobody asks.
"""

from btclib.script.spendability import is_unspendable
from btclib.tx.coin import Coin

from .coindb import CoinDatabase, OutPoint
from .contents import BlockContents


class CoinsUnavailable(RuntimeError):
    """During the initial download no coins view is kept; later again."""

    def __init__(self) -> None:
        super().__init__("The coins are not known during the initial block download")


class CoinsView:
    """The coins at the tip. Follows each block before any listener hears of it."""

    def __init__(self, base: CoinDatabase) -> None:
        self._base = base
        self._changes: dict[OutPoint, Coin | None] = {}
        self._available = True

    @property
    def available(self) -> bool:
        """False during the initial download, when no view is kept."""
        return self._available

    @property
    def changes(self) -> int:
        """How many outputs the overlay holds."""
        return len(self._changes)

    def get(self, outpoint: OutPoint) -> Coin | None:
        """The unspent output (txid in display order, index), None if spent or unknown. Microseconds.

        Raises:
            CoinsUnavailable: see `available`.
        """
        if not self._available:
            raise CoinsUnavailable
        try:
            return self._changes[outpoint]
        except KeyError:
            return self._base.get(outpoint)

    def frozen(self) -> tuple[CoinDatabase, dict[OutPoint, Coin | None]]:
        """The base and a copy of the overlay, for another thread to read while the view moves on.

        Raises:
            CoinsUnavailable: see `available`.
        """
        if not self._available:
            raise CoinsUnavailable
        return self._base, dict(self._changes)

    # --- kept up to date by the chain -----------------------------------------------------------------------

    def connect(self, height: int, contents: BlockContents) -> None:
        """A block came on top. The genesis block's output doesn't count (``ConnectBlock``)."""
        if not self._available or height == 0:
            return
        for position, tx in enumerate(contents.transactions):
            coinbase = position == 0
            if not coinbase:
                for tx_in in tx.vin:
                    self._changes[tx_in.prev_out.tx_id, tx_in.prev_out.vout] = None
            txid = tx.id
            for index, tx_out in enumerate(tx.vout):
                if not is_unspendable(tx_out.script_pub_key.script):
                    self._changes[txid, index] = Coin(tx_out, height, coinbase, check_validity=False)

    def disconnect(self, contents: BlockContents, spent: list[list[Coin]]) -> None:
        """The newest block went away; ``spent`` are the coins it had spent, for each transaction but the coinbase."""
        if not self._available:
            return
        transactions = contents.transactions
        for tx, coins in zip(reversed(transactions), [*reversed(spent), []], strict=True):
            txid = tx.id
            for index in range(len(tx.vout)):
                self._changes[txid, index] = None
            for tx_in, coin in zip(tx.vin, coins, strict=False):
                self._changes[tx_in.prev_out.tx_id, tx_in.prev_out.vout] = coin

    def suspend(self) -> None:
        """Keep no view until the next `rebase`."""
        self._available = False
        self._changes.clear()

    def rebase(self, base: CoinDatabase) -> None:
        """Start from a newer copy, made at the present tip."""
        self._base.close()
        self._base = base
        self._changes.clear()
        self._available = True

    def close(self) -> None:
        """Remove the copy."""
        self._base.close()
