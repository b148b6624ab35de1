"""One request to one server, and its reply: connecting, sending, waiting, and what can go wrong with each.

What doesn't belong: which server, and asking again (``calling.py``).
"""

import os

from bitcoind_mp.cli.arguments import request
from bitcoind_mp.cli.jsontext import NotJson, compact, parse
from bitcoind_mp.cli.routing import Server, Servers
from bitcoind_mp.ipc.wire.plain import Connection as Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from bitcoind_mp.config import Config

#: Core's codes that this path knows (``src/rpc/protocol.h``); interfaces.errors would cost too much here.
METHOD_NOT_FOUND = -32601
INVALID_PARAMETER = -8
CLIENT_NOT_CONNECTED = -9
WALLET_NOT_SPECIFIED = -19
IN_WARMUP = -28

#: As in interfaces.errors: a call that a server's end cancelled before it took effect.
SHUTTING_DOWN = "Shutting down"
#: What is subscribed to for how the units are, now and at each change: parameters of ``events.subscribe``.
UNIT_TOPIC = '[["unit"],1]'
#: Seconds without an answer before a person at a terminal is told what is waited for.
PATIENCE = 1.0
#: Seconds between attempts to reach a server that is waited for.
RETRY = 0.2


class Refused(Exception):
    """The server answered with an error: ``code`` and ``message``. ``held``: in place of a worker that starts by
    itself once something is out of its way."""

    def __init__(self, code: int, message: str, *, held: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.held = held


class NoServer(Exception):
    """Nobody to talk to, or nobody who answers any more; the text says so, and what to do."""


class Starting(NoServer):
    """Somebody listens, who hasn't said yet what he answers, and ended when he was asked."""


class Arrived(NoServer):
    """Somebody is ready who wasn't when his table was looked for: look again."""


class Unanswered(NoServer):
    """A server took the request and no answer came: its outcome is unknown."""


class Lost(Unanswered):
    """The same, and the server's process has ended."""


def answers(server: Server) -> bool:
    """Whether somebody listens there."""
    connection = connected(server)
    if connection is None:
        return False
    connection.close()
    return True


def connected(server: Server) -> "Connection | None":
    """A connection, or None where nobody listens."""
    try:
        return Connection(server.socket)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        return None
    except OSError as error:
        raise NoServer(f"Could not connect to {server.socket}: {error.strerror}") from error


def exchange(config: "Config", server: Server, connection: Connection, line: bytes) -> bytes:
    """Send a request and wait for its reply. A worker that is being started again keeps its callers waiting."""
    timeout = config.get_seconds("rpcclienttimeout") or None
    try:
        connection.send(line)
        if not os.isatty(2):
            return next_reply(connection, timeout)
        try:
            return next_reply(connection, min(timeout or PATIENCE, PATIENCE))
        except TimeoutError:
            from .patience import reply_told

            try:
                units = subscribed(config, "events.subscribe", UNIT_TOPIC)
            except (ConnectionError, NoServer):
                units = None  # less is told, and the answer is waited for all the same
            return reply_told(server.unit or "server", connection, units, next_reply, timeout)
    except TimeoutError:
        raise Unanswered(f"timeout: no answer from {server.socket} within {timeout:g} s") from None
    except ConnectionError as error:
        raise Lost(
            f"the {server.role or 'server'} closed the connection before it answered. "
            "Whether the command took effect is unknown."
        ) from error
    finally:
        connection.close()


def next_reply(connection: Connection, timeout: "float | None") -> bytes:
    """The next line that is no notification (how a long call gets on)."""
    while True:
        line: bytes = connection.receive(timeout)
        if b'"call.progress"' not in line or "method" not in parse(line.decode("utf-8", "replace")):
            return line


def read_reply(line: bytes) -> "Any":
    """A reply's result. Raises `Refused` with its error."""
    return result_of(parse(line.decode("utf-8", "surrogateescape")))


def result_of(reply: "dict[str, Any]") -> "Any":
    """The same of a reply that is parsed. Raises `NotJson` for what is none."""
    if not isinstance(reply, dict) or not ("result" in reply or isinstance(reply.get("error"), dict)):
        raise NotJson("no reply")
    error = reply.get("error")
    if error is not None:
        held = error.get("data") == {"held": True}
        raise Refused(int(error["code"]), str(error["message"]), held=held)
    return reply["result"]


def subscribed(config: "Config", method: str, params: str) -> "Connection | None":
    """A connection over which the supervisor, asked by ``method`` with these ``params``, tells something; None without
    one. Raises ConnectionError."""
    from dataclasses import asdict

    from bitcoind_mp.interfaces.init import Hello

    server = next((server for server, _ in Servers.of(config).having("logs")), None)
    connection = connected(server) if server is not None else None
    if connection is not None:
        try:
            connection.send(request("init.handshake", compact([asdict(Hello.ours("cli", config.chain))])))
            connection.send(request(method, params))
        except BaseException:
            connection.close()
            raise
    return connection
