"""What a single command does where no one server answers it: it isn't there or not ready yet, or there are several.

Only such a command imports this (``calling.py``).
"""

import contextlib
import os.path

from bitcoind_mp.cli.arguments import request
from bitcoind_mp.cli.routing import EXPECTED, FOR_PERSONS, Server, Servers, read_table
from bitcoind_mp.config.invocation import command_line

from .exchange import (
    METHOD_NOT_FOUND,
    WALLET_NOT_SPECIFIED,
    Arrived,
    Lost,
    NoServer,
    Refused,
    Starting,
    answers,
    connected,
    exchange,
    read_reply,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from bitcoind_mp.config import Config


def call_unlisted(config: "Config", servers: Servers, name: str) -> "Any":
    """A command that no running server's table has: its server isn't there, or has never been ready and is waited for
    (`introduce`), or it is unknown."""
    running = [server for server in servers.all() if answers(server)]
    if not running:
        raise NoServer(nobody_text(config))
    supervisor = next((server for server in running if server.role == "supervisor"), None)
    supervised = supervisor is not None
    for server, _ in servers.having(name):
        if supervisor is not None:
            _wake(config, supervisor, server)
        raise NoServer(absent_text(config, server))
    if name in FOR_PERSONS and not supervised and running[0].role:
        raise NoServer(f"{name} is a command of the supervisor, and the {running[0].role} runs without one")
    refusals = introduce_all(config, running)
    if refusals:
        raise refusals[0]
    ready = [server.role for server in running]
    missing = [server for server in servers.all() if server.role in EXPECTED and server.role not in ready]
    if missing and not supervised:
        known = " and the ".join(role for role in ready if role) or "server that runs"
        raise NoServer(f"{name} is not known to the {known}. {absent_text(config, missing[0])}")
    if missing:
        nobody = " and ".join(server.socket for server in missing)
        raise NoServer(f"{name} is not known to what runs, and nobody listens at {nobody}")
    raise Refused(METHOD_NOT_FOUND, "Method not found")


def introduce_all(config: "Config", servers: "list[Server]") -> "list[Refused]":
    """`introduce` each that has no table and listens; what was said by those that won't be ready now."""
    refusals = []
    for server in servers:
        if server.table is None and answers(server):
            try:
                introduce(config, server)
            except Refused as refused:
                refusals.append(refused)
    return refusals


def introduce(config: "Config", server: Server) -> None:
    """Wait until somebody who listens, and has no table of commands yet, is ready: he may just be coming up, for the
    first time, and our connection may be what starts him (systemd.socket(5)). His callers wait in the kernel's queue
    until he serves, and his table is there before he answers any.

    Raises:
        Arrived: it is there now.
        Refused: somebody answers that he isn't ready, or in his place why he won't be.
        Starting: he ended meanwhile.
    """
    connection = connected(server)
    try:
        if connection is None:
            raise Lost
        read_reply(exchange(config, server, connection, request("help", '["help"]')))
    except Lost:
        raise Starting(f"whoever listens at {server.socket} has not been ready yet") from None
    if read_table(server.socket) is None:
        table = os.path.splitext(server.socket)[0] + ".json"
        raise NoServer(f"whoever listens at {server.socket} answers, but his table of commands, {table}, can't be read")
    raise Arrived


def _wake(config: "Config", supervisor: Server, unit: Server) -> None:
    """The supervisor listens, and its unit, which it listens for too, doesn't: so it may be systemd's socket that does,
    whose first caller starts the supervisor (systemd.socket(5)).

    Raises:
        Arrived: somebody listens for the unit now.
        Refused, Starting: as `introduce`.
    """
    with contextlib.suppress(Arrived):
        introduce(config, supervisor)
    if answers(unit):
        raise Arrived


def call_several(config: "Config", servers: Servers, name: str, line: bytes) -> "Any":
    """A command for wallets that are served by a process each, and none of them is named."""
    serving = [server for server, _ in servers.having(name)]
    if name != "listwallets":
        names = ", ".join(str((server.table or {}).get("wallet")) for server in serving)
        raise Refused(
            WALLET_NOT_SPECIFIED,
            f"Multiple wallets are loaded ({names}), by a process each. Please select which wallet to use with "
            "-rpcwallet=<walletname>.",
        )
    found = []
    for server in serving:
        connection = connected(server)
        if connection is not None:
            found += read_reply(exchange(config, server, connection, line))
    return found


def wait_for_own(config: "Config", servers: Servers) -> None:
    """A service for the wallet that is named, which nobody has called yet, comes before the one for all wallets; not
    so where that hands on to it (-walletprocess=each)."""
    if any((server.table or {}).get("each") for server in servers.all()):
        return
    for server in servers.all():
        if _is_own(config, server) and server.table is None and answers(server):
            introduce(config, server)


def _is_own(config: "Config", server: Server) -> bool:
    return server.role == "wallet" and server.socket != config.run_path("wallet.sock")


def nobody_text(config: "Config") -> str:
    """Nobody to talk to, and how to start one who would be heard there."""
    mode, path = config.ipc_connect
    if mode == "unix" and path and os.path.dirname(path) != config.run_path():
        return (
            f"Could not connect to a server: nobody listens at {path}\n\n"
            f"Only a server that was started with -ipcbind=unix:{path} would. "
            f"Without -ipcconnect, those at {config.run_path()} are asked.\n"
        )
    place = path if mode == "unix" and path else config.run_path()
    return (
        f"Could not connect to a server: nobody listens at {place}\n\n"
        f"Start one with:\n\n    {command_line(config, 'bitcoind-mp')} -daemon\n"
    )


def absent_text(config: "Config", server: Server) -> str:
    """A worker that isn't there while another runs without a supervisor, and how to start it."""
    text = f"The {server.role or 'server'} is not running: nobody listens at {server.socket}."
    if server.socket != config.run_path(server.role + ".sock"):
        return text
    program = "bitcoind-mp" if server.role == "supervisor" else f"bitcoin-mp-{server.role}"
    return f"{text} Start it with: {command_line(config, program)}"
