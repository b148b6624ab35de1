"""Where wallets come in, and nobody else: over a channel that the supervisor gave to the two processes alone, or, where
there is none, by a socket apart from the owner's.

What comes in here has the wallet's methods. What doesn't belong: who the owner is (``door.py``).
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

from bitcoind_mp.ipc.credentials import peer_credentials
from bitcoind_mp.ipc.passing import is_channel, take_from

log = logging.getLogger("bitcoind_mp")

#: Seconds without accepting after that failed.
_PAUSE = 1.0


class Entrance:
    """Takes connections and hands each to ``serve`` (as `Server.adopt`). ``known`` is told the pid of each process
    that came in: whoever is a wallet once is no owner afterwards."""

    def __init__(
        self,
        listening: socket.socket,
        serve: Callable[[socket.socket], Awaitable[object]],
        known: Callable[[int], None],
    ) -> None:
        self._listening = listening
        self._take = self._passed if is_channel(listening) else self._accepted
        self._serve = serve
        self._known = known
        self._loop = asyncio.get_running_loop()
        self._adopting: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Begin to accept; returns at once."""
        self._listening.setblocking(False)
        self._loop.add_reader(self._listening, self._come)

    def close(self) -> None:
        """Accept no more. What comes now waits for the next process."""
        self._loop.remove_reader(self._listening)
        if self._pause is not None:
            self._pause.cancel()

    def _come(self) -> None:
        try:
            connected = self._take()
        except (BlockingIOError, ConnectionError):
            return
        except EOFError:  # nobody has the other end: our supervisor and the wallet are gone
            self._loop.remove_reader(self._listening)
            return
        except OSError as error:  # no descriptor left: it would be tried again at once, for ever
            log.error("no connection of a wallet can be taken for a second: %s", error)
            self._loop.remove_reader(self._listening)
            self._pause = self._loop.call_later(_PAUSE, self.open)
            return
        if connected is not None:
            task = self._loop.create_task(self._adopt(connected))
            self._adopting.add(task)
            task.add_done_callback(self._adopting.discard)

    def _accepted(self) -> socket.socket:
        return self._listening.accept()[0]

    def _passed(self) -> socket.socket | None:
        return take_from(self._listening)

    async def _adopt(self, connected: socket.socket) -> None:
        try:
            self._known(peer_credentials(connected).pid)
            with suppress(PermissionError):  # another user: the server has told them, and the log
                await self._serve(connected)
        except OSError as error:
            log.debug("a wallet's connection was gone before it was taken: %s", error)
            connected.close()
