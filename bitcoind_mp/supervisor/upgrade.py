"""Upgrade in place: the supervisor becomes its program as it is on disk now, and its workers run on meanwhile.

First the new program is asked whether it starts and can take over (`Upgrade.ask`); then this process executes it
(`become`), which keeps pid, children and sockets; last, in the new program, the units are restarted one after the
other (`Upgrade.roll`). What is handed over is ``handover.py``'s.
"""

import asyncio
import importlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

from bitcoind_mp import __version__
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.journal import Event, event

from .handover import CHECK, VARIABLE, VERSION, Handover
from .manager import Manager
from .processes.asking import PATIENCE, Questions
from .units import events as ev
from .units.states import ALIVE, AT_REST, WAITING, State

log = logging.getLogger("bitcoind_mp.supervisor")
_HELD_BACK = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def hold_back() -> None:
    """Keep signals waiting until the new program has its handlers: between the two they would end everything."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)


def let_through() -> None:
    """The handlers are there."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_BACK)


def command_line() -> tuple[str, ...]:
    """What executes this program again, with the same options."""
    return (sys.executable, *sys.orig_argv[1:])


def answer(programs: Iterable[str]) -> str:
    """What a program says that is asked whether it could take over. ``programs`` are the packages of those that the
    units' processes run: raises what keeps one from being imported."""
    for package in programs:
        importlib.import_module(f"{package}.preload").preload()
        importlib.import_module(f"{package}.__main__")
    return json.dumps({"version": VERSION, "program": __version__})


class Upgrade:
    """One supervisor's. ``is_due`` says that this process is to execute the new program as soon as it can, and
    ``listeners`` and ``bound`` (`Handover`) what that is then to answer callers on, and ``callers`` those that have
    called already."""

    def __init__(self, questions: Questions) -> None:
        self.is_due = False
        self.listeners: dict[str, int] = {}
        self.bound: list[str] = []
        self.callers: list[socket.socket] = []
        self._questions = questions
        self._asking = False
        self._rolling: asyncio.Task[str] | None = None

    async def ask(self, manager: Manager) -> str:
        """Make sure that the program on disk can take over; its version.

        Raises:
            RpcError: it can't, or not now; why, and that nothing has changed.
        """
        if manager.stopping:
            raise RpcError(RpcCode.MISC_ERROR, "bitcoind-mp is stopping: there is nothing to upgrade any more.")
        if self._asking:
            raise RpcError(RpcCode.MISC_ERROR, "An upgrade is under way already.")
        self._asking = True
        try:
            return await _version(self._questions)
        finally:
            self._asking = False

    def handover(
        self, manager: Manager, *, lock: int, starter: int | None, since: float, private: dict[str, int]
    ) -> Handover:
        """What the new program is to have. Nothing may be told any more."""
        notify, units = manager.hand_over()
        callers = [each.fileno() for each in self.callers]
        return Handover(lock, self.listeners, self.bound, notify, starter, since, units, private, callers)

    def roll(self, manager: Manager, order: Sequence[str], done: Callable[[], None]) -> None:
        """We are the new program: begin to restart the units, and call ``done`` when that is over."""
        self._rolling = asyncio.get_running_loop().create_task(_roll(manager, order))
        self._rolling.add_done_callback(lambda _: done())

    async def outcome(self) -> str:
        """What came of the upgrade that this program began with, once that is known. Raises RpcError."""
        failure = await asyncio.shield(self._rolling) if self._rolling is not None else "There was no upgrade."
        if failure:
            raise RpcError(RpcCode.MISC_ERROR, failure)
        return f"bitcoind-mp {__version__} has taken over, and every unit runs it"

    async def close(self) -> None:
        """Give up what is under way."""
        if self._rolling is not None:
            self._rolling.cancel()
            await asyncio.gather(self._rolling, return_exceptions=True)


async def _roll(manager: Manager, order: Sequence[str]) -> str:
    """Restart each unit that is up, one after the other. Why one didn't come up again, which ends it; else empty."""
    units = [each for role in order for each in manager.units.values() if each.plan.role == role]
    for supervised in units:
        if supervised.unit.state in AT_REST or supervised.name not in manager.units:
            continue
        before = supervised.unit.pid
        manager.tell(supervised, ev.RestartRequested())
        await manager.until_unit(supervised, lambda now, old=before: now.pid != old or now.state not in ALIVE)  # type: ignore[misc]
        state = await manager.until(supervised, (State.RUNNING, *WAITING, *AT_REST))
        if state is not State.RUNNING:
            why = supervised.unit.reason or state
            failure = f"The upgrade has come to a halt: the {supervised.name} did not start: {why}"
            log.error("%s", failure, extra=event(Event.SUPERVISOR_NOT_UPGRADED))
            return failure
    log.info("upgraded to %s", __version__, extra=event(Event.SUPERVISOR_UPGRADED))
    return ""


async def _version(questions: Questions) -> str:
    """That of the program on disk, started with our options. Raises RpcError: it can't take over."""
    answer = await questions.ask(command_line(), variables={VARIABLE: CHECK})
    if answer.exit is None:
        raise _refused(f"The new program did not start within {PATIENCE:g} s")
    try:
        found = json.loads(answer.last_line)
        version, program = found["version"], str(found["program"])
    except (ValueError, KeyError, TypeError):
        raise _refused(f"The new program does not start: {answer.last_line}") from None
    if version != VERSION:
        raise _refused(f"bitcoind-mp {program} can't take over from {__version__}")
    return program


def _refused(why: str) -> RpcError:
    return RpcError(RpcCode.MISC_ERROR, f"{why}. Nothing was changed: {__version__} runs on.")


def become(handover: Handover, environ: Mapping[str, str]) -> None:
    """Execute the program, signals held back. Returns only where that fails, and says why in the log."""
    environ = {name: value for name, value in environ.items() if not name.startswith("LISTEN_")}
    try:
        line = command_line()
        os.execve(line[0], line, handover.offer(environ))
    except OSError as error:
        about = event(Event.SUPERVISOR_NOT_UPGRADED)
        log.error("the new program could not be executed: %s", error.strerror, extra=about)
        for descriptor in handover.descriptors:  # commands may be run yet that are to have none of them
            os.set_inheritable(descriptor, False)
        let_through()
