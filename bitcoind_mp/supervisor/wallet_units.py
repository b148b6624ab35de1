"""The units that serve one wallet each (-walletprocess=each): had when a wallet is opened, forgotten when it is closed.

All that one unit more takes is put together here: socket, log, table, health check. What a unit does is ``unit.py``'s,
and which wallet is opened when is for the process to say that makes and lists them (the unit ``wallet``).
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from bitcoind_mp.config import Config
from bitcoind_mp.config.instances import PREFIX, instance, unescaped
from bitcoind_mp.interfaces import wallet_units as interface
from bitcoind_mp.interfaces.errors import FatalError, RpcCode, RpcError

from .control import why_down
from .doorman import Doorman
from .handover import Handover
from .manager import Manager
from .output.logbook import Logbook
from .places import Bind, Listeners
from .plan import Plan, wallet_unit, wallets_apart
from .processes.orphans import Orphan
from .supervised import Supervised
from .units import events as ev
from .units.states import AT_REST, SERVING, State
from .units.unit import Unit

log = logging.getLogger("bitcoind_mp.supervisor")


class Learns(Protocol):
    """Who asks each unit how it is, or what happens, at its socket, or keeps that (``health.py``, ``outward.py``,
    ``upkeep.py``)."""

    def learn(self, name: str, socket: Path) -> None: ...
    def forget(self, name: str) -> None: ...


class WalletUnits(interface.WalletUnits):
    """``tables`` is where each worker writes its table of commands, and has those of these units too."""

    def __init__(
        self,
        manager: Manager,
        config: Config,
        sockets: Listeners,
        logs: Logbook,
        *,
        bind: Bind,
        doorman: Doorman,
        learners: Iterable[Learns],
        tables: dict[str, Path],
    ) -> None:
        self._manager = manager
        self._config = config
        self._sockets = sockets
        self._logs = logs
        self._bind = bind
        self._doorman = doorman
        self._learners = tuple(learners)
        self._tables = tables
        self._begun = False
        self._closing: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    # From the start on

    def come_up(self, orphans: Iterable[Orphan], adopted: Iterable[str]) -> None:
        """Have a unit for each wallet that the configuration names; those that are marked to be loaded the process
        names that can read where (`begin`). Of workers that an earlier supervisor left (``orphans``) those stay whose
        sockets were handed over (``adopted``); with -adopt the wallets of the others are loaded again, and else, or
        where one process is to have all by now, they are only waited for."""
        left = {orphan.unit: self._wallet(orphan.unit) for orphan in orphans if orphan.unit.startswith(PREFIX)}
        wanted = self._config.wallets_named([]) if wallets_apart(self._config) else []
        wanted += left.values() if wallets_apart(self._config) and self._config.get_bool("adopt") else []
        for wallet in dict.fromkeys([*wanted, *left.values()]):
            unit = PREFIX + instance(wallet)
            if unit in left and unit not in adopted:
                self._config.socket_path(unit).unlink(missing_ok=True)
            try:
                self._add(wallet, enabled=wallet in wanted, is_bound=unit in adopted)
            except RpcError as error:
                log.error("the wallet %r is not loaded: %s", wallet, error.message)
                continue
            if wallet not in wanted:
                task = asyncio.get_running_loop().create_task(self._close_unless_wanted(wallet))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def take_over(self, handed: Handover) -> None:
        """Have those of the program before us, with their processes."""
        self._begun = True
        for name, unit in handed.units.items():
            if name.startswith(PREFIX):
                plan = wallet_unit(self._config, self._wallet(name))
                output, listener = self._logs.open(name), self._sockets[name].fileno()
                self._known(self._manager.take_over(plan, output, listener, unit, self._manager.units["wallet"].origin))

    def configure(self, config: Config) -> None:
        """The configuration was read again."""
        self._config = config
        for supervised in self._each():
            assert supervised.plan.wallet is not None
            self._manager.configure(wallet_unit(config, supervised.plan.wallet))

    def end(self) -> None:
        """All have stopped, for good: nobody is told of them any more."""
        for supervised in self._each():
            self._tables[supervised.name].unlink(missing_ok=True)
            self._name_file(supervised.name).unlink(missing_ok=True)

    # interfaces.wallet_units

    async def listed(self) -> list[interface.WalletUnit]:
        return [
            interface.WalletUnit(each.plan.wallet or "", each.name, is_loaded(each))
            for each in self._each()
            if each.name not in self._closing
        ]

    async def begin(self, names: list[str]) -> dict[str, str]:
        if self._begun:
            return {}
        self._begun = True
        refused: dict[str, str] = {}
        for name in names:
            try:
                await self.open(name)
            except RpcError as error:
                refused[name] = error.message
        return refused

    async def open(self, name: str) -> None:
        if self._manager.stopping:
            raise RpcError(RpcCode.MISC_ERROR, "bitcoind-mp is stopping: nothing is started any more")
        self._require_place(name)
        supervised = self._find(name) or self._add(name)
        if supervised.unit.state in AT_REST or supervised.name in self._closing:
            self._manager.tell(supervised, ev.StartRequested())

    async def settled(self, name: str) -> str:
        supervised = self._find(name)
        if supervised is None:
            return "it was closed meanwhile"
        settled = await self._manager.until_unit(supervised, _is_settled)
        if settled.state in SERVING:
            return ""
        ended = settled.ended
        return ended.exit.said if ended is not None and ended.exit.said else why_down(supervised)

    async def close(self, name: str) -> None:
        supervised = self._find(name)
        if supervised is None:
            return
        self._closing.add(supervised.name)
        try:
            self._manager.tell(supervised, ev.StopRequested())
            await self._manager.until_unit(supervised, lambda unit: unit.state is State.STOPPED or unit.wanted)
            if supervised.unit.wanted:  # a process may be there again by now
                raise RpcError(RpcCode.WALLET_ERROR, f"{supervised.name} was started again while it was to be stopped.")
            if self._find(name) is supervised:
                self._remove(supervised)
        finally:
            self._closing.discard(supervised.name)

    async def _close_unless_wanted(self, name: str) -> None:
        """One that is marked to be loaded is asked for while it is still waited for."""
        with suppress(RpcError):
            await self.close(name)

    # One unit

    def _each(self) -> tuple[Supervised, ...]:
        return tuple(each for each in self._manager.units.values() if each.plan.wallet is not None)

    def _find(self, wallet: str) -> Supervised | None:
        return next((each for each in self._each() if each.plan.wallet == wallet), None)

    def _require_place(self, wallet: str) -> None:
        """Its process reaches wherever the name leads, and who asks for it may have been broken into. Raises
        RpcError."""
        if wallet in self._config.get_list("wallet"):
            return
        place = self._config.wallets_dir
        try:
            if (place / wallet).resolve().is_relative_to(place.resolve()):
                return
        except (OSError, RuntimeError, ValueError):  # too long a name, a ring of links, a NUL: it can be nobody's
            pass
        raise RpcError(
            RpcCode.WALLET_ERROR,
            f"Wallet loading failed. '{place / wallet}' is not within {place}. Move the wallet there, or name it by "
            "-wallet= at the start.",
        )

    def _add(self, wallet: str, *, enabled: bool = True, is_bound: bool = False) -> Supervised:
        """Raises RpcError: it can't be had, and nothing of it is left."""
        try:
            plan = replace(wallet_unit(self._config, wallet), enabled=enabled)
            supervised = self._put_together(plan, wallet, is_bound=is_bound)
        except (ValueError, FatalError, OSError) as error:
            raise RpcError(RpcCode.WALLET_ERROR, f"Wallet loading failed. {error}") from error
        self._known(supervised)
        return supervised

    def _put_together(self, plan: Plan, wallet: str, *, is_bound: bool) -> Supervised:
        with ExitStack() as undo:
            if "~" in plan.name:
                self._name_file(plan.name).write_text(wallet, "utf-8", "surrogateescape")
                undo.callback(self._name_file(plan.name).unlink)
            listening = self._sockets[plan.name] if is_bound else self._sockets.add(self._bind, plan.name)
            undo.callback(self._sockets.remove, plan.name)
            output = self._logs.open(plan.name)
            undo.callback(self._logs.close_one, plan.name)
            origin = self._manager.units["wallet"].origin
            supervised = self._manager.add(plan, output, listening.fileno(), origin)
            undo.pop_all()
        return supervised

    def _wallet(self, unit: str) -> str:
        """The wallet that a unit of that name serves."""
        if "~" in unit:
            return self._name_file(unit).read_text("utf-8", "surrogateescape")
        return unescaped(unit.removeprefix(PREFIX))

    def _name_file(self, unit: str) -> Path:
        """Where the wallet's name is that a unit's doesn't tell."""
        return self._config.socket_path(unit).with_suffix(".name")

    def _known(self, supervised: Supervised) -> None:
        path = self._config.socket_path(supervised.name)
        for each in self._learners:
            each.learn(supervised.name, path)
        self._tables[supervised.name] = path.with_suffix(".json")
        self._doorman.watch(supervised, self._sockets[supervised.name])

    def _remove(self, supervised: Supervised) -> None:
        """All of a unit that has stopped."""
        self._doorman.leave(supervised)
        for each in self._learners:
            each.forget(supervised.name)
        self._manager.remove(supervised)
        self._sockets.remove(supervised.name)
        self._tables.pop(supervised.name).unlink(missing_ok=True)
        self._name_file(supervised.name).unlink(missing_ok=True)
        self._logs.close_one(supervised.name)


def _is_settled(unit: Unit) -> bool:
    """Whether it serves, or its process said by its exit status that it can't for now: one that was killed is started
    again."""
    by_itself = unit.ended is not None and unit.ended.exit.code is not None
    return unit.state in (*SERVING, State.HELD, *AT_REST) or (unit.state is State.BACKOFF and by_itself)


def is_loaded(supervised: Supervised) -> bool:
    """Whether its wallet counts as loaded: a process that crashed for good doesn't make callers who name no wallet get
    another one's, one that never opened its wallet had none."""
    return supervised.unit.state is not State.FAILED or supervised.was_ready


def sweep(run_dir: Path, is_answered: Callable[[Path], bool], left: Collection[str]) -> None:
    """Remove what units of a supervisor that was killed left: sockets on which nobody listens, and what lies beside
    them. Not of those whose process is still there (``left``): that may have closed its socket already."""
    for socket in run_dir.glob(f"{PREFIX}*.sock"):
        if socket.stem not in left and not is_answered(socket):
            socket.unlink(missing_ok=True)
            for beside in (".json", ".name"):
                socket.with_suffix(beside).unlink(missing_ok=True)
