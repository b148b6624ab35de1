"""Following a unit's log: what ``logs UNIT -f`` subscribes to at the supervisor."""

from abc import ABC, abstractmethod

from .command import interface_method


class LogSink(ABC):
    """The receiving end; sent as JSON-RPC notifications on the subscriber's connection."""

    @interface_method("log.lines", notification=True)
    @abstractmethod
    async def lines(self, unit: str, lines: list[str]) -> None:
        """The next lines of the unit's log, oldest first, without line ends."""


class Logs(ABC):
    """A server that has logs to follow."""

    @interface_method("logs.follow")
    @abstractmethod
    async def follow(self, unit: str, lines: int, sink: LogSink) -> None:
        """Tell ``sink`` the newest ``lines`` of that unit (empty: of every unit), then each one as it is written, until
        the connection ends. A follower that doesn't keep up misses lines, and is told how many."""
