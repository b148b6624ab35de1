"""Calling one command: its server is found, waited for where that was asked, and where it ends under the call, the next
process is asked where that is safe."""

import time

from bitcoind_mp.cli.arguments import Command, named, positional, request
from bitcoind_mp.cli.routing import Server, Servers, chosen_wallet
from bitcoind_mp.ipc.wire.plain import Connection

from .exchange import (
    CLIENT_NOT_CONNECTED,
    IN_WARMUP,
    RETRY,
    SHUTTING_DOWN,
    Arrived,
    Lost,
    NoServer,
    Refused,
    Starting,
    Unanswered,
    answers,
    connected,
    exchange,
    read_reply,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from bitcoind_mp.config import Config

#: Commands that the signer is told of first, where there is one (`entrust.PURPOSES`).
WITH_PASSPHRASE = ("createwallet", "migratetosigner", "walletlock", "walletpassphrase", "walletpassphrasechange")
#: Seconds in which a server that has never been ready may end and be started again.
ACTIVATION = 30.0


def call(
    config: "Config", name: str, words: "list[str]", *, wallet: "str | None" = None, may_wait: bool = True
) -> "Any":
    """The result of a command, numbers as text. Waits for a server with -rpcwait, unless it may not.

    Raises:
        Refused: the server said no.
        NoServer: nobody answers.
        BadArgument: a parameter isn't what it has to be.
    """
    wallet = wallet if wallet is not None else chosen_wallet(config)
    waiting = may_wait and config.get_bool("rpcwait")
    limit = config.get_seconds("rpcwaittimeout")
    deadline = time.monotonic() + limit
    activated = time.monotonic() + ACTIVATION
    while True:
        try:
            return _call_once(config, Servers.of(config, wallet), name, words, wallet)
        except Arrived:
            continue
        except NoServer as error:
            if isinstance(error, Starting) and may_wait and time.monotonic() < activated:
                time.sleep(RETRY)
                continue
            if not waiting or isinstance(error, Unanswered):
                raise
            if limit and time.monotonic() >= deadline:
                raise NoServer(f"timeout on transient error: {error}") from error
        except Refused as refused:
            if not waiting or not (refused.code == IN_WARMUP or refused.held):
                raise
            if limit and time.monotonic() >= deadline:
                why = refused.message if refused.held else "server in warmup"
                raise NoServer(f"timeout on transient error: {why}") from refused
        time.sleep(RETRY)


def _call_once(config: "Config", servers: Servers, name: str, words: "list[str]", wallet: "str | None") -> "Any":
    if name == "help":  # which is about every server's commands
        from .absent import introduce_all

        introduce_all(config, servers.all())
    for server, command in servers.having(name):
        if server.role == "wallet" and servers.rivals(server):
            from .absent import wait_for_own

            wait_for_own(config, servers)
        if server.role == "wallet" and name in WITH_PASSPHRASE:
            from .passphrase import entrusted

            words = entrusted(config, command, words, call)
        connection = connected(server)
        if connection is None:
            continue
        line = request_line(config, command, words, wallet)
        if wallet is None and any(answers(rival) for rival in servers.rivals(server)):
            from .absent import call_several

            connection.close()
            return call_several(config, servers, name, line)
        return _answered(config, server, connection, line, changes=bool(command.described.get("changes")))
    from .absent import call_unlisted

    return call_unlisted(config, servers, name)


def _answered(config: "Config", server: Server, connection: Connection, line: bytes, *, changes: bool) -> "Any":
    """The result, from the server's next process where the one that was asked ends under the call: of a call that only
    reads, and of one that is known not to have taken effect. Where there is no next one, the first word stands."""
    try:
        return read_reply(exchange(config, server, connection, line))
    except Lost as lost:
        if changes:
            raise
        first: Exception = lost
    except Refused as refused:
        if (refused.code, refused.message) != (CLIENT_NOT_CONNECTED, SHUTTING_DOWN):
            raise
        first = refused
    again = connected(server)
    if again is None:
        raise first
    try:
        return read_reply(exchange(config, server, again, line))
    except Lost:
        raise first from None


def request_line(config: "Config", command: Command, words: "list[str]", wallet: "str | None") -> bytes:
    params = named(command, words) if config.get_bool("named") else positional(command, words)
    return request(command.name, params, wallet=wallet)
