"""The node's clock as the wallet knows it: mock time where the node has one, so that both go by the same time."""

from collections.abc import Callable

from bitcoind_mp.interfaces.chain import ChainStatus


class NodeClock:
    """Seconds since 1970. ``wall`` is this machine's clock; ``mock`` a time that it stands at to begin with."""

    def __init__(self, wall: Callable[[], float], mock: int = 0) -> None:
        self._wall = wall
        self._mock = mock

    def observe(self, status: ChainStatus) -> None:
        """What the node said of its clock."""
        self._mock = status.clock if status.clock_stands else 0

    def now(self) -> int:
        """The time."""
        return self._mock or int(self._wall())
