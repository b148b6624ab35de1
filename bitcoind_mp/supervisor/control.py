"""The supervisor's own commands, answered on ``supervisor.sock``: what a person would ask systemctl.

What to answer belongs here; how a unit is described is ``report.py``'s, and commands of which each worker has its part
are in ``parts.py``.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from bitcoind_mp.config.instances import PREFIX, instance
from bitcoind_mp.interfaces.command import command
from bitcoind_mp.interfaces.errors import RpcCode, RpcError

from .checks.health import HealthMonitor
from .checks.vitals import Grade, measure, usage
from .manager import Manager
from .output.logs import UnitLog
from .report import WallClock, sandbox, unit_line, unit_status
from .said import said
from .supervised import Supervised
from .units import events as ev
from .units.states import ALIVE, AT_REST, SERVING, WAITING, State


class ControlCommands:
    """Commands about the units. ``about`` is what ``status`` says of the supervisor itself, and ``since`` when it came
    up (monotonic); ``shut_down`` starts the end of everything, and returns at once, ``stopping`` says whether it has
    begun; ``configure`` reads the configuration again where that was changed, and raises RpcError where it can't be
    used; ``upgrade`` has the program on disk take over, and returns its version before it does; ``upgraded`` is what
    came of that, told by the new program."""

    def __init__(
        self,
        manager: Manager,
        health: HealthMonitor,
        clock: WallClock,
        *,
        about: dict[str, Any],
        since: float,
        shut_down: Callable[[], None],
        stopping: Callable[[], bool],
        upgrade: Callable[[], Awaitable[str]],
        upgraded: Callable[[], Awaitable[str]],
        configure: Callable[[], Awaitable[None]],
        own_log: UnitLog,
    ) -> None:
        self._manager = manager
        self._health = health
        self._clock = clock
        self._about = about
        self._shut_down = shut_down
        self._stopping = stopping
        self._upgrade = upgrade
        self._upgraded = upgraded
        self._configure = configure
        self._own_log = own_log
        self._loop = asyncio.get_running_loop()
        self._started = since

    @command("control")
    async def status(self, unit: str = "", lines: int = 10) -> dict[str, Any]:
        """Tells how the supervisor and its units are: state, process, restarts, last exit, health, use of resources.

        Args:
            unit: One unit's name, else all
            lines: How many of the newest lines of each unit's log to include

        Returns:
            supervisor: its pid, since when, version, chain, data directory, resources and problems; units: each with
            name, state, pid, since, restarts, health, sandbox, last_exit, memory, cpu, open_files, log and more. Times
            are in seconds since 1970, memory in bytes, cpu in seconds.
        """
        self._clock.adjust(self._loop.time())
        chosen = [self._named(unit)] if unit else list(self._manager.units.values())
        return {"supervisor": self._supervisor(), "units": [self._status(each, lines) for each in chosen]}

    def _status(self, supervised: Supervised, lines: int) -> dict[str, Any]:
        checkup = self._health.checkup(supervised)
        used = usage(supervised.unit.pid, checkup)
        return unit_status(supervised, checkup, self._health.diagnosis(supervised), used, self._clock, lines)

    @command("control")
    async def health(self) -> dict[str, Any]:
        """Checks every unit now and tells how well all is, for monitors.

        Returns:
            state: ok, degraded or failed; exit: 0, 1 or 2 for the same; problems: sentences; units: each with name,
            state, health, problems and sandbox: its protections, and which are missing.
        """
        await self._health.check_all()
        units = []
        worst = Grade.OK
        problems = self._health.own_problems()
        if problems:
            worst = Grade.DEGRADED
        for supervised in self._manager.units.values():
            found = self._health.diagnosis(supervised)
            worst = max(worst, found.grade)
            problems += [f"{supervised.name}: {problem}" for problem in found.problems]
            units.append(
                {
                    "name": supervised.name,
                    "state": str(supervised.unit.state),
                    "health": found.grade.word,
                    "problems": found.problems,
                    "sandbox": sandbox(self._health.checkup(supervised)),
                }
            )
        return {"state": worst.word, "exit": int(worst), "problems": problems, "units": units}

    @command("control", changes=True)
    async def start(self, unit: str) -> dict[str, Any]:
        """Starts a unit and waits until it is ready.

        Args:
            unit: The unit's name

        Returns:
            The unit: name, state, pid, since, restarts, health
        """
        supervised = await self._startable(unit)
        self._manager.tell(supervised, ev.StartRequested())
        return await self._up(supervised)

    @command("control", changes=True)
    async def stop(self, unit: str = "") -> Any:
        """Stops a unit and waits until it has stopped; without a unit, begins to stop everything.

        Args:
            unit: The unit's name, else the supervisor and all its units

        Returns:
            The unit, or the text "bitcoind-mp stopping"
        """
        if not unit:
            self._shut_down()
            return "bitcoind-mp stopping"
        supervised = self._named(unit)
        self._manager.tell(supervised, ev.StopRequested())
        await self._manager.until_unit(supervised, lambda now: now.state is State.STOPPED or now.wanted)
        if supervised.unit.wanted:
            raise RpcError(RpcCode.MISC_ERROR, f"The {supervised.name} was started again while it was to be stopped")
        return self._line(supervised)

    @command("control", changes=True)
    async def restart(self, unit: str) -> dict[str, Any]:
        """Stops a unit, starts it again and waits until it is ready. Callers of the unit wait meanwhile.

        A configuration that was changed is read first, as by SIGHUP; one that can't be used is refused, and nothing
        is stopped.

        Args:
            unit: The unit's name

        Returns:
            The unit: name, state, pid, since, restarts, health
        """
        supervised = await self._startable(unit)
        before = supervised.unit.pid
        self._manager.tell(supervised, ev.RestartRequested())
        await self._manager.until_unit(supervised, lambda now: now.pid != before or now.state not in ALIVE)
        return await self._up(supervised)

    @command("control", changes=True)
    async def reload(self, unit: str) -> dict[str, Any]:
        """Sends a unit SIGHUP and waits until it has dealt with it, without stopping it.

        Args:
            unit: The unit's name

        Returns:
            The unit: name, state, pid, since, restarts, health
        """
        supervised = self._named(unit)
        if supervised.unit.state not in SERVING:
            raise RpcError(RpcCode.MISC_ERROR, f"{unit} is {supervised.unit.state}: there is nothing to reload")
        self._manager.tell(supervised, ev.ReloadRequested())
        await self._manager.until_unit(supervised, lambda now: now.state is not State.RELOADING)
        return self._line(supervised)

    @command("control", changes=True)
    async def upgrade(self) -> str:
        """Replaces the supervisor by its program as it is on disk now, with the units running on, then restarts these
        one after the other. Callers wait meanwhile. A program that can't take over is refused, and nothing changes.

        Returns:
            A string that says which version takes over
        """
        return f"bitcoind-mp {await self._upgrade()} takes over"

    @command("control", hidden=True, waits=True)
    async def upgraded(self) -> str:
        """Waits until the upgrade that this program began with is over.

        Returns:
            A string that says so
        """
        return await self._upgraded()

    @command("control")
    async def logs(self, unit: str = "", lines: int = 50) -> dict[str, Any]:
        """Tells the newest lines of the units' logs.

        Args:
            unit: One unit's name, supervisor for its own log, else all units
            lines: How many lines of each

        Returns:
            logs: for each unit its name, its log file (null where there is none) and its lines, oldest first
        """
        chosen = [self._log(unit)] if unit else [supervised.log for supervised in self._manager.units.values()]
        return {
            "logs": [
                {
                    "unit": log.unit,
                    "file": str(log.file.path) if log.file is not None else None,
                    "lines": log.tail(lines),
                }
                for log in chosen
            ]
        }

    @command("control")
    async def uptime(self) -> int:
        """Returns the total uptime of the server.

        Returns:
            The number of seconds that the supervisor has been running
        """
        return int(self._loop.time() - self._started)

    def _log(self, name: str) -> UnitLog:
        return self._own_log if name == self._own_log.unit else self._named(name).log

    def _named(self, unit: str) -> Supervised:
        supervised = find_unit(self._manager, unit)
        if supervised is None:
            known = " or ".join(self._manager.units)
            raise RpcError(RpcCode.INVALID_PARAMETER, f"There is no unit named {unit!r}: expected {known}")
        return supervised

    async def _startable(self, unit: str) -> Supervised:
        self._named(unit)
        await self._configure()
        if self._manager.stopping:
            raise RpcError(RpcCode.MISC_ERROR, "bitcoind-mp is stopping: nothing is started any more")
        supervised = self._named(unit)
        if supervised.shares_origin:  # `Manager.tell` renews those of one unit alone
            supervised.origin.renew()
        return supervised

    async def _up(self, supervised: Supervised) -> dict[str, Any]:
        """Wait until a unit that is to run does, or says why not."""
        settled = (State.RUNNING, State.RELOADING, *WAITING, *AT_REST)
        state = await self._manager.until(supervised, settled)
        if state not in SERVING:
            again = {State.BACKOFF: "; it is tried again", State.HELD: "; it starts by itself once that is gone"}
            why = why_down(supervised) + again.get(state, "")
            raise RpcError(RpcCode.MISC_ERROR, f"The {supervised.name} did not start: {why}")
        return self._line(supervised)

    def _line(self, supervised: Supervised) -> dict[str, Any]:
        return unit_line(supervised, self._health.diagnosis(supervised), self._clock)

    def _supervisor(self) -> dict[str, Any]:
        used = measure(self._about["pid"])
        return {
            **self._about,
            "since": self._clock.at(self._started),
            "stopping": self._stopping(),
            "problems": self._health.own_problems(),
            "refused_notifications": self._manager.refused,
            "memory": used.memory if used is not None else None,
            "cpu": round(used.cpu, 2) if used is not None else None,
            "open_files": used.files if used is not None else None,
            "threads": used.threads if used is not None else None,
        }


def find_unit(manager: Manager, name: str) -> Supervised | None:
    """The unit of that name; one that serves a wallet also by that as people write it: ``wallet@my savings``."""
    found = manager.units.get(name)
    if found is None and name.startswith(PREFIX):
        found = manager.units.get(PREFIX + instance(name.removeprefix(PREFIX)))
    return found


def why_down(supervised: Supervised) -> str:
    """Why a unit is down, with the last thing it wrote where it called nothing an error and wasn't killed out of the
    blue."""
    unit = supervised.unit
    if unit.state is State.STOPPED or unit.ended is None:
        return unit.reason or str(unit.state)
    ended = unit.ended.exit
    words = supervised.last_words[-1:] if not ended.said and ended.signal != signal.SIGKILL else []
    return "; ".join([unit.reason, *map(said, words)])
