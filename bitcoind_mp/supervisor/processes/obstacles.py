"""Looking whether what kept a unit from starting is gone: room on a disk, a lock, a port.

A look takes no more than a few system calls, and starts nobody: that is what it is for. A worker named
the obstacle, and workers are not trusted further than they must be: only files below ``inside`` are opened.
"""

import contextlib
import errno
import fcntl
import os
import socket
import stat
import struct
from collections.abc import Sequence
from pathlib import Path

from bitcoind_mp.interfaces.obstacle import Obstacle

#: Fewer than any start makes: the kernel's databases, what is linked beside them, logs.
_FEW_FILES = 64
#: struct flock of fcntl(2): type, whence, start, length, pid.
_FLOCK = struct.Struct("hhqqi4x")


def is_in_the_way(obstacle: Obstacle, inside: Sequence[Path]) -> bool:
    """Whether it certainly still is; False also where that can't be told."""
    try:
        if obstacle.kind == "port":
            return _is_taken(obstacle.what, obstacle.amount)
        path = Path(obstacle.what)
        if not any(path.is_relative_to(place) for place in inside) or ".." in path.parts:
            return False
        return _is_low(path, obstacle.amount) if obstacle.kind == "disk" else _is_locked(path, obstacle.amount)
    except (OSError, ValueError, OverflowError):
        return False


def _is_low(path: Path, wanted: int) -> bool:
    """Of bytes, or of files, where the file system counts them: without a free inode there is no room either."""
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize < wanted or (disk.f_files > 0 and disk.f_favail < _FEW_FILES)


def _is_locked(path: Path, pid: int) -> bool:
    """By flock(2) or, as Bitcoin Core does it, by fcntl(2), of which the kernel tells who: ``pid``, or anybody (0). We
    ourselves hold no lock on such a file: closing it drops none."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, holder = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
        if kind != fcntl.F_UNLCK:
            return pid in (0, holder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
    finally:
        os.close(descriptor)


def _is_taken(host: str, port: int) -> bool:
    """Bound as the node binds it, and not listened on: nobody sees it. A name is none: to look it up takes time, and
    asks others."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    socket.inet_pton(family, host)
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
