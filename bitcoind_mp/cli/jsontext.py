"""JSON as bitcoin-cli reads and prints it: numbers keep the digits they came with.

The C scanner of the standard library is used by itself: the ``json`` package around it would cost the one-shot path
more than reading and printing the reply.
"""

from _json import encode_basestring, make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BLANK = " \t\r\n"


class Number(str):
    """A JSON number: the text as it stood."""

    __slots__ = ()


class NotJson(ValueError):
    """The text is not one JSON value."""


def _no_constant(name: str) -> None:
    raise NotJson(name)


class _Rules:
    """What the scanner asks of the decoder it was made for."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = Number
    parse_int = Number
    parse_constant = staticmethod(_no_constant)


_scan = make_scanner(_Rules())  # type: ignore[arg-type]  # typeshed wants the decoder to be a scanner


def parse(text: str) -> "Any":
    """The value: dict, list, str, bool, None, and `Number` for a number. Raises `NotJson`."""
    text = text.strip(_BLANK)
    try:
        value, end = _scan(text, 0)
    except (StopIteration, ValueError, RecursionError, SystemError) as error:
        # SystemError: the scanner's own word for half a text, where nobody has imported the decoder with its exception.
        raise NotJson(text) from error
    if end != len(text):
        raise NotJson(text)
    return value


def quote(text: str) -> str:
    """A string in JSON, other scripts than Latin as they are (UniValue's ``json_escape``)."""
    quoted = encode_basestring(text)
    return quoted.replace("\x7f", "\\u007f") if "\x7f" in quoted else quoted


def compact(value: "Any") -> str:
    """On one line."""
    return write(value, 0)


def write(value: "Any", indent: int = 2) -> str:
    """As UniValue's ``write(2)``: an empty array or object has its closing bracket on a line of its own."""
    parts: list[str] = []
    _write(value, indent, 1, parts.append)
    return "".join(parts)


def _write(value: "Any", indent: int, level: int, put: "Any") -> None:
    if isinstance(value, Number):
        put(value)
    elif isinstance(value, str):
        put(quote(value))
    elif value is None:
        put("null")
    elif value is True or value is False:
        put("true" if value else "false")
    elif isinstance(value, dict | list):
        _write_members(value, indent, level, put)
    else:
        put(str(value))


def _write_members(value: "dict[str, Any] | list[Any]", indent: int, level: int, put: "Any") -> None:
    brackets = "{}" if isinstance(value, dict) else "[]"
    newline = "\n" + " " * (indent * level) if indent else ""
    put(brackets[0])
    separator = newline
    if isinstance(value, dict):
        for key, member in value.items():
            put(separator + quote(key) + (": " if indent else ":"))
            _write(member, indent, level + 1, put)
            separator = "," + newline
    else:
        for member in value:
            put(separator)
            _write(member, indent, level + 1, put)
            separator = "," + newline
    put(("\n" + " " * (indent * (level - 1)) if indent else "") + brackets[1])
