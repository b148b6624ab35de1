"""Waiting for a name to appear in a directory, by inotify(7): asleep until then."""

import asyncio
import ctypes
import os
from pathlib import Path

_IN_CREATE = 0x100
_IN_MOVED_TO = 0x80
_CLOEXEC_NONBLOCK = os.O_CLOEXEC | os.O_NONBLOCK


class Appearance:
    """Watches for ``path`` to be created, or moved there, from now on. Close it, or use it as a context.

    Raises:
        OSError: the directory isn't there, or the system allows no more watches.
    """

    def __init__(self, path: str | Path) -> None:
        directory, self._name = os.path.split(os.fspath(path))
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(_CLOEXEC_NONBLOCK)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        where = os.fsencode(directory or ".")
        if libc.inotify_add_watch(self._descriptor, where, _IN_CREATE | _IN_MOVED_TO) < 0:
            error = OSError(ctypes.get_errno(), "inotify_add_watch", directory)
            self.close()
            raise error

    def __enter__(self) -> "Appearance":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._descriptor)

    async def wait(self) -> None:
        """Return once it has appeared."""
        loop = asyncio.get_running_loop()
        appeared: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._descriptor, self._read, appeared)
        try:
            await appeared
        finally:
            loop.remove_reader(self._descriptor)

    def _read(self, appeared: "asyncio.Future[None]") -> None:
        """Each event is {int wd; uint32 mask, cookie, len; char name[len]}, its name padded with NULs."""
        events = os.read(self._descriptor, 64 * 1024)
        wanted = os.fsencode(self._name)
        while events:
            length = int.from_bytes(events[12:16], "little")
            if events[16 : 16 + length].rstrip(b"\0") == wanted and not appeared.done():
                appeared.set_result(None)
            events = events[16 + length :]
