"""Asking each worker how it is, over the socket that its callers use: the loop that serves them is what answers.

One connection a worker is kept for it. What the answer is worth is ``vitals.py``'s to say; a worker that doesn't
answer is reported, not killed: killing is the watchdog's.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bitcoind_mp.interfaces.errors import CallTimeout, RpcError
from bitcoind_mp.interfaces.health import HealthCheck
from bitcoind_mp.interfaces.init import Hello
from bitcoind_mp.interfaces.journal import Event, event
from bitcoind_mp.ipc.client import connect
from bitcoind_mp.ipc.limits import MAX_FROM_WORKER
from bitcoind_mp.ipc.proxy import proxy
from bitcoind_mp.ipc.session import Session
from bitcoind_mp.supervisor.manager import Manager
from bitcoind_mp.supervisor.plan import HealthPlan, Limits
from bitcoind_mp.supervisor.said import said
from bitcoind_mp.supervisor.supervised import Supervised
from bitcoind_mp.supervisor.units.states import SERVING
from bitcoind_mp.supervisor.units.unit import Unit

from .files import ConfigurationFiles
from .vitals import Checkup, Diagnosis, Grade, believed, judge, reported, usage

log = logging.getLogger("bitcoind_mp.supervisor")


class HealthMonitor:
    """The newest `Checkup` of each unit, taken every ``plan.interval`` seconds and right after it became ready."""

    def __init__(
        self,
        manager: Manager,
        sockets: Mapping[str, Path],
        plan: HealthPlan,
        *,
        hello: Hello,
        disk: Path,
        files: ConfigurationFiles | None = None,
    ) -> None:
        """``disk``: where there is to be room. ``files``: those of the configuration, None for none to be watched."""
        self.plan = plan
        self._manager = manager
        self._sockets = dict(sockets)
        self._hello = hello
        self._disk = disk
        self._files = files
        self._checkups: dict[str, Checkup] = {}
        self._sessions: dict[str, Session] = {}
        self._connecting: dict[str, asyncio.Lock] = {}
        self._checking: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._listeners: list[Callable[[], None]] = []
        self._rounds: list[Callable[[], None]] = []
        self._told: list[str] = []
        manager.on_change(self._changed)

    def on_check(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after each check of a unit, after one of all of them once."""
        self._listeners.append(listener)

    def on_round(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` each time that it is time to check everything."""
        self._rounds.append(listener)

    def learn(self, name: str, socket: Path) -> None:
        """One more unit, which answers there."""
        self._sockets[name] = socket

    def forget(self, name: str) -> None:
        """That unit is no more."""
        self._drop(name)
        for known in (self._sockets, self._checkups, self._connecting):
            known.pop(name, None)

    def start(self) -> None:
        """Check from now on."""
        self._arm()

    def configure(self, plan: HealthPlan) -> None:
        """The configuration was read again."""
        self.plan = plan
        self._arm()

    async def close(self) -> None:
        """Stop checking."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for name in list(self._sessions):
            self._sessions.pop(name).abort()

    def checkup(self, supervised: Supervised) -> Checkup:
        """The newest of the unit's present process; an empty one before the first."""
        newest = self._checkups.get(supervised.name)
        pid = supervised.unit.pid
        return newest if newest is not None and newest.pid == pid else Checkup(pid)

    def diagnosis(self, supervised: Supervised) -> Diagnosis:
        """How well a unit is, by its newest check."""
        plan = supervised.plan
        found = judge(supervised.unit, self.checkup(supervised), plan.limits, self.plan.patience)
        lost = supervised.log.file.error if supervised.log.file is not None else ""
        if lost:
            problems = [*found.problems, f"log lines are being lost: {lost}"]
            return Diagnosis(max(found.grade, Grade.DEGRADED), problems)
        return found

    def own_problems(self) -> list[str]:
        """What is wrong with the machine, or what a person wrote, rather than with a unit."""
        return [*self._disk_problems(), *(self._files.problems if self._files is not None else ())]

    def _disk_problems(self) -> list[str]:
        try:
            disk = os.statvfs(self._disk)
        except OSError as error:
            return [f"{self._disk}: {error.strerror}"]
        free = disk.f_bavail * disk.f_frsize
        if free < self.plan.min_disk_free:
            return [f"{free >> 20} MiB free in {self._disk}, want {self.plan.min_disk_free >> 20}"]
        return []

    def look_at_disk(self) -> None:
        """Log that the disk runs full, or has room again."""
        problems = self._disk_problems()
        if problems and not self._told:
            log.warning("%s", "; ".join(problems), extra=event(Event.DISK_LOW))
        elif self._told and not problems:
            log.info("%s has room again", self._disk, extra=event(Event.DISK_HAS_ROOM))
        self._told = problems

    async def check_all(self) -> None:
        """Check every serving unit now, and the configuration files."""
        serving = [s for s in self._manager.units.values() if s.unit.state in SERVING]
        looking = [self._files.look()] if self._files is not None else []
        await asyncio.gather(*looking, *(self._check_once(supervised) for supervised in serving))
        self._tell()

    async def check(self, supervised: Supervised) -> None:
        """Ask one worker, within the deadline, and measure it."""
        await self._check_once(supervised)
        self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    async def _check_once(self, supervised: Supervised) -> None:
        """One check of a worker at a time."""
        if supervised.name in self._checking:
            return
        self._checking.add(supervised.name)
        try:
            await self._check(supervised)
        finally:
            self._checking.discard(supervised.name)

    async def _check(self, supervised: Supervised) -> None:
        pid = supervised.unit.pid
        previous = self.checkup(supervised)
        try:
            async with asyncio.timeout(self.plan.timeout):
                session = await self.connected(supervised.name)
                asked = self._loop.time()
                answer = await proxy(HealthCheck, session).check()  # type: ignore[type-abstract]
            newest = Checkup(pid, answer=believed(answer), took=self._loop.time() - asked)
        except (TimeoutError, CallTimeout):
            newest = self._unanswered(previous, f"no answer within {self.plan.timeout:g} s")
        except (OSError, RpcError) as error:
            newest = self._unanswered(previous, said(str(error)))
        if newest.failures:
            self._drop(supervised.name)
        newest = self._measured(supervised.plan.limits, previous, newest)
        if supervised.unit.pid == pid:
            self._checkups[supervised.name] = newest
            self._log(supervised.name, previous, newest)

    def _unanswered(self, previous: Checkup, error: str) -> Checkup:
        return replace(previous, failures=previous.failures + 1, error=error, took=None)

    def _measured(self, limits: Limits, previous: Checkup, newest: Checkup) -> Checkup:
        """With what it uses. Where nothing depends on that its word is good enough: to look takes as long as to ask."""
        now = self._loop.time()
        used = (None if limits != Limits() else reported(newest.pid, newest)) or usage(newest.pid, newest)
        percent = None
        if used is not None and previous.resources is not None and previous.at is not None and now > previous.at:
            percent = max(0.0, 100 * (used.cpu - previous.resources.cpu) / (now - previous.at))
        return replace(newest, at=now, resources=used, cpu_percent=percent)

    def _log(self, name: str, previous: Checkup, newest: Checkup) -> None:
        """Only what is new: a unit that is unwell for a day fills no log."""
        if newest.failures and not previous.failures:
            about = event(Event.HEALTH_ALARM, unit=name, pid=newest.pid)
            log.warning("%s: health check failed: %s", name, newest.error, extra=about)
        elif previous.failures and not newest.failures:
            about = event(Event.HEALTH_RECOVERED, unit=name, pid=newest.pid)
            log.info("%s: answers health checks again", name, extra=about)

    async def connected(self, name: str) -> Session:
        """The kept connection to that worker, made anew where it ended. Raises OSError, RpcError or TimeoutError."""
        if self._manager.units[name].unit.state not in SERVING:
            raise ConnectionError(f"the {name} is {self._manager.units[name].unit.state}")
        async with self._connecting.setdefault(name, asyncio.Lock()):
            session = self._sessions.get(name)
            if session is None or session.closed.done():
                session = await connect(
                    self._sockets[name], hello=self._hello, deadline=self.plan.timeout, limit=MAX_FROM_WORKER
                )
                self._sessions[name] = session
            return session

    def _drop(self, name: str) -> None:
        session = self._sessions.pop(name, None)
        if session is not None:
            session.abort()

    def _changed(self, supervised: Supervised, before: Unit) -> None:
        """A process that just became ready is asked at once; one that ended takes its connection along."""
        if supervised.unit.pid != before.pid:
            self._drop(supervised.name)
        if supervised.unit.state in SERVING and before.state not in SERVING and self.plan.interval > 0:
            self._run(self.check(supervised))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.plan.interval > 0:
            self._timer = self._loop.call_later(self.plan.interval, self._due)

    def _due(self) -> None:
        self._arm()
        self.look_at_disk()
        for listener in self._rounds:
            listener()
        self._run(self.check_all())
