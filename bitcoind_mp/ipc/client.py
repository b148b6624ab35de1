"""Connecting to a server's socket."""

import socket
from pathlib import Path

from ..interfaces.init import Hello
from .session import Session


async def connect(
    path: str | Path, *, hello: Hello | None = None, deadline: float = 5.0, timeout: float = 30.0
) -> Session:
    """Connect, and with ``hello`` shake hands. ``deadline`` in seconds for both, ``timeout`` is each later call's.

    Raises:
        OSError: nobody listens there (`FileNotFoundError`, `ConnectionRefusedError`, `PermissionError`).
        RpcError: the handshake was refused; the message says which side must change.
        Disconnected, CallTimeout: the server went away, or did not answer in time.
    """
    raise NotImplementedError


async def attach(
    connected: socket.socket, *, hello: Hello | None = None, deadline: float = 5.0, timeout: float = 30.0
) -> Session:
    """The same over a socket that is connected already."""
    raise NotImplementedError
