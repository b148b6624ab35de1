"""What a single command does where no one server answers it: it isn't there, not ready yet, or there are several.

Only such a command imports this (``calling.py``).
"""

import os.path

from .arguments import request
from .exchange import (
    METHOD_NOT_FOUND,
    WALLET_NOT_SPECIFIED,
    NoServer,
    Refused,
    Starting,
    answers,
    connected,
    exchange,
    read_reply,
)
from .format import printable
from .routing import EXPECTED, FOR_PERSONS, Server, Servers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from bitcoind_mp.config import Config


def call_unlisted(config: "Config", servers: Servers, name: str) -> "Any":
    """A command that no running server's table has: its server isn't there or not ready yet, or it is unknown."""
    running = [server for server in servers.all() if answers(server)]
    if not running:
        raise NoServer(nobody_text(config))
    for server, _ in servers.having(name):
        raise NoServer(absent_text(config, server))
    supervised = any(server.role == "supervisor" for server in running)
    if name in FOR_PERSONS and not supervised:
        raise NoServer(f"{name} is a command of the supervisor, and the {running[0].role} runs without one")
    ready = [server.role for server in running if server.table]
    missing = [role for role in EXPECTED if role not in ready]
    for server in running:
        if server.table is None and (server.role == "supervisor" or not supervised or _is_own(config, server)):
            raise Starting(f"whoever listens at {server.socket} has not been ready yet")
    absent = [server for server in servers.all() if server.role in missing and server not in running]
    if absent and not supervised:
        known = " and the ".join(role for role in ready if role) or "server that runs"
        raise NoServer(f"{name} is not known to the {known}. {absent_text(config, absent[0])}")
    if missing:
        down = _down(config, running[0]) if supervised else {}
        hint = f": see {command_line(config)} status" if supervised else ""
        raise NoServer(
            f"{name} is not known to what runs, and the {' and the '.join(r + down.get(r, '') for r in missing)} "
            f"{'has' if len(missing) == 1 else 'have'} not been ready yet{hint}"
        )
    raise Refused(METHOD_NOT_FOUND, "Method not found")


def _down(config: "Config", supervisor: Server) -> "dict[str, str]":
    """What the supervisor says why a unit isn't up, in brackets."""
    connection = connected(supervisor)
    if connection is None:
        return {}
    units = read_reply(exchange(config, supervisor, connection, request("status", "[]")))["units"]
    return {unit["name"]: f" ({unit['state']}: {printable(unit['reason'])})" for unit in units if unit["reason"]}


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
            raise Starting(f"whoever listens at {server.socket} has not been ready yet")


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


def command_line(config: "Config", program: str = "bitcoin-mp") -> str:
    """How this front end was called, as far as it says with whom to talk; the same for another program."""
    parts = [program]
    if config.chain != "main":
        parts.append(f"-chain={config.chain}" if config.chain == "test" else f"-{config.chain}")
    elif any(config.is_set(network) for network in ("chain", "regtest", "signet", "testnet4")):
        parts.append("-chain=main")  # somebody said so, a file perhaps something else
    parts += [f"-{name}={quoted(config.get_str(name))}" for name in ("datadir", "conf") if config.is_set(name)]
    return " ".join(parts)


def quoted(text: str) -> str:
    """As a shell reads it back."""
    from shlex import quote

    return quote(text)
