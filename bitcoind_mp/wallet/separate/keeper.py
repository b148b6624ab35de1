"""Making, loading and listing wallets that have a process each (-walletprocess=each): this one holds none open.

It makes a wallet's file and has the supervisor start the process that serves it (``interfaces/wallet_units.py``). What
doesn't belong: how those processes are reached (``elsewhere.py``).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from bitcoind_mp.interfaces.chain import Chain
from bitcoind_mp.interfaces.command import commit_point
from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcCode, RpcError
from bitcoind_mp.interfaces.signer import Signer
from bitcoind_mp.interfaces.wallet_units import Carries, OpenWallet, WalletUnit, WalletUnits
from bitcoind_mp.signing.sealing import Cost
from bitcoind_mp.wallet.clock import NodeClock
from bitcoind_mp.wallet.options import WalletOptions
from bitcoind_mp.wallet.storage.carrier import TEMPORARY, Carrier
from bitcoind_mp.wallet.storage.directory import Directory
from bitcoind_mp.wallet.storage.ledger import WalletFileError
from bitcoind_mp.wallet.wallets.creation import Recipe
from bitcoind_mp.wallet.wallets.manager import CATCH_UP
from bitcoind_mp.wallet.wallets.shelf import Shelf, unverified
from bitcoind_mp.wallet.wallets.startup import StartupList

log = logging.getLogger("bitcoind_mp.wallet")

#: A process that ends this often while it is asked whether it has its wallet is not asked again.
_TRIES = 5
#: What asking a process that isn't there comes to.
_GONE = (OSError, Disconnected, CallTimeout)


class BackupsOfOthers(Carries):
    """``directory`` is where wallets lie, and ``carrier``, which nobody else uses, brings them to where they are to go.
    ``known`` gives those that have processes. Whoever has one carried says how large it is and what is in it: the
    others are answered meanwhile."""

    def __init__(
        self, directory: Directory, carrier: Carrier, known: Callable[[], Awaitable[list[WalletUnit]]]
    ) -> None:
        self._directory = directory
        self._carrier = carrier
        self._known = known
        self._one_at_a_time = ThreadPoolExecutor(1, "backups")

    async def carry(self, name: str, destination: str) -> None:
        await self._require_no_reader(name, Path(destination).parent.resolve())
        copy = self._directory.path(name) / TEMPORARY
        try:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._one_at_a_time, self._carrier.put, copy, Path(destination))
        except OSError as error:
            where = f": '{error.filename}'" if error.filename else ""
            raise RpcError(RpcCode.WALLET_ERROR, f"{error.strerror or error}{where}") from error

    async def _require_no_reader(self, name: str, place: Path) -> None:
        """Keep a wallet's copy from where another's process could read it, which may be who asks. Raises RpcError."""
        path = self._directory.path
        if place.is_relative_to(path(name).resolve()):
            return
        others = [self._directory.root, *(path(unit.name) for unit in await self._known())]
        if any(place.is_relative_to(other.resolve()) for other in others):
            raise RpcError(
                RpcCode.WALLET_ERROR, f"Backups are not put into another wallet's directory: choose another ('{place}')"
            )


@dataclass(frozen=True)
class Elsewhere:
    """A wallet that another process holds open."""

    name: str


#: ``asking(unit)``: the process of that unit, for as long as the context lasts. Raises what `_GONE` names, RpcError.
Asking = Callable[[str], AbstractAsyncContextManager[OpenWallet]]


class Keeper(Shelf):
    """``units`` are the supervisor's, ``asking`` reaches the process of one. ``on_change`` is called when a wallet was
    loaded or let go."""

    def __init__(
        self,
        options: WalletOptions,
        chain: Chain,
        clock: NodeClock,
        startup: StartupList,
        units: WalletUnits,
        asking: Asking,
        *,
        cost: Cost | None = None,
        signer: Signer | None = None,
    ) -> None:
        super().__init__(options, chain, clock, startup, cost, signer)
        self._units = units
        self._asking = asking
        self.on_change: Callable[[], None] = lambda: None

    async def names(self) -> list[str]:
        return [unit.name for unit in await self._units.listed() if unit.loaded]

    async def create(self, name: str, recipe: Recipe, load_on_startup: bool | None) -> tuple[Elsewhere, list[str]]:
        self._check_recipe(name, recipe)
        with self._reserved(name):
            notes = await self._make(name, recipe)
            warnings = await self._open(name, load_on_startup)
        return Elsewhere(name), [*warnings, *notes]

    async def load(self, name: str, load_on_startup: bool | None = None) -> tuple[Elsewhere, list[str]]:
        if name in await self.names():
            raise RpcError(RpcCode.WALLET_ALREADY_LOADED, f'Wallet "{name}" is already loaded.')
        with self._reserved(name):
            try:
                self.directory.existing(name)
            except WalletFileError as error:
                raise unverified(error) from error
            return Elsewhere(name), await self._open(name, load_on_startup)

    async def restore(self, name: str, backup: Path, load_on_startup: bool | None) -> tuple[Elsewhere, list[str]]:
        with self._reserved(name):
            undo = self._put_back(name, backup)
            try:
                return Elsewhere(name), await self._open(name, load_on_startup)
            except BaseException:
                if await self._found(name) is None:
                    undo()
                raise

    async def unload(self, name: str, load_on_startup: bool | None = None) -> list[str]:
        unit = await self._found(name)
        if unit is None:
            raise RpcError(RpcCode.WALLET_NOT_FOUND, "Requested wallet does not exist or is not loaded")
        with self._reserved(name):
            if unit.loaded:
                await self._require_idle(unit)
            commit_point()
            await self._units.close(name)
        self.on_change()
        return self._mark(name, load_on_startup)

    async def _require_idle(self, unit: WalletUnit) -> None:
        """That it isn't scanned. A process that isn't there does nothing."""
        try:
            async with self._asking(unit.unit) as wallet:
                await wallet.is_idle()
        except _GONE as error:
            log.warning("[%s] %s while it was to be unloaded: %s", unit.name, unit.unit, error)
        except RpcError as error:
            if error.code not in (RpcCode.CLIENT_NOT_CONNECTED, RpcCode.WALLET_NOT_FOUND):
                raise

    async def _open(self, name: str, load_on_startup: bool | None) -> list[str]:
        """Have a process for a wallet, and wait until that has loaded it; warnings."""
        commit_point()
        await self._units.open(name)
        try:
            await self._until_open(name)
        except BaseException:
            await self._units.close(name)
            raise
        self.on_change()
        return [*self.options.warnings, *self._mark(name, load_on_startup)]

    async def _until_open(self, name: str) -> None:
        """Raises RpcError (-4) with what its process said where that can't load it."""
        why = ""
        for _ in range(_TRIES):
            unit = await self._found(name)
            if unit is None:
                break
            try:
                why = await self._opened(unit)
                if not why:
                    return
                break
            except (*_GONE, RpcError) as error:
                # It ended, or somebody else answered for it: the supervisor knows why, or that another process serves.
                why = await self._units.settled(name)
                if why:
                    break
                why = str(error)
        raise RpcError(RpcCode.WALLET_ERROR, why or "It was unloaded meanwhile.")

    async def _opened(self, unit: WalletUnit) -> str:
        """Wait until the process of a unit has its wallet open. Why it will not: one that ends before it answers
        anybody leaves its callers waiting for the next. Raises what asking it does."""

        async def asked() -> str:
            async with self._asking(unit.unit) as wallet:
                await wallet.opened(CATCH_UP)
            return ""

        asking, settling = asyncio.create_task(asked()), asyncio.create_task(self._units.settled(unit.name))
        try:
            await asyncio.wait({asking, settling}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done() and settling.exception() is None and (why := settling.result()):
                return why
            return await asking
        finally:
            for task in (asking, settling):
                task.cancel()
            await asyncio.gather(asking, settling, return_exceptions=True)

    async def _found(self, name: str) -> WalletUnit | None:
        return next((unit for unit in await self._units.listed() if unit.name == name), None)
