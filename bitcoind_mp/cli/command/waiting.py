"""``status --wait``: until each unit is ready, or has failed, telling a person at a terminal how far it is, and
everybody what a unit is held by."""

import os
import sys
import time

from bitcoind_mp.cli.format import printable
from bitcoind_mp.cli.jsontext import quote
from bitcoind_mp.config.instances import PREFIX, instance

from .exchange import NoServer
from .following import follow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TextIO

    from bitcoind_mp.config import Config

#: States of a unit from which nothing leads to another by itself but an end that nobody foresees.
_SETTLED = ("running", "reloading", "stopped", "failed")
READY = ("running", "reloading")


def wait_for_units(config: "Config", units: "list[str]") -> bool:
    """Wait for these units, with none named for all; whether each is ready. A unit that is stopped and wasn't named
    counts for nothing: nobody wants it up. With -rpcclienttimeout it gives up after that time.

    Raises:
        NoServer: there is no supervisor, or it has ended, or time is up.
    """
    limit = config.get_seconds("rpcclienttimeout") if config.is_set("rpcclienttimeout") else 0
    deadline = time.monotonic() + limit if limit else None
    progress = Progress(sys.stderr)
    # A wallet's unit may be named by the wallet's name as people write it.
    units = units + [PREFIX + instance(unit.removeprefix(PREFIX)) for unit in units if unit.startswith(PREFIX)]

    def left() -> "float | None":
        if deadline is not None and deadline <= time.monotonic():
            raise TimeoutError
        return None if deadline is None else deadline - time.monotonic()

    try:
        told = follow(config, "events.subscribe", f"[[{quote('unit')}],1]", "event.changed", left)
        return _wait(map(units_of, told), units, progress)
    except TimeoutError:
        raise NoServer(f"timeout: not ready within {limit:g} s: {progress.text or 'nothing was heard'}") from None
    except ConnectionError:
        raise NoServer("The supervisor has ended.") from None
    finally:
        progress.end()


def _wait(told: "Iterator[list[dict[str, Any]]]", units: "list[str]", progress: "Progress") -> bool:
    for lines in told:
        chosen = [line for line in lines if line["name"] in units] if units else lines
        if units and not chosen:
            raise NoServer(f"There is no unit named {units[0]!r}: see status")
        if all(line["state"] in _SETTLED for line in chosen):
            return all(line["state"] in READY or (not units and line["state"] == "stopped") for line in chosen)
        for line in chosen:
            if line["state"] == "held":
                progress.tell(
                    f"{line['name']} is held, and starts by itself once what is in its way is gone: {line['reason']}"
                )
        progress.show(", ".join(map(doing, chosen)))
    raise AssertionError("they are followed until that fails")


def units_of(params: "Any") -> "list[dict[str, Any]]":
    """What the topic ``unit`` tells: each unit in brief."""
    state = params["state"] if isinstance(params, dict) else params[1]
    found: list[dict[str, Any]] = state["units"]
    return found


def doing(line: "dict[str, Any]") -> str:
    """A unit in few words: what it says of itself while it comes up."""
    text = printable(str(line.get("status") or ""))
    return f"{line['name']} {line['state']}" + (f" ({text})" if text and line["state"] not in READY else "")


class Progress:
    """One line on a terminal, written over; elsewhere nothing. And lines that stay, wherever it is."""

    def __init__(self, stream: "TextIO") -> None:
        self.text = ""
        self._all = stream
        self._stream = stream if stream.isatty() else None
        self._told: set[str] = set()

    def tell(self, text: str) -> None:
        """Once."""
        if text not in self._told:
            self._told.add(text)
            self.end()
            self.text = ""
            print(printable(text), file=self._all, flush=True)

    def show(self, text: str) -> None:
        if text != self.text and self._stream is not None:
            columns = os.get_terminal_size(self._stream.fileno()).columns
            shown = text[: columns - 1] if columns else text  # what goes on on the next line can't be taken back
            print(f"\r\x1b[K{shown}", end="", file=self._stream, flush=True)
        self.text = text

    def end(self) -> None:
        if self.text and self._stream is not None:
            print("\r\x1b[K", end="", file=self._stream, flush=True)
