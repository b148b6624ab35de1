"""One wallet: the object that commands are given. It joins ledger, keys, descriptors and history; each has its file.

What doesn't belong: JSON, choosing coins, building transactions.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..interfaces.chain import Chain
from .coins import Balance, Coin, CoinFilter, OutPoint, OutputType, Owner
from .descriptors import DescriptorSet
from .keystore import KeyStore
from .ledger import Ledger
from .options import WalletOptions
from .transactions import WalletTx


@dataclass
class Reservation:
    """A change address kept back until its transaction is committed (``ReserveDestination``).

    `Wallet.commit` keeps it; `Wallet.release` gives it back, so that the next one gets it.
    """

    owner: Owner
    type: OutputType
    script: bytes
    address: str


class Wallet:
    """One loaded wallet. All methods run on the loop's thread; those that don't await are atomic to other callers."""

    name: str
    options: WalletOptions
    chain: Chain
    """The node. Its methods raise `RpcError` (-9) while it is away."""
    ledger: Ledger
    keys: KeyStore
    descriptors: DescriptorSet
    spending: asyncio.Lock
    """Held from choosing coins to `commit`, so that two payments never choose the same."""

    # --- where it stands -------------------------------------------------------------------------------------

    @property
    def height(self) -> int:
        """The height of the last block whose effects are committed, -1 for none."""
        raise NotImplementedError

    @property
    def block(self) -> bytes:
        """Its hash."""
        raise NotImplementedError

    @property
    def median_time(self) -> int:
        """Its median time past."""
        raise NotImplementedError

    def now(self) -> int:
        """The node's clock (mock time where set), seconds since 1970."""
        raise NotImplementedError

    # --- flags -----------------------------------------------------------------------------------------------

    @property
    def private_keys_enabled(self) -> bool:
        raise NotImplementedError

    @property
    def avoid_reuse(self) -> bool:
        raise NotImplementedError

    def require_unlocked(self) -> None:
        """Raise Core's -13 where a passphrase is needed (``EnsureWalletIsUnlocked``)."""
        raise NotImplementedError

    # --- scripts and addresses ------------------------------------------------------------------------------

    def owner(self, script: bytes) -> Owner | None:
        """Whose that scriptPubKey is, None for a stranger's (``IsMine``)."""
        raise NotImplementedError

    def is_change(self, script: bytes) -> bool:
        """Ours, and in no address book entry (``ScriptIsChange``)."""
        raise NotImplementedError

    def new_address(self, type: OutputType, label: str) -> str:
        """The next receiving address, in the address book under that label when this returns.

        Raises `RpcError` -12 as Core's."""
        raise NotImplementedError

    def reserve_change(self, type: OutputType) -> Reservation:
        """The next change address of that type. Raises `RpcError` as Core's where there is none."""
        raise NotImplementedError

    def release(self, reservation: Reservation) -> None:
        """Give an unused change address back."""
        raise NotImplementedError

    def change_types(self) -> set[OutputType]:
        """The types that have an active internal descriptor."""
        raise NotImplementedError

    def private_keys(self, owner: Owner) -> dict[bytes, bytes]:
        """The private keys that we hold of that script's: public key (SEC) to 32 bytes. Empty for watch-only.

        Raises `RpcError` -13 when locked."""
        raise NotImplementedError

    # --- transactions and coins -----------------------------------------------------------------------------

    def transaction(self, txid: bytes) -> WalletTx | None:
        """One of the wallet's transactions."""
        raise NotImplementedError

    def depth(self, tx: WalletTx) -> int:
        """Confirmations; 0 unconfirmed; negative: how deep the block is that conflicts with it."""
        raise NotImplementedError

    def spenders(self, outpoint: OutPoint) -> list[WalletTx]:
        """The wallet's transactions that spend that outpoint, in whatever state."""
        raise NotImplementedError

    def is_spent(self, outpoint: OutPoint) -> bool:
        """Spent by a transaction that is neither abandoned nor conflicted (``IsSpent``)."""
        raise NotImplementedError

    def coins(self, wanted: CoinFilter = CoinFilter()) -> list[Coin]:
        """The unspent outputs that pass (``AvailableCoins``)."""
        raise NotImplementedError

    def coin(self, outpoint: OutPoint) -> Coin | None:
        """That output of ours, spent or not, whatever its state; None for a stranger's."""
        raise NotImplementedError

    def balance(self, min_depth: int = 0, avoid_reuse: bool = True) -> Balance:
        """``GetBalance``."""
        raise NotImplementedError

    def debit(self, tx: WalletTx) -> int:
        """What it takes from us, in satoshis: the sum of its inputs that were ours."""
        raise NotImplementedError

    def credit(self, tx: WalletTx) -> int:
        """What it gives us, in satoshis."""
        raise NotImplementedError

    def is_locked(self, outpoint: OutPoint) -> bool:
        """Locked by `lockunspent`."""
        raise NotImplementedError

    def lock_coins(self, outpoints: Iterable[OutPoint], persistent: bool = False) -> None:
        """Keep them out of automatic coin selection; over restarts too where ``persistent``."""
        raise NotImplementedError

    def unlock_coins(self, outpoints: Iterable[OutPoint]) -> None:
        """Let them be chosen again."""
        raise NotImplementedError

    async def commit(
        self,
        raw: bytes,
        *,
        comment: str = "",
        comment_to: str = "",
        replaces: bytes | None = None,
        change: Iterable[Reservation] = (),
    ) -> bytes:
        """Keep the transaction and the addresses it used, on disk before anything is sent; then hand it to the node.

        The node's refusal is logged and doesn't undo it (``CommitTransaction``): it is rebroadcast later, or
        abandoned by a person. ``replaces`` marks the transaction it replaces too. Returns the txid.
        """
        raise NotImplementedError

    def mapping(self, descriptor: int) -> Mapping[str, str]:
        """The ``prv_keys`` mapping of btclib's descriptors for one of ours: extended public to private keys."""
        raise NotImplementedError
