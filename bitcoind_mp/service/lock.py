"""One flock on a file of a directory says who owns it; the file holds the owner's pid.

The lock decides, not the pid in the file and not whether somebody answers on a socket: the kernel gives it back when
the holder dies, however it dies. Take it before the socket is probed and bound (``ipc/wire/unix.py``).
"""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from bitcoind_mp.interfaces.errors import ExitStatus, FatalError, status_of_os_error
from bitcoind_mp.interfaces.obstacle import Obstacle

_PAUSE = 0.05


class DirectoryLock:
    """A lock that is held, until `release` or the process's end. Inherited by no child (close-on-exec)."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @property
    def descriptor(self) -> int:
        """What holds the lock: whoever inherits it holds it too."""
        return self._descriptor

    def release(self) -> None:
        """Give it back. The file stays: to unlink it would let two processes lock two files of one name."""
        if self._descriptor >= 0:
            with suppress(
                OSError
            ):  # a disk that has become read-only: it is given back all the same, its pid left there
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1


def acquire(path: Path, *, program: str = "", wait: float = 0.0) -> DirectoryLock:
    """Lock ``path`` (made if absent), trying for ``wait`` seconds.

    Raises:
        FatalError: LOCKED where another process holds it, which is named; OS_ERROR, DISK_FULL where it can't be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        why = f"Could not open the lock {path}: {error.strerror}."
        raise FatalError(why, status=status_of_os_error(error)) from error
    end = time.monotonic() + wait
    while not _locked(descriptor):
        if time.monotonic() >= end:
            holder = _holder(descriptor)
            os.close(descriptor)
            who = program or "Another process"
            raise FatalError(
                f"{who} is already running on {path.parent}{holder}.",
                hint="Stop it first, or choose another -datadir.",
                status=ExitStatus.LOCKED,
                obstacle=Obstacle("lock", str(path)),
            )
        time.sleep(_PAUSE)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        pass  # a full disk: the lock is ours all the same, only unnamed
    return DirectoryLock(path, descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> str:
    text = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    return f" (pid {text})" if text.isdecimal() else ""
