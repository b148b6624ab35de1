"""A call that isn't answered at once, at a terminal: a person is told what it waits for, and how that gets on.

Only such a call imports this (``exchange.py``). The supervisor tells of its units as they change.
"""

import sys
import time
from select import select

from bitcoind_mp.cli.format import printable
from bitcoind_mp.cli.jsontext import parse

from .progress import READY, Progress, doing, units_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .exchange import Connection

#: Seconds for the rest of a line of which something has come.
_REST = 0.01


def reply_told(
    name: str,
    connection: "Connection",
    units: "Connection | None",
    next_reply: "Callable[[Connection, float], bytes]",
    timeout: "float | None",
) -> bytes:
    """The reply of the unit of that name, after no more than ``timeout`` seconds of silence. Over ``units``, which are
    closed, the supervisor tells how they are. Raises TimeoutError, ConnectionError."""
    progress = Progress(sys.stderr)
    progress.show(_waiting(name, ""))
    heard = time.monotonic()
    try:
        while True:
            sources = [connection] if units is None else [connection, units]
            left = None if timeout is None else max(0.0, heard + timeout - time.monotonic())
            ready = select(sources, [], [], left)[0]
            if not ready:
                raise TimeoutError
            if units in ready:
                units = _told(units, name, progress)
            if connection in ready:
                try:
                    return next_reply(connection, _REST)
                except TimeoutError:
                    heard = time.monotonic()
    finally:
        progress.end()
        if units is not None:
            units.close()


def _told(units: "Connection", name: str, progress: Progress) -> "Connection | None":
    """Show what the supervisor tells of that unit; the connection, None once it has ended."""
    try:
        while True:
            message = parse(units.receive(_REST).decode("utf-8", "surrogateescape"))
            if message.get("method") == "event.changed":
                line = next((unit for unit in units_of(message["params"]) if unit["name"] == name), None)
                progress.show(_waiting(name, _state(line) if line is not None else ""))
    except TimeoutError:
        return units
    except ConnectionError:
        units.close()
        return None


def _state(line: "dict[str, str]") -> str:
    if line["state"] in READY:
        return ""
    return doing(line).removeprefix(line["name"] + " ") + (f": {printable(line['reason'])}" if line["reason"] else "")


def _waiting(name: str, state: str) -> str:
    return f"Waiting for the {name}" + (f" ({state})" if state else "'s answer") + "… Ctrl-C cancels."
