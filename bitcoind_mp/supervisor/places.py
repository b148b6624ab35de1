"""The directories, files and listening sockets where the processes meet: who may get there, and who is there already.

How a socket is bound is ``ipc/wire/unix.py``'s, and is passed in.
"""

import os
import socket
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from bitcoind_mp.config import Config
from bitcoind_mp.interfaces.errors import ExitStatus, FatalError, status_of_os_error

#: ``bind(path, mode=…)``: a listening socket; whoever answers there already is left alone.
Bind = Callable[..., socket.socket]
#: ``given(name)``: the socket of that name that systemd bound for us, None for none.
Given = Callable[[str], socket.socket | None]
ROLES = ("supervisor", "node", "wallet")


def roles(config: Config) -> tuple[str, ...]:
    """Whoever has a socket of its own."""
    return (*ROLES, "signer") if config.get_bool("signerprocess") else ROLES


def prepare(config: Config) -> None:
    """The directories that every process expects (`Config.make_directories`). Raises FatalError."""
    try:
        config.make_directories()
    except OSError as error:
        why = f"Could not prepare {error.filename}: {error.strerror}."
        raise FatalError(why, status=status_of_os_error(error)) from error


def tables_of(config: Config, table: dict[str, Any]) -> dict[Path, dict[str, Any]]:
    """Where the supervisor's table of commands is to be, and what in it: beside its socket, and where that is elsewhere
    (-ipcbind), in the usual place too, so that who looks there finds it."""
    own, usual = config.socket_path("supervisor"), config.run_dir / "supervisor.sock"
    table = {**table, "run": str(config.run_dir)}
    return {usual.with_suffix(".json"): {**table, "socket": str(own)}, own.with_suffix(".json"): table}


def listening_at(bind: Bind, path: Path, gid: int | None) -> socket.socket:
    """A listening socket for the owner and, where there is one, the group. Raises FatalError, OSError."""
    made = bind(path, mode=0o600 if gid is None else 0o660)
    try:
        if gid is not None and gid != path.stat().st_gid:
            os.chown(path, -1, gid)
    except OSError:
        made.close()
        path.unlink(missing_ok=True)
        raise
    return made


def write_pid(file: Path) -> None:
    """Say there which process we are (-pid). Raises FatalError."""
    try:
        file.write_text(f"{os.getpid()}\n")
    except OSError as error:
        status = status_of_os_error(error)
        raise FatalError(
            f"-pid={file}: the file could not be written: {error.strerror}.",
            status=status if status is ExitStatus.DISK_FULL else ExitStatus.CONFIG,
        ) from error


class Listeners:
    """The listening sockets of all, by role; each worker's is bound once, for all its processes."""

    def __init__(self, config: Config, gid: int | None) -> None:
        self._config = config
        self._gid = gid
        self._sockets: dict[str, socket.socket] = {}
        self._ours: list[Path] = []

    def open(self, bind: Bind, given: Given, left: Collection[str], adopted: Mapping[str, int]) -> None:
        """Take those that systemd bound, and bind the others. Raises FatalError.

        Whoever answers on a path is left alone, but for a worker that is known to be going (``left``): its callers are
        ours from now on. ``adopted`` are those of workers that stay.
        """
        for role in roles(self._config):
            listening = given(role)
            if role in adopted:
                self.adopt(role, adopted[role])
            elif listening is not None:
                self._sockets[role] = listening
            else:
                if role in left:
                    self._config.socket_path(role).unlink(missing_ok=True)
                self._bind(bind, role)

    def add(self, bind: Bind, role: str) -> socket.socket:
        """Bind one more. Raises FatalError."""
        self._bind(bind, role)
        return self._sockets[role]

    def adopt(self, role: str, descriptor: int) -> socket.socket:
        """One more, whose worker stays."""
        self._sockets[role] = socket.socket(fileno=descriptor)
        self._ours.append(self._config.socket_path(role))
        return self._sockets[role]

    def remove(self, role: str) -> None:
        """Close that one, and remove it."""
        path = self._config.socket_path(role)
        self._sockets.pop(role).close()
        self._ours.remove(path)
        path.unlink(missing_ok=True)

    def _bind(self, bind: Bind, role: str) -> None:
        path = self._config.socket_path(role)
        self._sockets[role] = listening_at(bind, path, self._gid)
        self._ours.append(path)

    @property
    def bound(self) -> list[Path]:
        """The files of those that we bound ourselves: nobody else looks after them."""
        return list(self._ours)

    def hand_over(self) -> tuple[dict[str, int], list[str]]:
        """The descriptor of each, and the roles of those that we bound. Copies: what serves the originals may close
        them."""
        bound = [role for role in self._sockets if self._config.socket_path(role) in self._ours]
        return {role: os.dup(listening.fileno()) for role, listening in self._sockets.items()}, bound

    def take_over(self, listeners: Mapping[str, int], bound: Collection[str]) -> None:
        """What `hand_over` gave."""
        self._sockets = {role: socket.socket(fileno=descriptor) for role, descriptor in listeners.items()}
        self._ours = [self._config.socket_path(role) for role in bound]

    def __getitem__(self, role: str) -> socket.socket:
        return self._sockets[role]

    def close(self) -> None:
        """Close them all, and remove those that we bound."""
        for listening in self._sockets.values():
            listening.close()
        for path in self._ours:
            path.unlink(missing_ok=True)
