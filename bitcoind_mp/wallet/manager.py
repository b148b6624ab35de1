"""The wallets that are loaded, by name, and those that lie on disk. What doesn't belong: anything about one wallet."""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from btclib.exceptions import BTClibException

from bitcoind_mp.interfaces.command import Call, commit_point
from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcCode, RpcError
from bitcoind_mp.interfaces.journal import Event, event
from bitcoind_mp.interfaces.signer import Signer
from bitcoind_mp.signing.sealing import Cost

from .clock import NodeClock
from .creation import Recipe, genesis, make
from .directory import Directory
from .follow import Attachment, first_blocks
from .ledger import Ledger, WalletFileError
from .moving import Moved, Step, finish, move
from .node import Node
from .options import WalletOptions
from .signer_keys import SignerKeys
from .startup import SessionList, StartupList
from .tables import BlockRow
from .verify import Damaged, verify
from .wallet import Wallet

log = logging.getLogger("bitcoind_mp.wallet")

#: How long loading waits for the wallet to catch up before it answers all the same, in seconds.
_CATCH_UP = 20.0
_YOUNG = (
    "This program refuses private keys on the main network: the bindings to the consensus kernel that it runs on are "
    "young, and money could be lost. Start with -mainnetwallet=1 to allow them all the same, or make a watch-only "
    "wallet (disable_private_keys)."
)
#: What comes of reading a file whose rows aren't what we wrote.
_NONSENSE = (BTClibException, sqlite3.Error, ValueError, LookupError, TypeError, OverflowError)
_IN_ITS_FILE = (
    "The private keys of this wallet are in its own file, not in the signer, which keeps those of wallets that are "
    "made with a passphrase and not blank."
)
_NOT_SAVED = "Wallet load on startup setting could not be updated, so wallet may not be loaded next node startup."


