"""A listening socket where not everybody gets the same answers: who comes is looked at, and led to the server for it.

Who somebody is, and which server is whose, is for whoever made the door to know.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress

from bitcoind_mp.interfaces.errors import RpcCode
from bitcoind_mp.ipc.wire.jsonrpc import error_line

from .server import Server

log = logging.getLogger("bitcoind_mp")

#: Seconds without accepting after that failed.
_PAUSE = 1.0


class Door:
    """Accepts on the socket, which stays the caller's, and hands each connection to the server that ``chosen`` names
    for it; a text is what a caller is turned away with. ``chosen`` raises OSError of one that can't be told."""

    def __init__(self, listening: socket.socket, chosen: Callable[[socket.socket], Server | str]) -> None:
        self._listening = listening
        self._chosen = chosen
        self._loop = asyncio.get_running_loop()
        self._adopting: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Begin to accept; returns at once."""
        self._listening.setblocking(False)
        self._loop.add_reader(self._listening, self._accept)

    def close(self) -> None:
        """Accept no more: whoever comes waits in the socket's queue."""
        if self._listening.fileno() >= 0:
            self._loop.remove_reader(self._listening)
        if self._pause is not None:
            self._pause.cancel()

    def _accept(self) -> None:
        try:
            connected, _ = self._listening.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:  # no descriptor left: the connection would be tried again at once, for ever
            log.error("no connection can be taken for a second: %s", error)
            self._loop.remove_reader(self._listening)
            self._pause = self._loop.call_later(_PAUSE, self.open)
            return
        self.admit(connected)

    def admit(self, connected: socket.socket) -> None:
        """Have this connection served, which is accepted already; returns at once."""
        try:
            server = self._chosen(connected)
        except OSError as error:
            log.debug("a connection whose peer could not be told was refused: %s", error)
            connected.close()
            return
        if isinstance(server, str):
            _turn_away(connected, server)
            return
        task = self._loop.create_task(_adopt(server, connected))
        self._adopting.add(task)
        task.add_done_callback(self._adopting.discard)


async def _adopt(server: Server, connected: socket.socket) -> None:
    try:
        with suppress(PermissionError):  # another user: the server has told them, and the log
            await server.adopt(connected)
    except OSError as error:
        log.debug("a connection was gone before it was taken: %s", error)
        connected.close()


def _turn_away(connected: socket.socket, why: str) -> None:
    connected.setblocking(False)
    with connected, suppress(OSError):
        connected.send(error_line(RpcCode.INVALID_REQUEST, why))
