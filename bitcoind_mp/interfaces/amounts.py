"""Amounts of bitcoin: satoshis inside, BTC with eight decimals at the edge, as Bitcoin Core prints them."""

import re
from decimal import Decimal

COIN = 100_000_000
MAX_MONEY = 21_000_000 * COIN
_LIMIT = 10**18
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,4})?")
_EIGHT_PLACES = Decimal("0.00000001")


def btc(satoshis: int) -> Decimal:
    """The amount in BTC with exactly eight decimals (``ValueFromAmount``, Core's ``src/core_io.cpp``)."""
    return (Decimal(satoshis) * _EIGHT_PLACES).quantize(_EIGHT_PLACES)


def satoshis(amount: Decimal | int | float | str) -> int:
    """The amount in satoshis (Core's ``ParseFixedPoint(…, 8)``).

    A text is a number as JSON writes one: no sign before it but ``-``, no leading zeros, digits on both sides of the
    point.

    Raises:
        ValueError: not such a number, more than eight decimals, or out of the range of what is a number here (10^18).
    """
    text = str(amount)
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"not a number: {amount!r}")
    value = Decimal(text) * COIN
    if value != value.to_integral_value() or abs(value) >= _LIMIT:
        raise ValueError(f"more than eight decimals, or too large: {amount!r}")
    return int(value)
