"""JSON text to values and back, as every process of ours reads and writes it.

Numbers with a fraction or exponent are read as `Decimal`, so that amounts keep their digits; Decimals, dataclasses
and tuples are written. What isn't here: which values a message has (``jsonrpc``, ``dispatch``).
"""

import json
from decimal import Decimal
from typing import Any

import msgspec

from bitcoind_mp.interfaces.repeated import RepeatedMembers

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")

#: What `decode` raises for bytes that are not JSON in UTF-8, or that nest too deeply.
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

#: What `encode` raises for a value that has no JSON.
NO_JSON = (TypeError, ValueError, RecursionError, OverflowError)

#: Marks in the text that tell of a Decimal written with an exponent, or of one that is no number, each with a letter
#: of it that is looked for first: for one byte the search is a hundred times as fast as for two.
_MARKS = ((b"E", (b"E-", b"E+")), (b"N", (b"NaN",)), (b"I", (b"Infinity",)))


def decode(text: bytes) -> Any:
    """The value. Raises one of `NOT_JSON`."""
    return _decoder.decode(text)


def with_repeats(text: bytes, message: Any) -> Any:
    """The request, or batch of them, decoded from the text, with `RepeatedMembers` for each object of its params that
    names a member twice: msgspec keeps only the last. Costs a second reading, which commands with objects alone pay."""
    if type(message) is dict:
        if "." in str(message.get("method")) or type(message.get("params")) not in (list, dict):
            return message
    elif type(message) is not list:
        return message
    found: list[RepeatedMembers] = []

    def member(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        plain = dict(pairs)
        if len(plain) == len(pairs):
            return plain
        found.append(RepeatedMembers(pairs))
        return found[-1]

    try:
        exact = json.loads(text, parse_float=Decimal, object_pairs_hook=member)
    except (ValueError, RecursionError):  # numbers longer than Python reads, for one
        return message
    if not found:
        return message
    if type(message) is dict:
        return message | {"params": exact["params"]}
    return [
        one | {"params": same["params"]} if type(one) is dict and "params" in one else one
        for one, same in zip(message, exact, strict=True)
    ]


def encode(value: Any) -> bytes:
    """The text, on one line. Decimals are written out (0.00000000, not 0E-8). Raises one of `NO_JSON`."""
    text = _encoder.encode(value)
    for letter, marks in _MARKS:
        if letter in text and any(mark in text for mark in marks):
            return _encoder.encode(_written_out(value))
    return text


def _written_out(value: Any) -> Any:
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{value} is not a JSON number")
        return msgspec.Raw(format(value, "f").encode())
    if isinstance(value, dict):
        return {key: _written_out(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_written_out(item) for item in value]
    return value
