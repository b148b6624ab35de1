"""One command: find its server, call it, print what it answers, and the exit status that bitcoin-cli would have.

The path of every ``bitcoin-mp COMMAND``: it may import only what is as cheap as itself (a test looks at
``sys.modules``). What only some commands need is imported where it is needed.
"""

import os
import sys
import time

from bitcoind_mp.ipc.plain import Connection

from .arguments import BadArgument, Command, named, positional, request
from .jsontext import Number, parse, write
from .routing import Server, Servers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from bitcoind_mp.config import Config

#: Core's codes that this path knows (``src/rpc/protocol.h``); interfaces.errors would cost too much here.
METHOD_NOT_FOUND = -32601
CLIENT_NOT_CONNECTED = -9
WALLET_NOT_SPECIFIED = -19
IN_WARMUP = -28

#: As in interfaces.errors: a call that a server's end cancelled before it took effect.
SHUTTING_DOWN = "Shutting down"
#: Commands that the signer is told of first, where there is one (`entrust.PURPOSES`).
WITH_PASSPHRASE = ("createwallet", "migratetosigner", "walletlock", "walletpassphrase", "walletpassphrasechange")
#: Columns where a terminal doesn't know how wide it is.
NO_WIDTH = 80
#: Seconds between attempts with -rpcwait.
RETRY = 0.2
#: Seconds that a server has to come up which the first call to its socket starts.
ACTIVATION = 30.0


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


class Unwritable(Exception):
    """Standard output doesn't take the answer; the text says why."""


class Starting(NoServer):
    """Somebody listens who hasn't said yet what he answers: our connection may have started him (systemd.socket(5))."""


class Unanswered(NoServer):
    """A server took the request and no answer came: its outcome is unknown."""


class Lost(Unanswered):
    """The same, and the server's process has ended."""


def run(config: "Config") -> int:
    """Run the command line's command. The exit status."""
    stand_in_for_closed_streams()
    try:
        if config.get_bool("getinfo") or config.get_bool("generate"):
            from .composite import run_composite

            return run_composite(config)
        words = read_words(config)
        if not words:
            raise BadArgument("too few parameters (need at least command)")
        return perform(config, words[0], words[1:])
    except (BadArgument, NoServer) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Unwritable as error:
        print(f"error: could not write the answer: {error}", file=sys.stderr)
        drop_output()
        return 1
    except Refused as refused:
        print(error_text(refused.code, refused.message), file=sys.stderr)
        return abs(refused.code) & 0xFF
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        drop_output()  # whoever read it has left
        return 1


def stand_in_for_closed_streams() -> None:
    """Open the standard streams that the caller closed, before a socket gets one's number: input is empty, what goes
    to errors is dropped (and not printed among results), and an answer can't be written."""
    streams = (("stdin", os.O_RDONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_WRONLY, "w"))
    for number, (name, access, mode) in enumerate(streams):
        if getattr(sys, name) is None:
            os.open(os.devnull, access)  # gets the lowest free number: this one
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115


def drop_output() -> None:
    """Keep the interpreter from complaining at its end about what standard output didn't take."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def read_words(config: "Config") -> "list[str]":
    """The command and its parameters, with what -stdin and -stdinwalletpassphrase read."""
    words = list(config.arguments)
    if config.get_bool("stdinwalletpassphrase"):
        if not words or not words[0].startswith("walletpassphrase"):
            raise BadArgument("-stdinwalletpassphrase is only applicable for walletpassphrase(change)")
        from .secret import read_passphrase

        words.insert(1, read_passphrase("Wallet passphrase> "))
    if config.get_bool("stdin"):
        words += sys.stdin.read().splitlines()
    return words


def perform(config: "Config", name: str, words: "list[str]") -> int:
    """Call one command and print its result; the exit status."""
    if name in FOR_PERSONS:
        from .supervision import perform_for_person

        return perform_for_person(config, name, words)
    if name == "events" and not config.get_bool("named"):
        from .events import follow_events

        return follow_events(config, words)
    result = call(config, name, words)
    if name == "help" and isinstance(result, str) and sys.stdout.isatty():
        from .format import wrapped

        result = wrapped(result, os.get_terminal_size(sys.stdout.fileno()).columns or NO_WIDTH)
    print_result(result)
    return 0


#: The supervisor's own commands, whose results are laid out for a person unless -json asks otherwise.
FOR_PERSONS = ("status", "health", "logs", "start", "stop", "restart", "reload")


def call(
    config: "Config", name: str, words: "list[str]", *, wallet: "str | None" = None, may_wait: bool = True
) -> "Any":
    """The result of a command, numbers as text. Waits for a server with -rpcwait, unless it may not.

    Raises:
        Refused: the server said no.
        NoServer: nobody answers.
        BadArgument: a parameter isn't what it has to be.
    """
    if wallet is None and config.is_set("rpcwallet") and not config.is_negated("rpcwallet"):
        wallet = config.get_str("rpcwallet")
    waiting = may_wait and config.get_bool("rpcwait")
    limit = config.get_seconds("rpcwaittimeout")
    deadline = time.monotonic() + limit
    activated = time.monotonic() + ACTIVATION
    while True:
        try:
            return _call_once(config, Servers.of(config, wallet), name, words, wallet)
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
    for server, command in servers.having(name):
        if server.role == "wallet" and servers.rivals(server):
            from .absent import wait_for_own

            wait_for_own(config, servers)
        if server.role == "wallet" and name in WITH_PASSPHRASE:
            from .passphrase import entrusted

            words = entrusted(config, command, words)
        line = request_line(config, command, words, wallet)
        connection = connected(server)
        if connection is None:
            continue
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


def request_line(config: "Config", command: Command, words: "list[str]", wallet: "str | None") -> bytes:
    params = named(command, words) if config.get_bool("named") else positional(command, words)
    return request(command.name, params, wallet=wallet)


def exchange(config: "Config", server: Server, connection: Connection, line: bytes) -> bytes:
    """Send a request and wait for its reply. A worker that is being started again keeps its callers waiting."""
    timeout = config.get_seconds("rpcclienttimeout") or None
    try:
        connection.send(line)
        return next_reply(connection, timeout)
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
    """The same of a reply that is parsed."""
    error = reply.get("error")
    if error is not None:
        held = error.get("data") == {"held": True}
        raise Refused(int(error["code"]), str(error["message"]), held=held)
    return reply["result"]


def print_result(result: "Any") -> None:
    """As bitcoin-cli: nothing for null, a string as it is, anything else as JSON."""
    if result is None:
        return
    text = result if isinstance(result, str) and not isinstance(result, Number) else write(result)
    try:
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Unwritable(error.strerror) from error


def error_text(code: int, message: str) -> str:
    """An error as bitcoin-cli prints it (``ParseError``)."""
    text = f"error code: {code}\nerror message:\n{message}"
    if code == WALLET_NOT_SPECIFIED and "-rpcwallet" not in message:
        text += (
            ' Or for the CLI, specify the "-rpcwallet=<walletname>" option before the command (run "bitcoin-mp -h" '
            'for help or "bitcoin-mp listwallets" to see which wallets are currently loaded).'
        )
    return text
