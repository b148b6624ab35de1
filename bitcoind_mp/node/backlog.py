"""How much followers are told ahead of their acknowledgements: each (`Window`), and all together (`Backlog`).

What is told is held in memory until it is acknowledged, several times its size: in hexadecimal, and as the line that
waits for its reader. A few hundred wallets that catch up at once would fill the machine, and one that never
acknowledges anything would keep its part for ever. What a follower is told, and when, is ``streams.py``'s.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

log = logging.getLogger("bitcoind_mp.feed")

_WINDOW_CALLS = 16
_WINDOW_BYTES = 8 << 20
"""How far ahead of its acknowledgements a follower is told: so many calls, or so many bytes of blocks."""
_BACKLOG_BYTES = 32 << 20
"""And all followers together: four such windows."""
_PATIENCE = 60.0
"""Seconds in which a follower acknowledges something while others wait for room, or is given up: no longer than a
connection may leave its replies unread (``ipc/limits.py``)."""


class Backlog:
    """The room that all followers share, ``most`` bytes: whoever finds none waits for its turn.

    While somebody waits, the follower that has owed an acknowledgement longest, and for more than ``patience`` seconds,
    is given up, and another after it as long as that is so.
    """

    def __init__(self, most: int = _BACKLOG_BYTES, patience: float = _PATIENCE) -> None:
        self.used = 0
        self._most = most
        self._patience = patience
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()
        self._windows: set[Window] = set()
        self._timer: asyncio.TimerHandle | None = None

    def join(self, window: "Window") -> None:
        """That one's follower owes an acknowledgement."""
        self._windows.add(window)

    def leave(self, window: "Window") -> None:
        """It owes none any more."""
        self._windows.discard(window)

    async def take(self, size: int) -> None:
        """Wait for so many bytes; for more than there are in all, until nobody has any."""
        if not self._waiting and self._has(size):
            self.used += size
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, size))
        self._watch()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting.remove((turn, size))
                self._next()
            else:
                self.give(size)
            raise

    def add(self, size: int) -> None:
        """Take them without waiting: whoever does has room that it gives back."""
        self.used += size

    def give(self, size: int) -> None:
        """Give back so many."""
        self.used -= size
        self._next()

    def _has(self, size: int) -> bool:
        return not self.used or self.used + size <= self._most

    def _next(self) -> None:
        while self._waiting and self._has(self._waiting[0][1]):
            turn, size = self._waiting.popleft()
            if not turn.done():
                self.used += size
                turn.set_result(None)

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._patience / 4, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        now = asyncio.get_running_loop().time()
        oldest = min(self._windows, key=lambda window: window.owes_since, default=None)
        if oldest is not None and now - oldest.owes_since >= self._patience:
            log.warning("A follower that acknowledges nothing, while others wait, is given up")
            oldest.give_up()
        self._watch()


class Window:
    """Calls under way to one follower, oldest first; `admit` and `room` wait until there may be one more. A call that
    fails makes them and `drain` raise what it raised, and ``wake`` is called. ``give_up`` is called where the follower
    keeps the others waiting."""

    def __init__(self, wake: Callable[[], None], backlog: Backlog, give_up: Callable[[], None]) -> None:
        self.give_up = give_up
        self.owes_since = 0.0
        """When the follower acknowledged something last, or was told the first that it hasn't; by the loop's clock."""
        self._wake = wake
        self._backlog = backlog
        self._loop = asyncio.get_running_loop()
        self._calls: deque[tuple[asyncio.Task[None], int]] = deque()
        self._bytes = 0
        self._owed = 0

    @asynccontextmanager
    async def room(self, size: int) -> AsyncIterator[None]:
        """Wait for room for a call with up to ``size`` bytes, which is then sent: this follower's first, so that nobody
        waits for one that owes too much."""
        await self.admit(size)
        await self._backlog.take(size)
        try:
            yield
        finally:
            self._backlog.give(size)

    async def admit(self, size: int) -> None:
        """Wait until this follower owes little enough to be sent ``size`` bytes; one call alone always may be."""
        while self._calls and (len(self._calls) >= _WINDOW_CALLS or self._bytes + size > _WINDOW_BYTES):
            await self._oldest()
        self.check()

    def send(self, call: Coroutine[Any, Any, None], size: int = 0) -> None:
        """Start a call. They reach the follower in the order they were started."""
        if not self._owed:
            self.owes_since = self._loop.time()
            self._backlog.join(self)
        self._owed += 1
        self._backlog.add(size)
        task = self._loop.create_task(call)
        task.add_done_callback(partial(self._ended, size))
        self._calls.append((task, size))
        self._bytes += size

    def _ended(self, size: int, task: asyncio.Task[None]) -> None:
        """Whoever looks is told what became of it; of one that was given up nobody wants to know, and no log."""
        self._owed -= 1
        self.owes_since = self._loop.time()
        if not self._owed:
            self._backlog.leave(self)
        self._backlog.give(size)
        if not task.cancelled():
            task.exception()
        self._wake()

    def check(self) -> None:
        """Forget the calls that have been answered; raise what one raised."""
        while self._calls and self._calls[0][0].done():
            task, size = self._calls.popleft()
            self._bytes -= size
            task.result()

    async def drain(self) -> None:
        """Wait until all are answered."""
        while self._calls:
            await self._oldest()

    def cancel(self) -> None:
        """Give up those under way."""
        for task, _ in self._calls:
            task.cancel()
        self._calls.clear()

    async def _oldest(self) -> None:
        task, size = self._calls[0]
        await task
        if self._calls and self._calls[0][0] is task:
            self._calls.popleft()
            self._bytes -= size
