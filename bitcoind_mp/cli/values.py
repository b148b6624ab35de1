"""Values as a session decodes them, for the pure functions that work on text with its digits. Pure."""

import json
from decimal import Decimal
from typing import Any

from .arguments import BadArgument
from .jsontext import Number


def to_text_numbers(value: Any) -> Any:
    """The same with each number as `Number`: an amount keeps its eight decimals, what is smaller is written with an
    exponent, as Core does."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, dict):
        return {key: to_text_numbers(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [to_text_numbers(member) for member in value]
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        plain = isinstance(exponent, int) and -8 <= exponent <= 0
        return Number(f"{value:f}" if plain else str(value).lower())
    return Number(value)


def from_text(params: str) -> Any:
    """The text of ``params`` as values for a session; numbers with a fraction are Decimals.

    Raises:
        BadArgument: an object names a member twice, of which a session's values would keep one.
    """
    return json.loads(params, parse_float=Decimal, object_pairs_hook=_members)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise BadArgument(f"{name} is given more than once")
        members[name] = value
    return members
