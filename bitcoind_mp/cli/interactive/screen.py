"""Where the shell prints: an interface, the terminal behind it, and the plain form for what is no terminal."""

import sys
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TextIO

from prompt_toolkit import print_formatted_text
from prompt_toolkit.formatted_text import ANSI, FormattedText, to_formatted_text
from prompt_toolkit.output import Output
from prompt_toolkit.utils import get_cwidth

from bitcoind_mp.cli.command.printed import error_text, tamed
from bitcoind_mp.cli.format import coloured, plain, wrapped
from bitcoind_mp.cli.jsontext import Number, write
from bitcoind_mp.cli.values import to_text_numbers

from .highlight import Fragments, json_fragments
from .style import STYLE

if TYPE_CHECKING:
    from bitcoind_mp.cli.format import Paint


class Screen(ABC):
    """What the shell says to a person."""

    #: How words are painted by the functions of `format`.
    paint: "Paint"

    @property
    def width(self) -> int | None:
        """Columns; None where lines may have any length."""
        return None

    @abstractmethod
    def pieces(self, fragments: Fragments) -> None:
        """Print styled text and a line end."""

    @abstractmethod
    def painted(self, text: str) -> None:
        """Print text that `paint` coloured, and a line end."""

    @abstractmethod
    def note(self, text: str) -> None:
        """Show a passing remark, which the next thing printed replaces; empty to take it back."""

    def text(self, text: str) -> None:
        """Print text as it is."""
        self.pieces([("", text)])

    def error(self, text: str) -> None:
        """Print what went wrong."""
        self.pieces([("class:error", text)])

    def refusal(self, code: int, message: str) -> None:
        """Print a server's error, as bitcoin-cli does."""
        self.error(error_text(code, message))

    def result(self, value: Any) -> None:
        """Print a command's result as bitcoin-cli does: nothing for null, a string as it is, else JSON."""
        fragments = result_fragments(value)
        if fragments:
            self.pieces(fragments)


def result_fragments(value: Any) -> Fragments:
    """What is printed of a result."""
    value = to_text_numbers(value)
    if value is None:
        return []
    if isinstance(value, str) and not isinstance(value, Number):
        return [("", value)]
    return json_fragments(write(value))


def narrowed(text: str, width: int) -> str:
    """As much of it as fits into so many columns."""
    while text and get_cwidth(text) > width:
        text = text[:-1]
    return text


def painted_fragments(text: str) -> Fragments:
    """Text that a `paint` coloured."""
    return [(style, piece) for style, piece, *_ in to_formatted_text(ANSI(text))]


class Terminal(Screen):
    """A terminal, by prompt_toolkit."""

    def __init__(self, output: Output, *, colour: bool) -> None:
        self.paint = coloured if colour else plain
        self._output = output
        self._colour = colour
        self._noted = False

    @property
    def width(self) -> int | None:
        return self._output.get_size().columns

    def pieces(self, fragments: Fragments) -> None:
        self._clear_note()
        shown = [(style if self._colour else "", tamed(text)) for style, text in fragments]
        print_formatted_text(FormattedText(shown), output=self._output, style=STYLE)

    def error(self, text: str) -> None:
        super().error(wrapped(text, self._output.get_size().columns))

    def painted(self, text: str) -> None:
        self._clear_note()
        print_formatted_text(ANSI(text), output=self._output, style=STYLE)

    def note(self, text: str) -> None:
        self._clear_note(anyway=not text)
        if text:
            shown = narrowed(text, self._output.get_size().columns - 1)
            fragments = FormattedText([("class:note" if self._colour else "", shown)])
            print_formatted_text(fragments, output=self._output, style=STYLE, end="")
            self._output.flush()
            self._noted = True

    def _clear_note(self, *, anyway: bool = False) -> None:
        """``anyway``: the terminal may have echoed a Ctrl-C."""
        if self._noted or anyway:
            self._output.write_raw("\r")
            self._output.erase_end_of_line()
            self._output.flush()
            self._noted = False


class Plain(Screen):
    """A pipe or a file: results on standard output, errors on standard error, nothing in passing."""

    def __init__(self, out: TextIO = sys.stdout, err: TextIO = sys.stderr) -> None:
        self.paint = plain
        self._out = out
        self._err = err

    def pieces(self, fragments: Fragments) -> None:
        print("".join(text for _, text in fragments), file=self._out, flush=True)

    def painted(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    def note(self, text: str) -> None:
        return

    def error(self, text: str) -> None:
        print(text, file=self._err, flush=True)
