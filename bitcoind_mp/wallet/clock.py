"""The node's clock as the wallet knows it: mock time where the node has one, so that both go by the same time."""

from collections.abc import Callable

#: A node's clock this many seconds from ours is a mock clock, which stands still.
_TOLERANCE = 5


class NodeClock:
    """Seconds since 1970. ``wall`` is this machine's clock."""

    def __init__(self, wall: Callable[[], float], mock: int = 0) -> None:
        self._wall = wall
        self._mock = mock

    def observe(self, clock: int) -> None:
        """What the node said its clock shows."""
        self._mock = clock if abs(clock - self._wall()) > _TOLERANCE else 0

    def now(self) -> int:
        """The time."""
        return self._mock or int(self._wall())
