"""When an unlocked wallet locks itself again (``walletpassphrase``'s timeout)."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .keys import Keys


class Relock:
    """The timer of one wallet. ``now`` is the node's clock, for what is told to people; the timer itself is real."""

    def __init__(self, keys: Keys, now: Callable[[], int]) -> None:
        self._keys = keys
        self._now = now
        self._timer: asyncio.TimerHandle | None = None
        self._holders = 0
        self._is_due = False
        self.until = 0
        """When it locks itself (seconds since 1970), 0 while it is locked."""
        self.on_lock: Callable[[], None] = lambda: None
        """Called when it was locked, by its time or by somebody; not by the process's end."""

    def start(self, seconds: int) -> None:
        """It was unlocked: lock it again after that time, unless it is unlocked anew before."""
        self._cancel()
        self.until = self._now() + seconds
        self._timer = asyncio.get_running_loop().call_later(seconds, self._expire)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Put the end of the time off until this is left: a scan needs the keys, or it misses hardened addresses."""
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1
            if self._is_due and not self._holders:
                self.lock()

    def _expire(self) -> None:
        if self._holders:
            self._is_due = True
        else:
            self.lock()

    def lock(self) -> None:
        """Lock it now."""
        self.close()
        self.on_lock()

    def close(self) -> None:
        """Forget the key: the wallet is let go."""
        self._cancel()
        self.until = 0
        self._keys.lock()

    def _cancel(self) -> None:
        self._is_due = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
