"""Amounts of bitcoin: satoshis inside, BTC with eight decimals at the edge, as Bitcoin Core prints them."""

from decimal import Decimal

COIN = 100_000_000
MAX_MONEY = 21_000_000 * COIN
_EIGHT_PLACES = Decimal("0.00000001")


def btc(satoshis: int) -> Decimal:
    """The amount in BTC with exactly eight decimals (``ValueFromAmount``, Core's ``src/core_io.cpp``)."""
    return (Decimal(satoshis) * _EIGHT_PLACES).quantize(_EIGHT_PLACES)


def satoshis(amount: Decimal | int | float | str) -> int:
    """The amount in satoshis (Core's ``ParseFixedPoint(…, 8)``).

    Raises:
        ValueError: not a finite number, or more than eight decimals.
    """
    try:
        value = Decimal(str(amount)) * COIN
    except ArithmeticError as error:
        raise ValueError(f"not a number: {amount!r}") from error
    if not value.is_finite() or value != value.to_integral_value():
        raise ValueError(f"more than eight decimals: {amount!r}")
    return int(value)
