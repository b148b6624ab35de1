"""Takes connections as they come, and loses none: what was taken is in good hands before its taker has closed.

(asyncio's own server lets go of a connection that it has accepted where it is closed in the turn between.)
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger("bitcoind_mp.ipc")

#: Seconds without accepting after that failed.
_PAUSE = 1.0
#: Connections taken at one wake-up, before anything else has its turn.
_AT_ONCE = 64


def accepting(listening: socket.socket) -> Callable[[], socket.socket]:
    """How to take the next one from a listening socket."""
    return lambda: listening.accept()[0]


class Acceptor:
    """``take`` gives the next connection that waits at ``place``, None for what is none; it raises OSError, or EOFError
    where nobody can come any more. ``admit`` is run for each, and sees to it that it is closed. ``place`` stays the
    caller's."""

    def __init__(
        self,
        place: socket.socket,
        take: Callable[[], socket.socket | None],
        admit: Callable[[socket.socket], Coroutine[Any, Any, None]],
    ) -> None:
        self._place = place
        self._take = take
        self._admit = admit
        self._loop = asyncio.get_running_loop()
        self._admitting: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Begin to accept; returns at once."""
        self._place.setblocking(False)
        self._loop.add_reader(self._place, self._come)

    def admit(self, connected: socket.socket) -> None:
        """Have this one admitted, which was taken elsewhere; returns at once."""
        task = self._loop.create_task(self._admit(connected))
        self._admitting.add(task)
        task.add_done_callback(self._admitting.discard)

    async def close(self) -> None:
        """Take no more, and wait until those are admitted that were taken. Who comes now waits for the next process."""
        if self._place.fileno() >= 0:
            self._loop.remove_reader(self._place)
        if self._pause is not None:
            self._pause.cancel()
        await asyncio.gather(*self._admitting, return_exceptions=True)

    def _come(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connected = self._take()
            except (BlockingIOError, ConnectionError):
                return
            except EOFError:
                self._loop.remove_reader(self._place)
                return
            except OSError as error:  # no descriptor left: it would be tried again at once, for ever
                log.error("no connection can be taken for a second: %s", error)
                self._loop.remove_reader(self._place)
                self._pause = self._loop.call_later(_PAUSE, self.open)
                return
            if connected is not None:
                self.admit(connected)
