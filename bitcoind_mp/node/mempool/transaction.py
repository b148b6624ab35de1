"""What a transaction must be whatever the chain: Bitcoin Core's ``CheckTransaction`` (``src/consensus/tx_check.cpp``),
and what it must be of the coins it spends (``CheckTxInputs``, ``src/consensus/tx_verify.cpp``), with Core's words.

btclib checks the same rules (``Tx.assert_valid``) but says which in words of its own.
"""

from collections.abc import Sequence

from btclib.consensus import MAX_BLOCK_WEIGHT, WITNESS_SCALE_FACTOR
from btclib.tx import Tx
from btclib.tx.coin import Coin
from btclib.tx.limits import COINBASE_MATURITY

from bitcoind_mp.interfaces.amounts import MAX_MONEY

from .feerate import format_money
from .rejected import Kind, Rejected


def check_transaction(tx: Tx, stripped_size: int) -> None:
    """Raise `Rejected` for what no chain could make valid. ``stripped_size`` is in bytes without witnesses."""
    if not tx.vin:
        raise Rejected("bad-txns-vin-empty")
    if not tx.vout:
        raise Rejected("bad-txns-vout-empty")
    if stripped_size * WITNESS_SCALE_FACTOR > MAX_BLOCK_WEIGHT:
        raise Rejected("bad-txns-oversize")
    _check_outputs(tx)
    spends = [(tx_in.prev_out.tx_id, tx_in.prev_out.vout) for tx_in in tx.vin]
    if len(set(spends)) != len(spends):
        raise Rejected("bad-txns-inputs-duplicate")
    if tx.is_coinbase:
        if not 2 <= len(tx.vin[0].script_sig) <= 100:
            raise Rejected("bad-cb-length")
    elif any(tx_in.prev_out.is_coinbase for tx_in in tx.vin):
        raise Rejected("bad-txns-prevout-null")


def _check_outputs(tx: Tx) -> None:
    total = 0
    for tx_out in tx.vout:
        if tx_out.value < 0:
            raise Rejected("bad-txns-vout-negative")
        if tx_out.value > MAX_MONEY:
            raise Rejected("bad-txns-vout-toolarge")
        total += tx_out.value
        if total > MAX_MONEY:
            raise Rejected("bad-txns-txouttotal-toolarge")


def fee_of(tx: Tx, coins: Sequence[Coin], height: int) -> int:
    """The fee, in satoshis, in a block at ``height``. ``coins`` are what it spends, in order.

    Raises:
        Rejected: an immature coinbase, amounts out of range, or more out than in.
    """
    value_in = 0
    for coin in coins:
        if coin.is_coinbase and height - coin.height < COINBASE_MATURITY:
            details = f"tried to spend coinbase at depth {height - coin.height}"
            raise Rejected("bad-txns-premature-spend-of-coinbase", details, Kind.PREMATURE_SPEND)
        value_in += coin.tx_out.value
        if not 0 <= coin.tx_out.value <= MAX_MONEY or value_in > MAX_MONEY:
            raise Rejected("bad-txns-inputvalues-outofrange")
    value_out = sum(tx_out.value for tx_out in tx.vout)
    if value_in < value_out:
        details = f"value in ({format_money(value_in)}) < value out ({format_money(value_out)})"
        raise Rejected("bad-txns-in-belowout", details)
    return value_in - value_out
