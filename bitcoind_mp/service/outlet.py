"""Text to a descriptor whose reader may be slow, stopped or gone, without ever waiting for it.

A process logs on the thread that serves. Were the pipe behind its standard error full, since whoever reads it was
stopped, a write would hold every caller. So what isn't taken at once is kept, up to a bound; beyond it entries are
lost, and counted where they are missing. When to try again is the caller's affair (``logging.py``).
"""

import os
import select
from collections import deque
from collections.abc import Callable

#: Bytes that are kept for a reader that doesn't read: some 10,000 lines.
ROOM = 1024 * 1024
#: What polls writable takes this much without blocking (PIPE_BUF, pipe(7)).
_PIECE = 4096
#: Without a reader a write fails at once; that is worth a try too.
_WORTH_A_TRY = select.POLLOUT | select.POLLERR | select.POLLHUP


class Outlet:
    """One descriptor, which stays the caller's. ``missing(count)`` is the entry that stands for so many lost ones."""

    def __init__(self, descriptor: int, missing: Callable[[int], str], *, room: int = ROOM) -> None:
        self.descriptor = descriptor
        self._missing = missing
        self._room = room
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._kept: deque[bytes] = deque()
        self._size = 0
        self._lost = 0

    @property
    def is_behind(self) -> bool:
        """Whether something is kept."""
        return bool(self._kept)

    def write(self, text: str) -> None:
        """Write, keep or lose one entry. Raises OSError, BrokenPipeError where nobody reads: the entry isn't taken."""
        if not self.is_behind or self.drain():
            data = self._put(_encoded(text))
            if data:
                self._keep(data)
        elif self._size + len(text) > self._room:
            self._lost += 1
        else:
            self._tell_lost()
            self._keep(_encoded(text))

    def flush(self) -> None:
        """Nothing: what could be written was."""

    def drain(self, patience: float = 0.0) -> bool:
        """Write what is kept, as long as it is taken, waiting up to ``patience`` seconds for each piece; whether
        nothing is left. Raises OSError."""
        while self._kept:
            rest = self._put(self._kept[0], patience)
            self._size -= len(self._kept[0]) - len(rest)
            if rest:
                self._kept[0] = rest
                return False
            self._kept.popleft()
            if not self._kept:
                self._tell_lost()
        return True

    def take_back(self) -> list[str]:
        """What is kept, for somebody else to write; nothing is any more."""
        self._tell_lost()
        kept, self._size = [data.decode("utf-8", "replace") for data in self._kept], 0
        self._kept.clear()
        return kept

    def _keep(self, data: bytes) -> None:
        self._kept.append(data)
        self._size += len(data)

    def _tell_lost(self) -> None:
        if self._lost:
            self._keep(_encoded(self._missing(self._lost)))
            self._lost = 0

    def _put(self, data: bytes, patience: float = 0.0) -> bytes:
        """Write; what isn't taken."""
        while data:
            ready = self._poll.poll(patience * 1000)
            if not ready or not ready[0][1] & _WORTH_A_TRY:
                return data
            data = data[os.write(self.descriptor, data[:_PIECE]) :]
        return b""


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
