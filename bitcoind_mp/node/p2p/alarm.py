"""Something to be done when the node's clock says so, be that the system's time or a test's (``setmocktime``)."""

import asyncio
from collections.abc import Callable

from bitcoind_mp.node.chain.clock import Clock


class Alarm:
    """Rings once at the time it was last set to. Lives in the loop.

    While the clock is stopped at a mock time nothing is waited for: it rings when the clock is put to the time or past
    it, as Bitcoin Core's waits do.

    Args:
        clock: the node's.
        ring: called in the loop.
    """

    def __init__(self, clock: Clock, ring: Callable[[], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._due: float | None = None
        self._handle: asyncio.Handle | None = None
        clock.watch(self._clock_was_put)

    def set(self, due: float | None) -> None:
        """Ring at ``due``, seconds since 1970 by the node's clock, instead of what was set before; None: not at all."""
        if due == self._due and self._handle is not None:
            return
        self._forget()
        self._due = due
        if due is None:
            return
        loop = asyncio.get_running_loop()
        wait = due - self._clock.exact()
        if wait <= 0:
            self._handle = loop.call_soon(self._rings)
        elif not self._clock.mock:
            self._handle = loop.call_later(wait, self._rings)

    def close(self) -> None:
        """Ring no more."""
        self.set(None)

    def _clock_was_put(self, mock: int) -> None:
        due = self._due
        if due is not None:
            self._forget()
            self.set(due)

    def _rings(self) -> None:
        due, self._due, self._handle = self._due, None, None
        if due is not None and due > self._clock.exact():
            self.set(due)  # the loop's clock is a little ahead of it
        else:
            self._ring()

    def _forget(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._due = None
