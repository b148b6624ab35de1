"""Keeps whole what lies beside the processes for their callers: the sockets' files, and the tables of commands.

Somebody may remove or damage them (a cleaner of temporary files, a person, a worker killed while it wrote), and whoever
listens doesn't notice: nobody would reach it until its next start. How a socket is bound is ``places.py``'s.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from bitcoind_mp.config import Config

from .supervised import Supervised
from .units.states import SERVING

log = logging.getLogger("bitcoind_mp.supervisor")

Read = Callable[[Path], dict[str, Any] | None]
Write = Callable[[Path, dict[str, Any]], None]


class Upkeep:
    """``sockets`` are files of sockets that we bound. ``tables`` is where each process has its table; ``serves`` says
    whether it should have one now. ``read`` and ``write`` are ``ipc.manifest``'s, the first without waiting.

    A socket's file can't be made again, only linked: a second name is kept beside the first, until `close`.
    """

    def __init__(
        self,
        sockets: Iterable[Path],
        tables: Mapping[str, Path],
        *,
        serves: Callable[[str], bool],
        read: Read,
        write: Write,
    ) -> None:
        self._spares: dict[Path, Path] = {}
        self._gone: set[Path] = set()
        self._tables = dict(tables)
        self._serves = serves
        self._read = read
        self._write = write
        self._known: dict[str, tuple[tuple[int, int, int], dict[str, Any]]] = {}
        for socket in sockets:
            self._keep(socket)
        self.look()

    def _keep(self, socket: Path) -> None:
        spare = self._spares[socket] = socket.with_name(f".{socket.name}")
        with contextlib.suppress(OSError):
            if socket.exists():
                spare.unlink(missing_ok=True)
                spare.hardlink_to(socket)

    def learn(self, name: str, socket: Path) -> None:
        """One more process, with its socket, which we bound."""
        self._keep(socket)
        self._tables[name] = socket.with_suffix(".json")

    def forget(self, name: str) -> None:
        """That process is no more, and its socket is about to be removed."""
        table = self._tables.pop(name, None)
        self._known.pop(name, None)
        spare = self._spares.pop(table.with_suffix(".sock"), None) if table is not None else None
        if spare is not None:
            with contextlib.suppress(OSError):
                spare.unlink()

    def look(self) -> None:
        """Put right what isn't. What can't be, for want of room, is tried again the next time."""
        gone = {socket.parent for socket in self._spares if not socket.parent.is_dir()}
        for directory in gone - self._gone:
            log.error(
                "%s had been removed: nobody new reaches what listened there. Stop this supervisor (kill %d) and start "
                "it again.",
                directory,
                os.getpid(),
            )
        self._gone = gone
        for socket, spare in self._spares.items():
            if not socket.exists() and spare.exists():
                with contextlib.suppress(OSError):
                    socket.hardlink_to(spare)
                    log.warning("%s had been removed: it is there again", socket)
        for name, path in self._tables.items():
            if self._serves(name):
                self._look_at_table(name, path)

    def _look_at_table(self, name: str, path: Path) -> None:
        """Read it where it changed; where it can't be read, write the newest that could."""
        signature, known = self._known.get(name, ((0, 0, 0), None))
        now = _signature(path)
        if now == signature:
            return
        table = self._read(path)
        if table is None and known is not None:
            try:
                self._write(path, known)
            except OSError:
                return
            log.warning("%s could not be read: it was written anew", path)
            now, table = _signature(path), known
        if table is not None:
            self._known[name] = (now, table)

    def close(self) -> None:
        """Leave the sockets' own names alone."""
        self.look()
        for spare in self._spares.values():
            with contextlib.suppress(OSError):
                spare.unlink()


def upkeep_of(
    config: Config, bound: Iterable[Path], units: Mapping[str, Supervised], read: Read, write: Write
) -> Upkeep:
    """Of the supervisor's own and its units': those of the sockets that it ``bound``, and its notify socket's."""
    return Upkeep(
        [*bound, config.run_dir / "notify"],
        {role: config.socket_path(role).with_suffix(".json") for role in ("supervisor", *units)},
        serves=lambda role: role == "supervisor" or units[role].unit.state in SERVING,
        read=read,
        write=write,
    )


def _signature(path: Path) -> tuple[int, int, int]:
    """What changes whenever the file does; zeros where there is none."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_size, found.st_mtime_ns)
