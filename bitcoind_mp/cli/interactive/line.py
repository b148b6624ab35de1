"""The shell's line grammar: a line is what would follow ``bitcoin-mp`` in a POSIX shell. Pure.

Words are separated by blanks; ``'…'`` and ``"…"`` hold blanks, a backslash the next character. Besides that, a word
that starts with a bracket is JSON and goes on to its closing bracket, blanks, quotes and line breaks included, so that
nobody has to quote JSON. Options before the command: ``-named``, ``-json`` and ``-rpcwallet=NAME``;
``-generate`` is a command itself, as in bitcoin-cli.
"""

from dataclasses import dataclass, field, replace
from itertools import pairwise

_BLANK = " \t\r\n"
#: bitcoin-cli's command that is written as an option.
GENERATE = "generate"
_OPENING = "[{"
_CLOSING = "]}"


class BadLine(ValueError):
    """The line is no command; the text says why."""


class Unfinished(BadLine):
    """A quote or bracket is open: the next line belongs to this one. ``inside`` is what is open."""

    def __init__(self, inside: str) -> None:
        super().__init__(f"unfinished: {inside} is not closed")
        self.inside = inside


@dataclass(frozen=True)
class Word:
    """One word: its ``text`` without quoting, and where it stands in the line."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Line:
    """A line taken apart. ``wallet`` is None where -rpcwallet wasn't given."""

    command: str = ""
    words: list[str] = field(default_factory=list)
    named: bool = False
    json: bool = False
    wallet: str | None = None


def split(text: str) -> list[Word]:
    """The words. Raises `Unfinished`."""
    words: list[Word] = []
    position = 0
    while True:
        while position < len(text) and text[position] in _BLANK:
            position += 1
        if position == len(text):
            return words
        start = position
        reader = _json_word if text[position] in _OPENING else _plain_word
        word, position = reader(text, position)
        words.append(Word(word, start, position))


def commands(text: str) -> list[str]:
    """The lines that each are a command of their own: what was pasted may be several. Raises `Unfinished`."""
    words = split(text)
    found = []
    start = 0
    for before, after in pairwise(words):
        if "\n" in text[before.end : after.start]:
            found.append(text[start : before.end])
            start = after.start
    return [*found, text[start : words[-1].end]] if words else []


def _plain_word(text: str, position: int) -> tuple[str, int]:
    parts: list[str] = []
    while position < len(text) and text[position] not in _BLANK:
        character = text[position]
        if character == "'":
            end = text.find("'", position + 1)
            if end < 0:
                raise Unfinished("'")
            parts.append(text[position + 1 : end])
            position = end + 1
        elif character == '"':
            inner, position = _double_quoted(text, position + 1)
            parts.append(inner)
        elif character == "\\":
            if position + 1 == len(text):
                raise Unfinished("\\")
            parts.append("" if text[position + 1] == "\n" else text[position + 1])
            position += 2
        else:
            parts.append(character)
            position += 1
    return "".join(parts), position


def _double_quoted(text: str, position: int) -> tuple[str, int]:
    parts: list[str] = []
    while position < len(text):
        character = text[position]
        if character == '"':
            return "".join(parts), position + 1
        if character == "\\" and position + 1 < len(text) and text[position + 1] in '"\\':
            position += 1
            character = text[position]
        parts.append(character)
        position += 1
    raise Unfinished('"')


def _json_word(text: str, position: int) -> tuple[str, int]:
    """From an opening bracket to the one that closes it, as it stands."""
    start = position
    depth = 0
    while position < len(text):
        character = text[position]
        if character == '"':
            position = _json_string(text, position + 1)
            continue
        depth += (character in _OPENING) - (character in _CLOSING)
        position += 1
        if depth == 0:
            return _to_blank(text, start, position)
    raise Unfinished(text[start])


def _to_blank(text: str, start: int, position: int) -> tuple[str, int]:
    while position < len(text) and text[position] not in _BLANK:
        position += 1
    return text[start:position], position


def _json_string(text: str, position: int) -> int:
    while position < len(text):
        if text[position] == '"':
            return position + 1
        position += 2 if text[position] == "\\" else 1
    raise Unfinished('"')


def parse(text: str) -> Line:
    """The command, its words, and the options before it. Raises `BadLine`, for an open bracket `Unfinished`."""
    words = [word.text for word in split(text)]
    named = json = False
    wallet = None
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option.lstrip("-") == GENERATE:
            return Line(f"-{GENERATE}", words, named, json, wallet)
        key, equals, value = option.lstrip("-").partition("=")
        if key == "named" and not equals:
            named = True
        elif key == "json" and not equals:
            json = True
        elif key == "rpcwallet" and equals:
            wallet = value
        else:
            raise BadLine(
                f"{option} is not for a line of the shell: -named, -json and -rpcwallet=NAME are, and -generate"
            )
    return Line(words[0] if words else "", words[1:], named, json, wallet)


def inner(line: Line) -> Line:
    """The command that ``watch COMMAND`` runs; any other line itself."""
    if line.command != "watch" or not line.words:
        return line
    return replace(line, command=line.words[0], words=line.words[1:])


def is_finished(text: str) -> bool:
    """Whether Enter ends the line: no quote or bracket is open."""
    try:
        split(text)
    except Unfinished:
        return False
    return True