class Wallets:
    """All loaded wallets."""

    def __init__(
        self,
        options: WalletOptions,
        node: Node,
        clock: NodeClock,
        startup: StartupList,
        session: SessionList,
        cost: Cost | None = None,
        signer: Signer | None = None,
    ) -> None:
        """``signer`` holds the private keys of wallets that were made so, and of new ones if the options say so."""
        self.options = options
        self.directory = Directory(options.wallets_dir)
        self.refused: dict[str, str] = {}
        """Wallets that were to be loaded and couldn't be, and why."""
        self.on_change: Callable[[], None] = lambda: None
        self.on_move: Callable[[], None] = lambda: None
        """Called after a block in which there was nothing for a wallet too."""
        self.on_open: Callable[[Wallet], None] = lambda wallet: None
        """Called when one was loaded."""
        self.on_step: Callable[[Step], None] = lambda step: None
        """Called after each step of moving keys to the signer."""
        self._node = node
        self._clock = clock
        self._startup = startup
        self._session = session
        self._cost = cost
        self._signer = signer
        self._loaded: dict[str, Wallet] = {}
        self._attached: dict[str, Attachment] = {}
        self._busy: set[str] = set()
        self._awaited: list[str] = []
        """Wallets that were to be loaded at the start, and aren't yet: a kill must not make them be forgotten."""

    def __iter__(self) -> Iterator[Wallet]:
        """In the order they were loaded."""
        return iter(list(self._loaded.values()))

    def get(self, name: str) -> Wallet | None:
        """A loaded wallet by name."""
        return self._loaded.get(name)

    def attachment(self, wallet: Wallet) -> Attachment:
        """A loaded wallet's life on the feed."""
        return self._attached[wallet.name]

    def chosen(self, call: Call) -> Wallet:
        """The wallet a call is for: the one it names, or the only one loaded (``GetWalletForJSONRPCRequest``).

        Raises:
            RpcError: -18 for one that isn't loaded, or none loaded; -19 where several are and none is named.
        """
        if call.wallet is not None:
            wallet = self._loaded.get(call.wallet)
            if wallet is None:
                raise RpcError(RpcCode.WALLET_NOT_FOUND, "Requested wallet does not exist or is not loaded")
            return wallet
        if len(self._loaded) == 1:
            return next(iter(self._loaded.values()))
        if not self._loaded:
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

    async def current(self, call: Call) -> Wallet:
        """The same, once it knows the block that is the node's newest now (``BlockUntilSyncedToCurrentChain``): a
        caller that saw a block elsewhere finds it here. While the node is away it answers as of its last block."""
        wallet = self.chosen(call)
        await self._attached[wallet.name].settle()
        return wallet

    # --- making, loading, unloading -------------------------------------------------------------------------

    async def create(self, name: str, recipe: Recipe, load_on_startup: bool | None) -> tuple[Wallet, list[str]]:
        """Make a wallet and load it; and warnings. Raises `RpcError`."""
        self._check_name(name)
        self._check_recipe(name, recipe)
        with self._reserved(name):
            try:
                path, undo = self.directory.prepare_new(name)
            except WalletFileError as error:
                raise _unverified(error) from error
            try:
                start = await self._start(path)
                signer = self._signer if self.options.signer_process else None
                chain, clock = self._node.chain, self._clock
                await make(name, path, recipe, start, self.options, chain, clock, self._cost, signer)
            except BaseException as error:
                undo()
                if isinstance(error, WalletFileError):
                    raise _unverified(error) from error
                raise
            wallet, warnings = await self._open(name, load_on_startup)
        has_keys = self.options.signer_process and not recipe.disable_private_keys
        return wallet, [*warnings, _IN_ITS_FILE] if has_keys and not wallet.keys.elsewhere else warnings

    def _check_name(self, name: str) -> None:
        """Refuse what another process is for."""
        if self.options.only and name != self.options.only:
            raise RpcError(
                RpcCode.WALLET_ERROR,
                f"This process serves the wallet '{self.options.only}' alone (-onlywallet); '{name}' needs one of its "
                "own.",
            )

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
            raise RpcError(RpcCode.WALLET_ERROR, _YOUNG)

    async def _start(self, path: Path) -> list[BlockRow]:
        """The block that a new wallet starts from: the node's newest. Nothing while the node is away."""
        with suppress(RpcError, Disconnected, CallTimeout):
            status = await self._node.chain.status()
            return await first_blocks(self._node.chain, None, status.tip)
        return []

    async def load(
        self, name: str, load_on_startup: bool | None = None, patience: float = _CATCH_UP
    ) -> tuple[Wallet, list[str]]:
        """Load a wallet from disk; and warnings. It waits up to ``patience`` seconds for it to catch up with the node.

        Raises `RpcError`."""
        self._check_name(name)
        if name in self._loaded:
            raise RpcError(RpcCode.WALLET_ALREADY_LOADED, f'Wallet "{name}" is already loaded.')
        with self._reserved(name):
            return await self._open(name, load_on_startup, patience)

    async def _open(
        self, name: str, load_on_startup: bool | None, patience: float = _CATCH_UP
    ) -> tuple[Wallet, list[str]]:
        try:
            path = self.directory.existing(name)
            wallet = self._read(name, path)
            with _made_sense_of(wallet.ledger, path):
                await wallet.refill()
        except WalletFileError as error:
            raise _unverified(error) from error
        commit_point()
        wallet.on_change(lambda _: self.on_change())
        wallet.on_move(lambda: self.on_move())
        self._loaded[name] = wallet
        self.refused.pop(name, None)
        if name in self._awaited:
            self._awaited.remove(name)
        attachment = self._attached[name] = self._node.attach(wallet)
        warnings = [*self.options.warnings, *self._remember(name, load_on_startup)]
        self.on_open(wallet)
        wallet.log("loaded: %d descriptors, %d transactions", len(wallet.descriptors), len(wallet.history))
        self.on_change()
        if patience:
            await attachment.until_live(patience)
        return wallet, warnings

    def _read(self, name: str, path: Path) -> Wallet:
        """The wallet in a file. Raises `WalletFileError`, also for rows that mean nothing; `RpcError`."""
        ledger = Ledger.open(path, self.options.chain, genesis(self.options))
        with _made_sense_of(ledger, path):
            if self.options.low_memory:
                ledger.save_memory()
            wallet = Wallet(name, ledger, self.options, self._node.chain, self._clock, self._cost, self._signer)
            if self.options.chain == "main" and wallet.private_keys_enabled and not self.options.mainnet_wallet:
                raise RpcError(RpcCode.WALLET_ERROR, f"Wallet loading failed. {_YOUNG}")
            verify(wallet)
            with suppress(RpcError):  # without room for it, the next start tries again
                finish(ledger)
        return wallet

    async def unload(self, name: str, load_on_startup: bool | None = None) -> list[str]:
        """Let a loaded wallet go; warnings. Raises `RpcError`."""
        wallet = self._loaded.get(name)
        if wallet is None:
            raise RpcError(RpcCode.WALLET_NOT_FOUND, "Requested wallet does not exist or is not loaded")
        self._attached[name].rescanner.reserve()
        commit_point()
        with self._reserved(name):
            del self._loaded[name]
            del self._attached[name]
            await self._node.detach(wallet)
            wallet.close()
        warnings = self._remember(name, load_on_startup)
        self.on_change()
        return warnings

    async def restore(self, name: str, backup: Path, load_on_startup: bool | None) -> tuple[Wallet, list[str]]:
        """Copy a backup to a new wallet's place and load it; and warnings. Raises `RpcError`."""
        if not name:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Wallet name cannot be empty")
        self._check_name(name)
        with self._reserved(name):
            undo = self.directory.restore(name, backup)
            try:
                return await self._open(name, load_on_startup)
            except BaseException:
                if name not in self._loaded:
                    undo()
                raise

    async def load_all(self, names: list[str]) -> None:
        """Load these at start, in order. One that can't be loaded is refused alone; the process serves the rest."""
        self._awaited = [name for name in dict.fromkeys(names) if name not in self._loaded]
        for name in list(self._awaited):
            if name in self._loaded:  # by a caller, meanwhile
                continue
            try:
                _, warnings = await self.load(name, patience=0)
                for warning in warnings:
                    log.warning("[%s] %s", name, warning)
            except RpcError as error:
                self._refuse(name, error.message)
            except Exception as error:
                log.exception("[%s] could not be loaded", name)
                self._refuse(name, f"{type(error).__name__}: {error}")

    def _refuse(self, name: str, why: str) -> None:
        self.refused[name] = why
        log.error("[%s] not loaded: %s", name, why, extra=event(Event.WALLET_REFUSED))
        self.on_change()

    def startup_names(self, asked: list[str], negated: bool = False) -> list[str]:
        """Which to load at start: those ``asked`` for on the command line or marked so before, and those that a killed
        predecessor had. ``negated``: -nowallet was given. With -onlywallet that one, where it exists."""
        only = self.options.only
        if only:
            if not self.directory.path(only).exists():
                log.warning("There is no wallet '%s' yet: make it with createwallet.", only)
                return []
            return [only]
        unnamed = [""] if not asked and not negated and self.directory.has("") else []
        return [*unnamed, *asked, *self._session.names()]

    def _remember(self, name: str, load_on_startup: bool | None) -> list[str]:
        if self.options.only:  # always loaded here, and by nobody else
            return []
        try:
            self._session.remember([*self._loaded, *self._awaited])
        except OSError as error:
            log.error("what is loaded can't be remembered: %s", error)
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

    async def move_to_signer(self, wallet: Wallet, entrusted: str) -> Moved:
        """Have the signer hold a wallet's keys from now on (`moving.move`). Raises `RpcError`."""
        if self._signer is None or not self.options.signer_process:
            raise RpcError(RpcCode.WALLET_ERROR, "There is no signer: start with -signerprocess=1.")
        moved = await move(wallet, self._signer, entrusted, lambda step: self.on_step(step))
        self.on_open(wallet)
        wallet.changed()
        return moved

    def signer_lost(self) -> None:
        """The signer is gone, and with it what was unlocked."""
        for wallet in self:
            if isinstance(wallet.keys, SignerKeys) and not wallet.keys.is_locked:
                wallet.keys.lost()
                wallet.relock.lock()
                wallet.changed()

    async def close(self) -> None:
        """Let all go, without a change of what is loaded at start."""
        for name, wallet in list(self._loaded.items()):
            await self._node.detach(wallet)
            wallet.close()
            del self._loaded[name]
            del self._attached[name]


def _unverified(error: WalletFileError) -> RpcError:
    return RpcError(error.code, f"Wallet file verification failed. {error.message}")


@contextmanager
def _made_sense_of(ledger: Ledger, path: Path) -> Iterator[None]:
    """Close the file where its wallet can't be made; raise `WalletFileError` for rows that mean nothing."""
    try:
        yield
    except BaseException as error:
        ledger.close()
        if isinstance(error, _NONSENSE):
            # Not the error's own words: they may quote what the file holds.
            why = str(error) if isinstance(error, Damaged) else f"{type(error).__name__} while it was read"
            raise WalletFileError(f"{path} is corrupt ({why}). Restore it from a backup.") from error
        raise


class _Reserved:
    """Keeps two calls from making, loading or unloading one wallet at once."""

    def __init__(self, busy: set[str], name: str) -> None:
        self._busy = busy
        self._name = name

    def __enter__(self) -> None:
        self._busy.add(self._name)

    def __exit__(self, *_: object) -> None:
        self._busy.discard(self._name)
