"""How units get on, told to a person who waits for them at a terminal: in one line, written over."""

import os

from bitcoind_mp.cli.format import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

#: States of a unit in which it serves.
READY = ("running", "reloading")


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
