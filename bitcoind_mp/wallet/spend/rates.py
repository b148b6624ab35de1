"""Fee rates and amounts: their arithmetic and how Bitcoin Core writes them in its messages.

A fee rate is an int in satoshis per 1000 virtual bytes (sat/kvB), an amount an int in satoshis. What rate a
transaction should pay is ``fees.py``'s question.
"""

from btclib.fee import FeeRate, dust_threshold

from bitcoind_mp.interfaces.amounts import COIN

#: ``WITNESS_SCALE_FACTOR``: weight units in one virtual byte.
SCALE = 4


def fee_for(rate: int, vsize: int) -> int:
    """The fee for ``vsize`` virtual bytes at ``rate``, rounded up (``CFeeRate::GetFee``)."""
    return -(-rate * vsize // 1000)


def rate_of(fee: int, vsize: int) -> int:
    """The rate that ``fee`` satoshis over ``vsize`` virtual bytes make, rounded down (``CFeeRate::GetFeePerK``)."""
    return fee * 1000 // vsize if vsize > 0 else 0


def vsize_of(weight: int) -> int:
    """Virtual bytes of a weight, rounded up (``GetVirtualTransactionSize`` without signature operations)."""
    return -(-weight // SCALE)


def compact_size(count: int) -> int:
    """How many bytes a compact size holding ``count`` takes."""
    if count < 253:
        return 1
    if count < 0x10000:
        return 3
    return 5 if count < 0x100000000 else 9


def output_size(script: bytes) -> int:
    """Bytes of an output paying to ``script``."""
    return 8 + compact_size(len(script)) + len(script)


def dust_limit(script: bytes, rate: int) -> int:
    """The least amount in satoshis that an output with this script may carry at that dust rate."""
    return dust_threshold(script, FeeRate(sats_per_kvbyte=rate))


def is_dust(amount: int, script: bytes, rate: int) -> bool:
    """Core's ``IsDust``."""
    return amount < dust_limit(script, rate)


def sat_per_vb(rate: int) -> str:
    """A rate as Core prints it with ``FeeRateFormat::SAT_VB``: ``1.500 sat/vB``."""
    return f"{rate // 1000}.{rate % 1000:03d} sat/vB"


def money(amount: int) -> str:
    """An amount in BTC as Core's ``FormatMoney`` writes it: at least two decimals, trailing zeros dropped."""
    whole, fraction = divmod(abs(amount), COIN)
    decimals = f"{fraction:08d}".rstrip("0").ljust(2, "0")
    return f"{'-' if amount < 0 else ''}{whole}.{decimals}"
