"""The node's clock as the wallet knows it: mock time where the node has one, so that both go by the same time."""

import asyncio
from collections.abc import Callable

from bitcoind_mp.interfaces.chain import ChainStatus


class NodeClock:
    """Seconds since 1970. ``wall`` is this machine's clock; ``mock`` a time that it stands at to begin with."""

    def __init__(self, wall: Callable[[], float], mock: int = 0) -> None:
        self._wall = wall
        self._mock = mock
        self.put = asyncio.Event()
        """Set whenever the clock turns out to stand, to stand elsewhere or to go again."""

    def observe(self, status: ChainStatus) -> None:
        """What the node said of its clock."""
        self.set(status.clock, stands=status.clock_stands)

    def set(self, clock: int, *, stands: bool) -> None:
        """The node's clock was put to ``clock``."""
        before, self._mock = self._mock, clock if stands else 0
        if self._mock != before:
            self.put.set()

    def now(self) -> int:
        """The time."""
        return self._mock or int(self._wall())
