"""Which server answers a command: from the small tables that each server writes beside its socket when ready.

Reads files, opens no socket. A table may be older than its server's death, so what comes out is an order in which
to try.
"""

import os
import os.path

from .arguments import Command
from .jsontext import NotJson, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TextIO

    from bitcoind_mp.config import Config

#: In the order in which they are tried: what belongs to more than one is the supervisor's.
ROLES = ("supervisor", "node", "signer", "wallet")
#: Those of them that are missed where they don't run: the signer is an option.
EXPECTED = ("node", "wallet")
#: How often a table that somebody writes is looked at again, and seconds between two looks.
_LOOKS, _BETWEEN = 20, 0.01
#: The supervisor's own commands, whose results are laid out for a person unless -json asks otherwise.
FOR_PERSONS = ("status", "health", "logs", "start", "stop", "restart", "reload")

#: Characters of a table that are read.
_LONGEST = 4 << 20


class Server:
    """A server that may run: ``role``, the path of its ``socket``, and its table (None where it has written none)."""

    def __init__(self, role: str, socket: str, table: "dict[str, Any] | None") -> None:
        self.role = role
        self.socket = socket
        self.table = table

    @property
    def unit(self) -> str:
        """What the supervisor calls it: its role, or ``wallet@NAME`` where it serves that wallet alone."""
        name = os.path.splitext(os.path.basename(self.socket))[0]
        return name if name.startswith("wallet@") else self.role

    def command(self, name: str) -> "Command | None":
        """What it says about a command, None where it doesn't have it."""
        for described in self.table["commands"] if self.table else ():
            if described["name"] == name:
                return Command(described)
        return None


def read_table(socket: str) -> "dict[str, Any] | None":
    """The table beside a socket; None where there is none, or none that can be read."""
    try:
        with open(os.path.splitext(socket)[0] + ".json", encoding="utf-8") as stream:
            try:
                table = parse(stream.read(_LONGEST))
            except NotJson:
                table = parse(whole(stream))
    except (OSError, UnicodeDecodeError, NotJson):
        return None
    return table if isinstance(table, dict) and _is_list_of_commands(table.get("commands")) else None


def _is_list_of_commands(found: "Any") -> bool:
    return isinstance(found, list) and all(
        isinstance(each, dict) and isinstance(each.get("name"), str) for each in found
    )


def whole(stream: "TextIO") -> str:
    """The file once nobody writes it (`ipc.manifest.Table`), which takes a moment. Raises BlockingIOError where it
    isn't let go: a worker that was broken into must not hold up what is asked of others."""
    import fcntl
    import time

    for left in range(_LOOKS, -1, -1):
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if not left:
                raise
            time.sleep(_BETWEEN)
    stream.seek(0)
    return stream.read(_LONGEST)


def _of_each(command: Command) -> bool:
    """Whether it is about a process, whichever: stop, uptime, help, logging."""
    return bool(command.described.get("topic") == "control")


def chosen_wallet(config: "Config") -> "str | None":
    """What -rpcwallet says, None where it says nothing."""
    chosen = config.is_set("rpcwallet") and not config.is_negated("rpcwallet")
    return config.get_str("rpcwallet") if chosen else None


def wallet_sockets(config: "Config", directory: str, wallet: "str | None") -> "list[tuple[str, str]]":
    """The wallet's server in that directory; of those that serve one wallet alone the one for ``wallet`` (else
    -rpcwallet), and where there is no server for all, each."""
    shared = ("wallet", os.path.join(directory, "wallet.sock"))
    named = wallet if wallet is not None else chosen_wallet(config)
    if named is not None:
        from bitcoind_mp.config.instances import instance

        own = os.path.join(directory, f"wallet@{instance(named)}.sock")
        if os.path.exists(own):
            return [("wallet", own), shared]
    if os.path.exists(shared[1]):
        return [shared]
    alone = dict(_alone(directory))
    return [("wallet", alone[name]) for name in sorted(alone)] or [shared]


def _is_worker_s(socket: str) -> bool:
    """By its name: what such a process says of others in its table is not to be believed."""
    name = os.path.basename(socket)
    return name in ("node.sock", "signer.sock", "wallet.sock") or name.startswith("wallet@")


def _alone(directory: str) -> "Iterator[tuple[str, str]]":
    """(wallet, socket) of each server that serves one wallet alone."""
    try:
        names = os.listdir(directory)
    except OSError:
        return
    for name in names:
        if name.startswith("wallet@") and name.endswith(".sock"):
            socket = os.path.join(directory, name)
            wallet = (read_table(socket) or {}).get("wallet")
            if isinstance(wallet, str):
                yield wallet, socket


class Servers:
    """The servers that one configuration leads to; each table is read when it is first needed."""

    def __init__(self, sockets: "list[tuple[str, str]]") -> None:
        self._sockets = sockets
        self._read: dict[str, Server] = {}

    @classmethod
    def of(cls, config: "Config", wallet: "str | None" = None) -> "Servers":
        """By ``-ipcconnect``: the default sockets, or with ``unix:PATH`` that one first and then those of the other
        roles: its units', where it is a supervisor, else those that lie beside it. The wallet's is the one that
        serves ``wallet``."""
        mode, path = config.ipc_connect
        named = path if mode == "unix" else ""
        directory = config.run_path()
        if named:
            directory = os.path.dirname(named)
            if not _is_worker_s(named):
                directory = str((read_table(named) or {}).get("run") or directory)
        beside = [(role, os.path.join(directory, role + ".sock")) for role in ROLES[:-1]]
        beside += wallet_sockets(config, directory, wallet)
        if not named:
            return cls(beside)
        return cls([("", named), *((role, socket) for role, socket in beside if socket != named)])

    def all(self) -> "list[Server]":
        """Every one, in order, once: a supervisor that listens elsewhere is found in two places."""
        found = [self._server(role, socket) for role, socket in self._sockets]
        return list({server.socket: server for server in reversed(found)}.values())[::-1]

    def having(self, command: str) -> "Iterator[tuple[Server, Command]]":
        """Those whose table has the command, in the order in which to try them.

        What is the wallet's is never asked of the node instead: its process talks to strangers, and one who got into it
        may have put a command of the wallet's into its table, to be told a passphrase or asked for an address. Nor is
        what is the signer's asked of either.
        """
        found = [(server, described) for server in self.all() if (described := server.command(command)) is not None]
        if any(server.role == "wallet" and not _of_each(described) for server, described in found):
            found = [pair for pair in found if pair[0].role != "node"]
        if any(server.role == "signer" and not _of_each(described) for server, described in found):
            found = [pair for pair in found if pair[0].role not in ("node", "wallet")]
        yield from found

    def rivals(self, server: Server) -> "list[Server]":
        """The other servers of the same role."""
        return [other for other in self.all() if other.role == server.role and other is not server]

    def _server(self, role: str, socket: str) -> Server:
        if socket not in self._read:
            table = read_table(socket)
            known = role or str((table or {}).get("role", ""))
            at = socket
            if role == "supervisor" and table is not None:  # one that listens elsewhere leaves its table here too
                at = str(table.get("socket") or socket)
            self._read[socket] = Server(known, at, table)
        return self._read[socket]
