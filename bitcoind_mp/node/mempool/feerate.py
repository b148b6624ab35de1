"""Fee rates, and amounts as Bitcoin Core's messages write them.

A rate is an int in sat/kvB. What belongs here: the rounding rules of Core's ``CFeeRate``
(``src/policy/feerate.cpp``) and ``FormatMoney`` (``src/util/moneystr.cpp``).
"""

from bitcoind_mp.interfaces.amounts import COIN


def fee_at(rate: int, vsize: int) -> int:
    """Satoshis that ``vsize`` vB owe at ``rate`` sat/kvB, rounded up (``CFeeRate::GetFee``)."""
    return -(-rate * vsize // 1000)


def rate_of(fee: int, vsize: int) -> int:
    """sat/kvB that ``fee`` satoshis are over ``vsize`` vB, rounded down (``CFeeRate::GetFeePerK``)."""
    return fee * 1000 // vsize if vsize > 0 else 0


def format_money(satoshis: int) -> str:
    """``0.10``, ``1.00001``: BTC with at least two decimals and no more zeros than that."""
    whole, part = divmod(abs(satoshis), COIN)
    decimals = f"{part:08d}"
    return f"{'-' if satoshis < 0 else ''}{whole}.{decimals[:2]}{decimals[2:].rstrip('0')}"


def format_rate(rate: int) -> str:
    """``0.00001000 BTC/kvB`` (``CFeeRate::ToString``)."""
    return f"{rate // COIN}.{rate % COIN:08d} BTC/kvB"
