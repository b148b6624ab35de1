"""The node's clock: the system's, or the mock time that a test set. Nothing else in the domain reads the time."""

import time
from collections.abc import Callable


class Clock:
    """Seconds since 1970, mockable as Core's ``NodeClock`` (``setmocktime``, ``-mocktime``)."""

    def __init__(self, mock: int = 0) -> None:
        self._mock = mock
        self._watchers: list[Callable[[int], None]] = []

    def now(self) -> int:
        """The time that consensus, expiry and the answers' ``time`` fields go by, whole seconds."""
        return self._mock or int(time.time())

    def exact(self) -> float:
        """The same with its fraction, where there is one: what waits among peers are reckoned by."""
        return float(self._mock) or time.time()

    @property
    def mock(self) -> int:
        """The mock time, 0 where there is none."""
        return self._mock

    def set_mock(self, timestamp: int) -> None:
        """Stop the clock at ``timestamp`` (seconds since 1970); 0 lets it run again. The kernel's clock follows."""
        self._mock = timestamp
        for watcher in self._watchers:
            watcher(timestamp)

    def watch(self, watcher: Callable[[int], None]) -> None:
        """Call ``watcher(mock)`` at each `set_mock`."""
        self._watchers.append(watcher)
