"""The wallets that are loaded, by name, and those that lie on disk. What doesn't belong: anything about one wallet."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from btclib.exceptions import BTClibException

from bitcoind_mp.interfaces.command import Call, commit_point
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.journal import Event, event
from bitcoind_mp.interfaces.signer import Signer
from bitcoind_mp.signing.sealing import Cost
from bitcoind_mp.wallet.chain.follow import Attachment
from bitcoind_mp.wallet.chain.node import Node
from bitcoind_mp.wallet.clock import NodeClock
from bitcoind_mp.wallet.keyring.signer_keys import SignerKeys
from bitcoind_mp.wallet.options import WalletOptions
from bitcoind_mp.wallet.storage.ledger import Ledger, WalletFileError
from bitcoind_mp.wallet.wallet import Wallet

from .creation import Recipe, genesis
from .introduction import warnings_of
from .moving import Moved, Step, finish, move
from .shelf import YOUNG, Shelf, chosen_of, unverified
from .startup import SessionList, StartupList
from .verify import Damaged, verify

log = logging.getLogger("bitcoind_mp.wallet")

#: How long loading waits for the wallet to catch up before it answers all the same, in seconds.
CATCH_UP = 20.0
#: Seconds between attempts to load what the disk had no room for.
_LOOK_AGAIN = 2.0
#: What comes of reading a file whose rows aren't what we wrote.
_NONSENSE = (BTClibException, sqlite3.Error, ValueError, LookupError, TypeError, OverflowError)


class Wallets(Shelf):
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
        super().__init__(options, node.chain, clock, startup, cost, signer)
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
        self._session = session
        self._loaded: dict[str, Wallet] = {}
        self._attached: dict[str, Attachment] = {}
        self._awaited: list[str] = []
        """Wallets that were to be loaded at the start, and aren't yet: a kill must not make them be forgotten."""
        self._without_room: list[str] = []

    def __iter__(self) -> Iterator[Wallet]:
        """In the order they were loaded."""
        return iter(list(self._loaded.values()))

    async def names(self) -> list[str]:
        return list(self._loaded)

    def get(self, name: str) -> Wallet | None:
        """A loaded wallet by name."""
        return self._loaded.get(name)

    def attachment(self, wallet: Wallet) -> Attachment:
        """A loaded wallet's life on the feed."""
        return self._attached[wallet.name]

    def chosen(self, call: Call) -> Wallet:
        """The wallet a call is for (`chosen_of`)."""
        return self._loaded[chosen_of(call.wallet, list(self._loaded))]

    async def current(self, call: Call) -> Wallet:
        """The same, once it knows the block that is the node's newest now (``BlockUntilSyncedToCurrentChain``): a
        caller that saw a block elsewhere finds it here. While the node is away it answers as of its last block."""
        wallet = self.chosen(call)
        await self._attached[wallet.name].settle()
        return wallet

    # --- making, loading, unloading -------------------------------------------------------------------------

    async def create(self, name: str, recipe: Recipe, load_on_startup: bool | None) -> tuple[Wallet, list[str]]:
        self._check_name(name)
        self._check_recipe(name, recipe)
        with self._reserved(name):
            notes = await self._make(name, recipe)
            wallet, warnings = await self._open(name, load_on_startup)
        return wallet, [*warnings, *notes]

    def _check_name(self, name: str) -> None:
        """Refuse what another process is for."""
        if self.options.only is not None and name != self.options.only:
            raise RpcError(
                RpcCode.WALLET_ERROR,
                f"This process serves the wallet '{self.options.only}' alone (-onlywallet); '{name}' needs one of its "
                "own.",
            )

    async def load(
        self, name: str, load_on_startup: bool | None = None, patience: float = CATCH_UP
    ) -> tuple[Wallet, list[str]]:
        """``patience``: seconds that it waits for the wallet to catch up with the node."""
        self._check_name(name)
        if name in self._loaded:
            raise RpcError(RpcCode.WALLET_ALREADY_LOADED, f'Wallet "{name}" is already loaded.')
        with self._reserved(name):
            return await self._open(name, load_on_startup, patience)

    async def _open(
        self, name: str, load_on_startup: bool | None, patience: float = CATCH_UP
    ) -> tuple[Wallet, list[str]]:
        try:
            path = self.directory.existing(name)
            wallet = self._read(name, path)
            with _made_sense_of(wallet.ledger, path):
                for has_all in wallet.addresses.top_up_in_steps(self.options.keypool):
                    if not has_all:
                        break
                    await asyncio.sleep(0)
        except WalletFileError as error:
            raise unverified(error) from error
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
            warnings += await warnings_of(wallet)
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
                raise RpcError(RpcCode.WALLET_ERROR, f"Wallet loading failed. {YOUNG}")
            verify(wallet)
            with suppress(RpcError):  # without room for it, the next start tries again
                finish(ledger)
        return wallet

    async def unload(self, name: str, load_on_startup: bool | None = None) -> list[str]:
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
        self._check_name(name)
        with self._reserved(name):
            undo = self._put_back(name, backup)
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
                if error.code == RpcCode.DATABASE_ERROR:
                    self._without_room.append(name)
            except Exception as error:
                log.exception("[%s] could not be loaded", name)
                self._refuse(name, f"{type(error).__name__}: {error}")

    async def load_what_had_no_room(self) -> None:
        """Try those again that the disk had no room for at the start, now and then, until it has."""
        while self._without_room:
            await asyncio.sleep(_LOOK_AGAIN)
            for name in list(self._without_room):
                if name in self.refused:
                    try:
                        await self.load(name, patience=0)
                    except RpcError as error:
                        if error.code == RpcCode.DATABASE_ERROR or name in self._busy:
                            continue
                        self._refuse(name, error.message)
                self._without_room.remove(name)

    def _refuse(self, name: str, why: str) -> None:
        self.refused[name] = why
        log.error("[%s] not loaded: %s", name, why, extra=event(Event.WALLET_REFUSED))
        self.on_change()

    def startup_names(self, asked: list[str], negated: bool = False) -> list[str]:
        """Which to load at start: those ``asked`` for on the command line or marked so before, and those that a killed
        predecessor had. ``negated``: -nowallet was given. With -onlywallet that one, where it exists."""
        only = self.options.only
        if only is not None:
            if not self.directory.path(only).exists():
                log.warning("There is no wallet '%s' yet: make it with createwallet.", only)
                return []
            return [only]
        unnamed = [""] if not asked and not negated and self.directory.has("") else []
        return [*unnamed, *asked, *self._session.names()]

    def _remember(self, name: str, load_on_startup: bool | None) -> list[str]:
        if self.options.only is not None:  # always loaded here, and by nobody else
            return []
        try:
            self._session.remember([*self._loaded, *self._awaited])
        except OSError as error:
            log.error("what is loaded can't be remembered: %s", error)
        return self._mark(name, load_on_startup)

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
            if isinstance(wallet.keys, SignerKeys):
                wallet.keys.lost()  # the signer sees us go, and knows what to lock: not what it unlocked at its start
            wallet.close()
            del self._loaded[name]
            del self._attached[name]


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
