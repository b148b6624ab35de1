"""When an unlocked wallet locks itself again (``walletpassphrase``'s timeout)."""

import asyncio
from collections.abc import Callable

from .keystore import KeyStore


class Relock:
    """The timer of one wallet. ``now`` is the node's clock, for what is told to people; the timer itself is real."""

    def __init__(self, keys: KeyStore, now: Callable[[], int]) -> None:
        self._keys = keys
        self._now = now
        self._timer: asyncio.TimerHandle | None = None
        self.until = 0
        """When it locks itself (seconds since 1970), 0 while it is locked."""

    def start(self, seconds: int) -> None:
        """It was unlocked: lock it again after that time, unless it is unlocked anew before."""
        self._cancel()
        self.until = self._now() + seconds
        self._timer = asyncio.get_running_loop().call_later(seconds, self.lock)

    def lock(self) -> None:
        """Lock it now."""
        self._cancel()
        self.until = 0
        self._keys.lock()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
