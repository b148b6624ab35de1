"""Unix stream sockets: binding, probing, connecting, and paths longer than the kernel takes."""

import socket
from pathlib import Path


def bind_listener(path: Path, *, mode: int = 0o600) -> socket.socket:
    """Bind and listen for a worker that runs alone. Take the process's lock first: a socket on which somebody
    answers is left alone (FatalError, TRY_AGAIN), a stale one is unlinked."""
    raise NotImplementedError


def connect_socket(path: str | Path, *, timeout: float | None = None) -> socket.socket:
    """A connected stream socket, paths over 107 bytes through /proc/self/fd."""
    raise NotImplementedError
