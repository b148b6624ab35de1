"""A server: objects whose methods carry ``@command`` or ``@interface_method``, answered on Unix sockets."""

import socket
from collections.abc import Iterable
from typing import Any

from ..interfaces.init import Hello
from .credentials import AccessRule
from .session import Session


class Server:
    """Answers commands and interface methods on listening sockets.

    ``objects`` are instances whose methods are declared; more may follow with `add` (a worker that serves while
    it still loads). ``hello`` is what `init.handshake` answers. While `warmup` holds a text, commands are refused
    with Core's -28 and that text; interface methods are answered all the same.
    """

    warmup: str = ""

    def __init__(
        self, objects: Iterable[object] = (), *, hello: Hello, access: AccessRule | None = None, warmup: str = ""
    ) -> None:
        raise NotImplementedError

    def add(self, *objects: object) -> None:
        """Serve these too. Raises ValueError where a name is taken."""
        raise NotImplementedError

    @property
    def sessions(self) -> list[Session]:
        """The connections that are open."""
        raise NotImplementedError

    async def serve(self, listening: socket.socket) -> None:
        """Start to accept on a bound socket; returns at once. May be called for several sockets."""
        raise NotImplementedError

    async def adopt(self, connected: socket.socket) -> Session:
        """Serve one connection that exists already (a socketpair's end)."""
        raise NotImplementedError

    def manifest(self) -> dict[str, Any]:
        """The table of commands (`manifest`), to be written with `manifest.write(path, server.manifest())`."""
        raise NotImplementedError

    async def close(self, deadline: float = 5.0) -> None:
        """Stop accepting, cancel what hasn't committed, wait up to ``deadline`` seconds for the rest, disconnect."""
        raise NotImplementedError
