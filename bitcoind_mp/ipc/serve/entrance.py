"""Where some callers come in, and nobody else: over a channel that the supervisor gave to the two sides alone
(``passing.py``), or by a listening socket of their own.

What they may call there is the affair of whoever serves them.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from functools import partial

from bitcoind_mp.ipc.session import Session
from bitcoind_mp.ipc.wire.credentials import peer_credentials
from bitcoind_mp.ipc.wire.passing import is_channel, take_from

from .acceptor import Acceptor, accepting
from .server import Server

log = logging.getLogger("bitcoind_mp.ipc")

#: Connections at once. Each wallet process has one, and a few that ended may not have been noticed yet.
_MOST = 1500
#: Of one process. One more ends its own, and nobody else's.
_MOST_OF_ONE = 16


#: What serves one connection, and whom to tell when that has ended.
Served = tuple[Server, Callable[[], None]]


def by(server: Server) -> Callable[[], Served]:
    """All connections by the same one."""
    return lambda: (server, lambda: None)


class Entrance:
    """Takes connections, ``most`` at once; for each, ``make`` gives what is to serve it. ``known`` is told the pid of
    each process that came in."""

    def __init__(
        self,
        listening: socket.socket,
        make: Callable[[], Served],
        known: Callable[[int], None] = lambda _: None,
        *,
        most: int = _MOST,
    ) -> None:
        take = partial(take_from, listening) if is_channel(listening) else accepting(listening)
        self._acceptor = Acceptor(listening, take, self._adopt)
        self._make = make
        self._most = most
        self._serving: dict[Session, tuple[Server, int]] = {}
        self._known = known

    @property
    def sessions(self) -> list[Session]:
        """The connections that are served."""
        return list(self._serving)

    def open(self) -> None:
        """Begin to accept; returns at once."""
        self._acceptor.open()

    async def close(self) -> None:
        """Accept no more. What comes now waits for the next process."""
        await self._acceptor.close()

    async def end(self, deadline: float) -> None:
        """End the connections, with up to ``deadline`` seconds for what is under way."""
        servers = {server for server, _ in self._serving.values()}
        await asyncio.gather(*(server.close(deadline) for server in servers))

    async def _adopt(self, connected: socket.socket) -> None:
        try:
            pid = peer_credentials(connected).pid
            self._known(pid)
            await self._serve(connected, pid)
        except PermissionError:  # another user: the server has told them, and the log
            return
        except OSError as error:
            log.debug("a connection was gone before it was taken: %s", error)
            connected.close()

    async def _serve(self, connected: socket.socket, pid: int) -> None:
        its = [session for session, (_, whose) in self._serving.items() if whose == pid]
        if len(its) >= _MOST_OF_ONE or len(self._serving) >= self._most:
            log.warning("%d connections came in, %d of pid %d: one is cut", len(self._serving), len(its), pid)
            silent = min(its or self._serving, key=lambda session: (session.peer is not None, session.last_heard))
            del self._serving[silent]
            silent.abort()
        server, left = self._make()
        session = await server.adopt(connected)
        self._serving[session] = server, pid
        session.on_end(lambda: self._ended(session, left))

    def _ended(self, session: Session, left: Callable[[], None]) -> None:
        self._serving.pop(session, None)
        left()
