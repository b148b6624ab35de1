"""Unix stream sockets: binding, probing, connecting, and paths longer than the kernel takes.

A socket's path fits 107 bytes (unix(7)). A longer one is reached through its directory's descriptor:
``/proc/self/fd/N/name``.
"""

import contextlib
import os
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

from bitcoind_mp.interfaces.errors import ExitStatus, FatalError, status_of_os_error
from bitcoind_mp.ipc.limits import LISTEN_BACKLOG

LONGEST_PATH = 107


@contextlib.contextmanager
def short_address(path: str | Path) -> Iterator[str]:
    """An address for bind and connect that the kernel takes, good while the context lasts."""
    text = os.fspath(path)
    if len(os.fsencode(text)) <= LONGEST_PATH:
        yield text
        return
    directory, name = os.path.split(text)
    descriptor = os.open(directory or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)


def connect_socket(path: str | Path, *, timeout: float | None = None) -> socket.socket:
    """A connected stream socket, in blocking mode with that timeout; waits for room in the server's queue.

    Raises:
        BlockingIOError: the queue stayed full for ``timeout`` seconds.
        OSError: nobody listens there.
    """
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if timeout == 0:
            connected.setblocking(False)
        elif timeout is not None:
            # A socket with a timeout doesn't block in connect(2), and select(2) doesn't know of a full queue.
            limit = struct.pack("@ll", int(timeout), int(timeout % 1 * 1_000_000) or 1)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        with short_address(path) as address:
            connected.connect(address)
        connected.settimeout(timeout)
    except BaseException:
        connected.close()
        raise
    return connected


def is_answered(path: str | Path) -> bool:
    """Whether somebody listens there: a connection is accepted or queued, or the queue is full."""
    try:
        connect_socket(path, timeout=0).close()
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True


def bind_listener(path: str | Path, *, mode: int = 0o600) -> socket.socket:
    """Bind and listen, for a worker that runs alone, and for the supervisor. Take the process's lock first.

    A socket on which somebody answers is left alone; a stale one is replaced; what is no socket is left alone.

    Raises:
        FatalError: PORT_TAKEN where somebody listens, CONFIG where the path can't be a socket's, DISK_FULL, OS_ERROR.
    """
    text = os.fspath(path)
    _make_way(text)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o777 & ~mode)
    try:
        with short_address(text) as address:
            listening.bind(address)
        listening.listen(LISTEN_BACKLOG)
    except OSError as error:
        listening.close()
        raise _cannot_listen(text, error) from error
    finally:
        os.umask(mask)
    return listening


def _make_way(text: str) -> None:
    try:
        found = Path(text).lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise _cannot_listen(text, error) from error
    if not stat.S_ISSOCK(found.st_mode):
        raise FatalError(f"{text} exists and is no socket.", hint="Move it away.", status=ExitStatus.CONFIG)
    if is_answered(text):
        raise FatalError(
            f"Another process answers on {text}.", hint="Stop it, or choose another path.", status=ExitStatus.PORT_TAKEN
        )
    with contextlib.suppress(FileNotFoundError):
        Path(text).unlink()


def _cannot_listen(text: str, error: OSError) -> FatalError:
    return FatalError(f"Could not listen on {text}: {error.strerror}.", status=status_of_os_error(error))
