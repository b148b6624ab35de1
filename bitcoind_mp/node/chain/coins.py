"""The unspent outputs at the tip, for whoever must know a coin now: mempool, ``gettxout``, the wallet's feed."""

from collections.abc import Callable
from dataclasses import dataclass

from btclib.tx.coin import Coin


class CoinsUnavailable(RuntimeError):
    """During the initial download no coins view is kept; later again."""


@dataclass(frozen=True)
class CoinStats:
    """What ``gettxoutsetinfo`` tells: of the set at ``height``, ``hash`` (display order). Amounts in satoshis."""

    height: int
    hash: bytes
    outputs: int
    transactions: int | None
    bogo_size: int
    total_amount: int
    disk_size: int | None
    digest: bytes | None
    """``hash_serialized_3`` or ``muhash`` in display order; None where no hash was asked for."""


class CoinsView:
    """The coins at the tip. Follows each block before any listener hears of it."""

    @property
    def available(self) -> bool:
        """False during the initial download, when no view is kept."""
        raise NotImplementedError

    def get(self, outpoint: tuple[bytes, int]) -> Coin | None:
        """The unspent output (txid in display order, index), None if spent or unknown. Microseconds.

        Raises:
            CoinsUnavailable: see `available`.
        """
        raise NotImplementedError

    async def stats(self, hash_type: str, progress: Callable[[str], None] = lambda text: None) -> CoinStats:
        """Read the whole set. ``hash_type``: ``hash_serialized_3``, ``muhash`` or ``none``.

        Raises:
            CoinsUnavailable: see `available`.
        """
        raise NotImplementedError
