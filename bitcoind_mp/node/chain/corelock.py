"""Bitcoin Core's own locks on a data directory, so that Core and we never have it open together.

They are POSIX record locks (``src/util/fs.cpp``, ``FileLock``): closing *any* descriptor of the file drops them, so
this file alone opens them. That only one of our nodes runs is another lock's business (``service/lock.py``).
"""

import fcntl
import os
from pathlib import Path

from bitcoind_mp.interfaces.errors import ExitStatus, FatalError
from bitcoind_mp.interfaces.failures import Obstacle


class CoreLock:
    """``.lock`` in the network's directory and in ``blocks/``, held until `release`.

    Raises:
        FatalError: LOCKED, another program holds one of them.
    """

    def __init__(self, directory: Path) -> None:
        self._descriptors: list[int] = []
        for place in (directory, directory / "blocks"):
            place.mkdir(parents=True, exist_ok=True)
            self._take(place / ".lock")

    def _take(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._descriptors.append(descriptor)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.release()
            raise FatalError(
                f"Cannot obtain a lock on directory {path.parent}: Bitcoin Core is probably running on it.",
                hint="Stop it first, or choose another -datadir.",
                status=ExitStatus.LOCKED,
                obstacle=Obstacle("lock", str(path)),
            ) from None

    def release(self) -> None:
        """Let the directory go. Harmless twice."""
        while self._descriptors:
            os.close(self._descriptors.pop())
