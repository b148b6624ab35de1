"""A listening socket where not everybody gets the same answers: who comes is looked at, and led to the server for it.

Who somebody is, and which server is whose, is for whoever made the door to know.
"""

import logging
import socket
from collections.abc import Callable
from contextlib import suppress

from bitcoind_mp.interfaces.errors import RpcCode
from bitcoind_mp.ipc.wire.jsonrpc import error_line

from .acceptor import Acceptor, accepting
from .server import Server

log = logging.getLogger("bitcoind_mp")


class Door:
    """Accepts on the socket, which stays the caller's, and hands each connection to the server that ``chosen`` names
    for it; a text is what a caller is turned away with. ``chosen`` raises OSError of one that can't be told."""

    def __init__(self, listening: socket.socket, chosen: Callable[[socket.socket], Server | str]) -> None:
        self._chosen = chosen
        self._acceptor = Acceptor(listening, accepting(listening), self._admit)

    def open(self) -> None:
        """Begin to accept; returns at once."""
        self._acceptor.open()

    def admit(self, connected: socket.socket) -> None:
        """Have this connection served, which is accepted already; returns at once."""
        self._acceptor.admit(connected)

    async def close(self) -> None:
        """Accept no more: whoever comes waits in the socket's queue."""
        await self._acceptor.close()

    async def _admit(self, connected: socket.socket) -> None:
        try:
            server = self._chosen(connected)
        except OSError as error:
            log.debug("a connection whose peer could not be told was refused: %s", error)
            connected.close()
            return
        if isinstance(server, str):
            _turn_away(connected, server)
        else:
            await server.admit(connected)


def _turn_away(connected: socket.socket, why: str) -> None:
    connected.setblocking(False)
    with connected, suppress(OSError):
        connected.send(error_line(RpcCode.INVALID_REQUEST, why))
