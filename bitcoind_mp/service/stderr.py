"""Log lines to standard error: none waits for whoever reads it, and those of a reader that is gone have an heir.

How a line looks is ``logging.py``'s; how it is written without waiting, ``outlet.py``'s.
"""

import contextlib
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from .outlet import Outlet

if TYPE_CHECKING:
    import asyncio

#: Seconds that a process which ends waits for a reader to take the next piece of what is kept for it.
_PATIENCE = 1.0


class Stderr(logging.StreamHandler[Any]):
    """Lines to standard error as it is now. ``heir``: the file, as it is now, for each line that isn't taken because
    its reader (a supervisor, which would have put it there) is gone. Where there is none, and whatever else fails, the
    line is lost."""

    def __init__(self, formatter: logging.Formatter, heir: Path | None = None) -> None:
        self._outlet: Outlet | None = None
        with contextlib.suppress(OSError, ValueError):  # something of Python's own stands in its place
            self._outlet = Outlet(sys.stderr.fileno(), self._missing)
        super().__init__(self._outlet if self._outlet is not None else sys.stderr)
        self.setFormatter(formatter)
        self._heir = _appending(heir) if heir is not None else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_awaited = False

    def drain_in(self, loop: "asyncio.AbstractEventLoop") -> None:
        """From now on that loop writes what wasn't taken at once; without one, the next line and the end do."""
        self._loop = loop

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        if self._loop is not None and not self._is_awaited and self._outlet is not None and self._outlet.is_behind:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._loop.add_writer, self._outlet.descriptor, self._taken)
                self._is_awaited = True

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif isinstance(error, BrokenPipeError):
            self._bequeath(self.format(record) + self.terminator)

    def close(self) -> None:
        self._drain(_PATIENCE)
        if self._heir is not None:
            with contextlib.suppress(OSError):
                self._heir.close()
        super().close()

    def _missing(self, count: int) -> str:
        text = "%d entries are missing here: they came faster than they were read"
        record = logging.LogRecord("bitcoind_mp", logging.WARNING, __file__, 0, text, (count,), None)
        return self.format(record) + self.terminator

    def _taken(self) -> None:
        """Standard error takes more."""
        if self._drain():
            assert self._loop is not None
            assert self._outlet is not None
            self._loop.remove_writer(self._outlet.descriptor)

    def _drain(self, patience: float = 0.0) -> bool:
        """Whether nothing is kept any more."""
        self.acquire()
        try:
            if self._outlet is not None and not self._outlet.drain(patience):
                return False
            self._is_awaited = False
        except OSError:
            self._is_awaited = False
            self._bequeath()
        finally:
            self.release()
        return True

    def _bequeath(self, last: str = "") -> None:
        """What nobody reads any more is the heir's."""
        kept = self._outlet.take_back() if self._outlet is not None else []
        if self._heir is not None:
            with contextlib.suppress(OSError):
                self._heir.write("".join([*kept, last]))


def _appending(path: Path) -> TextIO | None:
    """A file that exists, opened while the process may still open it."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    except OSError:
        return None
    return open(descriptor, "a", buffering=1, encoding="utf-8", errors="backslashreplace")  # noqa: PTH123
