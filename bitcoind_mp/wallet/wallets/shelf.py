"""Making wallets, and marking those that are to be loaded at each start: what is the same whether this process holds
them open (``manager.py``) or others do (``keeper.py``)."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from bitcoind_mp.interfaces.chain import Chain
from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcCode, RpcError
from bitcoind_mp.interfaces.signer import Signer
from bitcoind_mp.signing.sealing import Cost
from bitcoind_mp.wallet.chain.follow import first_blocks
from bitcoind_mp.wallet.clock import NodeClock
from bitcoind_mp.wallet.options import WalletOptions
from bitcoind_mp.wallet.storage.directory import Directory
from bitcoind_mp.wallet.storage.ledger import WalletFileError
from bitcoind_mp.wallet.storage.tables import BlockRow

from .creation import Recipe, make
from .startup import StartupList

log = logging.getLogger("bitcoind_mp.wallet")

YOUNG = (
    "This program refuses private keys on the main network: the bindings to the consensus kernel that it runs on are "
    "young, and money could be lost. Start with -mainnetwallet=1 to allow them all the same, or make a watch-only "
    "wallet (disable_private_keys)."
)
_IN_ITS_FILE = (
    "The private keys of this wallet are in its own file, not in the signer, which keeps those of wallets that are "
    "made with a passphrase and not blank."
)
_NOT_SAVED = "Wallet load on startup setting could not be updated, so wallet may not be loaded next node startup."


class Named(Protocol):
    """A wallet, as far as whoever makes and loads them tells of it."""

    @property
    def name(self) -> str: ...


class Shelf(ABC):
    """All wallets, those that are loaded among them. What names a wallet raises `RpcError` in Core's words."""

    def __init__(
        self,
        options: WalletOptions,
        chain: Chain,
        clock: NodeClock,
        startup: StartupList,
        cost: Cost | None = None,
        signer: Signer | None = None,
    ) -> None:
        """``signer`` holds the private keys of wallets that were made so, and of new ones if the options say so."""
        self.options = options
        self.directory = Directory(options.wallets_dir)
        self._chain = chain
        self._clock = clock
        self._startup = startup
        self._cost = cost
        self._signer = signer
        self._busy: set[str] = set()

    @abstractmethod
    async def names(self) -> list[str]:
        """Those that are loaded, in the order they were."""

    @abstractmethod
    async def create(self, name: str, recipe: Recipe, load_on_startup: bool | None) -> tuple[Named, list[str]]:
        """Make a wallet and load it; and warnings."""

    @abstractmethod
    async def load(self, name: str, load_on_startup: bool | None = None) -> tuple[Named, list[str]]:
        """Load a wallet from disk; and warnings. It waits a while for it to catch up with the node."""

    @abstractmethod
    async def unload(self, name: str, load_on_startup: bool | None = None) -> list[str]:
        """Let a loaded wallet go; warnings."""

    @abstractmethod
    async def restore(self, name: str, backup: Path, load_on_startup: bool | None) -> tuple[Named, list[str]]:
        """Copy a backup to a new wallet's place and load it; and warnings."""

    async def _make(self, name: str, recipe: Recipe) -> list[str]:
        """Make a wallet's file; warnings."""
        self._check_recipe(name, recipe)
        try:
            path, undo = self.directory.prepare_new(name)
        except WalletFileError as error:
            raise unverified(error) from error
        try:
            start = await self._start()
            signer = self._signer if self.options.signer_process else None
            await make(name, path, recipe, start, self.options, self._chain, self._clock, self._cost, signer)
        except BaseException as error:
            undo()
            if isinstance(error, WalletFileError):
                raise unverified(error) from error
            raise
        has_keys = self.options.signer_process and not recipe.disable_private_keys
        return [_IN_ITS_FILE] if has_keys and not (recipe.has_own_keys and recipe.passphrase) else []

    def _check_recipe(self, name: str, recipe: Recipe) -> None:
        if not name:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Wallet name cannot be empty")
        if recipe.passphrase and recipe.disable_private_keys:
            raise RpcError(
                RpcCode.WALLET_ERROR,
                "Passphrase provided but private keys are disabled. A passphrase is only used to encrypt private keys, "
                "so cannot be used for wallets with private keys disabled.",
            )
        if self.options.chain == "main" and not recipe.disable_private_keys and not self.options.mainnet_wallet:
            raise RpcError(RpcCode.WALLET_ERROR, YOUNG)

    async def _start(self) -> list[BlockRow]:
        """The block that a new wallet starts from: the node's newest. Nothing while the node is away."""
        with suppress(RpcError, Disconnected, CallTimeout):
            status = await self._chain.status()
            return await first_blocks(self._chain, None, status.tip)
        return []

    def _put_back(self, name: str, backup: Path) -> Callable[[], None]:
        """Copy a backup to a new wallet's place; what undoes it."""
        if not name:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Wallet name cannot be empty")
        return self.directory.restore(name, backup)

    def _mark(self, name: str, load_on_startup: bool | None) -> list[str]:
        """Whether to load it at each start, None to leave that as it is; warnings."""
        if load_on_startup is None:
            return []
        try:
            self._startup.change(name, load_on_startup)
        except (OSError, ValueError) as error:
            log.error("the list of wallets to load can't be written: %s", error)
            return [_NOT_SAVED]
        return []

    def _reserved(self, name: str) -> "_Reserved":
        if name in self._busy:
            raise RpcError(RpcCode.WALLET_ERROR, "Wallet already loading.")
        return _Reserved(self._busy, name)


def chosen_of(named: str | None, loaded: Sequence[str]) -> str:
    """The wallet a call is for: the one it names, or the only one loaded (``GetWalletForJSONRPCRequest``).

    Raises:
        RpcError: -18 for one that isn't loaded, or none loaded; -19 where several are and none is named.
    """
    if named is not None:
        if named not in loaded:
            raise RpcError(RpcCode.WALLET_NOT_FOUND, "Requested wallet does not exist or is not loaded")
        return named
    if len(loaded) == 1:
        return loaded[0]
    if not loaded:
        raise RpcError(
            RpcCode.WALLET_NOT_FOUND,
            "No wallet is loaded. Load a wallet using loadwallet or create a new one with createwallet. "
            "(Note: A default wallet is no longer automatically created)",
        )
    raise RpcError(
        RpcCode.WALLET_NOT_SPECIFIED,
        "Multiple wallets are loaded. Please select which wallet to use with -rpcwallet=<walletname> "
        '(or "use <walletname>" in the shell).',
    )


def unverified(error: WalletFileError) -> RpcError:
    """What a caller is told of a file that can't be used."""
    return RpcError(error.code, f"Wallet file verification failed. {error.message}")


class _Reserved:
    """Keeps two calls from making, loading or unloading one wallet at once."""

    def __init__(self, busy: set[str], name: str) -> None:
        self._busy = busy
        self._name = name

    def __enter__(self) -> None:
        self._busy.add(self._name)

    def __exit__(self, *_: object) -> None:
        self._busy.discard(self._name)
