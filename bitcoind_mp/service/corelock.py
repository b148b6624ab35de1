"""Bitcoin Core's own locks on a data directory, so that Core and we never have it open together.

They are POSIX record locks (``src/util/fs.cpp``, ``FileLock``): closing *any* descriptor of the file drops what the
process holds of it, so this file alone opens them (and a supervisor, which holds none, in
``supervisor/processes/obstacles.py``).
The node holds them for its life. Whoever else is about to touch a file that is Core's too asks here first. That only
one of our nodes runs is another lock's business (``lock.py``).
"""

import contextlib
import fcntl
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from bitcoind_mp.interfaces.errors import ExitStatus, FatalError
from bitcoind_mp.interfaces.obstacle import Obstacle

_NAME = ".lock"
#: What our node writes its pid into, before it takes Core's locks.
_NODE = "node.lock"
#: struct flock of fcntl(2): type, whence, start, length, pid.
_FLOCK = struct.Struct("hhqqi4x")
#: Seconds for another process of ours that has a lock for a moment (`kept_out`), and between two attempts.
_PATIENCE, _PAUSE = 1.0, 0.05


class CoreLock:
    """``.lock`` in the network's directory and in ``blocks/``, held until `release`.

    Raises:
        FatalError: LOCKED, another program holds one of them.
    """

    def __init__(self, directory: Path) -> None:
        self._descriptors: list[int] = []
        for place in (directory, directory / "blocks"):
            place.mkdir(parents=True, exist_ok=True)
            self._take(place / _NAME)

    def _take(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._descriptors.append(descriptor)
        end = time.monotonic() + _PATIENCE
        while not _locked(descriptor):
            if time.monotonic() >= end:
                pid = _holder(descriptor) or 0
                self.release()
                raise _refusal(path, Obstacle("lock", str(path), pid))
            time.sleep(_PAUSE)

    def release(self) -> None:
        """Let the directory go. Harmless twice."""
        while self._descriptors:
            os.close(self._descriptors.pop())


def require_no_core(directory: Path) -> None:
    """That Bitcoin Core doesn't run on that network's directory. Leaves nothing there; for a process that has not
    taken the locks.

    Raises:
        FatalError: LOCKED, it does.
    """
    try:
        descriptor = os.open(directory / _NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # it was never there, or we couldn't touch anything anyway: whoever tries says why
        return
    try:
        pid = _holder(descriptor)
    finally:
        os.close(descriptor)
    _require_ours(directory, pid)


@contextlib.contextmanager
def kept_out(directory: Path) -> Iterator[None]:
    """Bitcoin Core doesn't run there, nor can it start meanwhile: by our node's lock, or else by its own, taken for
    that long. For a moment's work, in a process that has not taken the locks.

    Raises:
        FatalError: LOCKED, it runs.
    """
    try:
        descriptor = os.open(directory / _NAME, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:  # neither Core nor our node was ever there
        yield
        return
    try:
        if not _locked(descriptor):
            _require_ours(directory, _holder(descriptor))
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _holder(descriptor: int) -> int | None:
    """The pid of another process that holds the lock, 0 for one that isn't seen from here; None: nobody does."""
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else max(pid, 0)


def _require_ours(directory: Path, pid: int | None) -> None:
    if pid is None or _is_our_node(directory, pid):
        return
    path = directory / _NAME
    # By whom: our node, which takes it next, isn't in our way. Where that isn't known, it is tried again instead.
    raise _refusal(path, Obstacle("lock", str(path), pid) if pid else None)


def _is_our_node(directory: Path, pid: int) -> bool:
    """By what is in its own lock; where it lives among other pids (a container), that somebody is named there."""
    try:
        text = (directory / _NODE).read_text().strip()
    except (OSError, ValueError):
        return False
    return text == str(pid) if pid else bool(text)


def _refusal(path: Path, obstacle: Obstacle | None) -> FatalError:
    return FatalError(
        f"Cannot obtain a lock on directory {path.parent}: Bitcoin Core is probably running on it.",
        hint="Stop it first, or choose another -datadir.",
        status=ExitStatus.LOCKED,
        obstacle=obstacle,
    )
