"""What the supervisor tells on its own: its units' states to whoever subscribed, and their logs to whoever follows.

What is told belongs here; how it crosses is ``ipc/``'s.
"""

import asyncio
from typing import Any, Protocol

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.logs import Logs, LogSink

from .checks.health import HealthMonitor
from .control import find_unit
from .following import Following, OnDisconnect
from .manager import Manager
from .output.logs import UnitLog
from .report import WallClock, unit_line
from .supervised import Supervised
from .units.unit import Unit

#: Lines that a follower may be behind before it misses some.
_MOST_WAITING = 10_000
_LINES_AT_ONCE = 500


class Publishes(Protocol):
    """Where topics are told."""

    def publish(self, topic: str, state: dict[str, Any]) -> None: ...


class LogStreams(Logs):
    """`logs.follow`: each follower has a task that tells it what it hasn't been told. ``own_log`` is the
    supervisor's, followed by its name alone."""

    def __init__(self, manager: Manager, own_log: UnitLog, on_disconnect: OnDisconnect) -> None:
        self._manager = manager
        self._own_log = own_log
        self._following = Following(on_disconnect)

    async def follow(self, unit: str, lines: int, sink: LogSink) -> None:
        logs = [supervised.log for supervised in self._manager.units.values()]
        named = find_unit(self._manager, unit)
        name = named.name if named is not None else unit
        chosen = [log for log in (*logs, self._own_log) if log.unit == name] if unit else logs
        if not chosen:
            known = " or ".join(self._manager.units)
            raise RpcError(RpcCode.INVALID_PARAMETER, f"There is no unit named {unit!r}: expected {known}")
        for log in chosen:
            self._start(log, lines, sink)

    def _start(self, log: UnitLog, lines: int, sink: LogSink) -> None:
        waiting = _Waiting(log.tail(lines))
        self._following.begin(waiting.tell(log.unit, sink), sink, log.follow(waiting.add))

    async def close(self) -> None:
        """Tell nobody any more."""
        await self._following.close()


class _Waiting:
    """Lines on their way to one follower."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._missed = 0
        self._more = asyncio.Event()
        self._more.set()

    def add(self, lines: list[str]) -> None:
        room = max(0, _MOST_WAITING - len(self._lines))
        self._missed += max(0, len(lines) - room)
        self._lines.extend(lines[:room])
        self._more.set()

    async def tell(self, unit: str, sink: LogSink) -> None:
        while True:
            await self._more.wait()
            batch, self._lines = self._lines[:_LINES_AT_ONCE], self._lines[_LINES_AT_ONCE:]
            if not self._lines and self._missed:
                batch.append(f"[{self._missed} lines missed: they came faster than they were read]")
                self._missed = 0
            if not self._lines:
                self._more.clear()
            if batch:
                await sink.lines(unit, batch)


class UnitTopic:
    """Keeps the topic ``unit`` true: the units in brief, told to subscribers at each change."""

    def __init__(self, manager: Manager, health: HealthMonitor, publisher: Publishes, clock: WallClock) -> None:
        self._manager = manager
        self._health = health
        self._publisher = publisher
        self._clock = clock
        manager.on_change(self._changed)
        health.on_check(self.publish)

    def _changed(self, supervised: Supervised, before: Unit) -> None:
        self.publish()

    def publish(self) -> None:
        """Tell the present state."""
        self._clock.adjust(asyncio.get_running_loop().time())
        lines = [
            unit_line(supervised, self._health.diagnosis(supervised), self._clock)
            for supervised in self._manager.units.values()
        ]
        self._publisher.publish("unit", {"units": lines})
