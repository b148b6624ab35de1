"""The supervisor's own commands as one-shot commands: how they are called, printed, and their exit statuses."""

import os
import sys
import time

from .arguments import BadArgument, request
from .format import coloured, health_text, logs_text, plain, printable, status_text, unit_line
from .jsontext import compact, parse, quote
from .oneshot import NoServer, call, connected, nobody_text, print_result, result_of
from .routing import Servers
from .terminal import wants_colour

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from bitcoind_mp.config import Config

#: ``systemctl status`` of a unit that isn't active.
NOT_ACTIVE = 3
#: Lines of ``logs`` where -n doesn't say.
LINES = "50"


def perform_for_person(config: "Config", name: str, words: "list[str]") -> int:
    """Call one of `oneshot.FOR_PERSONS` and print what it answers, as JSON with -json. The exit status: of ``health``
    0, 1 or 2, of ``status UNIT`` 3 where it isn't active."""
    follow = False
    if name in ("logs", "status"):
        words, follow = read_switches(name, words)
    if follow:
        return follow_logs(config, words)
    result = call(config, name, words)
    if config.get_bool("json") or isinstance(result, str):
        print_result(result)
    else:
        print_result(text_of(name, result, coloured if wants_colour(config) else plain))
    return exit_status(name, words, result)


def read_switches(name: str, words: "list[str]") -> "tuple[list[str], bool]":
    """``-f`` and ``-n LINES`` of ``logs`` and ``status``, wherever they stand: the words by position, and whether to
    follow. Raises `BadArgument`."""
    positions: list[str] = []
    lines = ""
    follow = False
    rest = iter(words)
    for word in rest:
        if word in ("-f", "--follow") and name == "logs":
            follow = True
        elif word in ("-n", "--lines"):
            lines = next(rest, "")
            if not lines:
                raise BadArgument(f"{word} needs a number of lines")
        elif word.startswith(("-n", "--lines=")):
            lines = word.removeprefix("--lines=").removeprefix("-n")
        elif word.startswith("-"):
            raise BadArgument(f"{name}: unknown option {word}: expected {'-f or ' if name == 'logs' else ''}-n LINES")
        else:
            positions.append(word)
    if lines:
        positions = [positions[0] if positions else "", lines]
    return positions, follow


def text_of(name: str, result: "Any", paint: "Any") -> str:
    """A result laid out for a person."""
    if name == "status":
        return status_text(result, time.time(), paint)
    if name == "health":
        return health_text(result, paint)
    if name == "logs":
        return logs_text(result, paint)
    return unit_line(result, paint)


def exit_status(name: str, words: "list[str]", result: "Any") -> int:
    """What the result says to a script."""
    if name == "health":
        return int(result["exit"])
    if name == "status" and words and words[0]:
        return 0 if result["units"][0]["active"] in ("active", "reloading") else NOT_ACTIVE
    return 0


def follow_logs(config: "Config", words: "list[str]") -> int:
    """Print log lines as they are written, until interrupted or the supervisor ends."""
    unit = words[0] if words else ""
    lines = words[1] if len(words) > 1 else LINES
    if not lines.isascii() or not lines.isdigit():
        raise BadArgument(f"-n {lines}: expected a number of lines")
    server = next((server for server, _ in Servers.of(config).having("logs")), None)
    connection = connected(server) if server is not None else None
    if connection is None:
        raise NoServer(nobody_text(config))
    try:
        connection.send(request("init.handshake", hello_text(config)))
        connection.send(request("logs.follow", f"[{quote(unit)},{lines},1]"))
        while True:
            message = parse(connection.receive().decode("utf-8", "surrogateescape"))
            if "method" not in message:
                result_of(message)
            elif message["method"] == "log.lines":
                _print_lines(message["params"], with_name=not unit)
    except ConnectionError:
        print("The supervisor has ended.", file=sys.stderr)
        return 1
    finally:
        connection.close()


def hello_text(config: "Config") -> str:
    """The parameters of a handshake: what opens a connection that follows something."""
    from bitcoind_mp import __version__
    from bitcoind_mp.interfaces.init import PROTOCOL_VERSION

    hello = {"role": "cli", "protocol": PROTOCOL_VERSION, "chain": config.chain, "version": __version__}
    return compact([{**hello, "pid": os.getpid()}])


def _print_lines(params: "Any", *, with_name: bool) -> None:
    unit, lines = (params["unit"], params["lines"]) if isinstance(params, dict) else params
    prefix = f"{unit}: " if with_name else ""
    print_result("\n".join(prefix + printable(line) for line in lines))
