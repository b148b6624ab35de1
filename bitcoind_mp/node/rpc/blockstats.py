"""The numbers of `getblockstats` (``src/rpc/blockchain.cpp``)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from btclib.block.block import Block
from btclib.consensus import ConsensusParams, subsidy
from btclib.script.spendability import is_unspendable
from btclib.tx.coin import Coin
from btclib.tx.tx import Tx
from btclib.tx.tx_out import TxOut

from bitcoind_mp.node.chain.header import BlockNode

#: what an unspent output takes besides itself: its outpoint, and its height with the coinbase bit
_PER_UTXO_OVERHEAD = 36 + 4


@dataclass
class _Totals:
    """What is added up over a block's transactions."""

    fees: list[int] = field(default_factory=list)
    rates: list[tuple[int, int]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)
    inputs: int = 0
    outputs: int = 0
    total_out: int = 0
    spendable: int = 0
    utxo_size: int = 0
    spendable_size: int = 0
    segwit_count: int = 0
    segwit_size: int = 0
    segwit_weight: int = 0


def block_stats(
    node: BlockNode, block: Block, spent: Sequence[Sequence[Coin]], consensus: ConsensusParams
) -> dict[str, Any]:
    """All values in Core's order. ``spent`` are the coins spent by each transaction but the coinbase."""
    transactions = block.transactions
    counted = node.height > 0
    repeat = any(height == node.height and hash == node.hash for height, hash in consensus.bip30_exceptions)
    totals = _Totals()
    for index, tx in enumerate(transactions):
        _add_outputs(totals, tx, counted=counted and not (repeat and tx.is_coinbase))
        if not tx.is_coinbase:
            _add_spender(totals, tx, spent[index - 1])
    others = len(transactions) - 1
    total_fee, total_weight, total_size = sum(totals.fees), sum(totals.weights), sum(totals.sizes)
    rates = [rate for rate, _ in totals.rates]
    return {
        "avgfee": total_fee // others if others else 0,
        "avgfeerate": total_fee * 4 // total_weight if total_weight else 0,
        "avgtxsize": total_size // others if others else 0,
        "blockhash": node.hash.hex(),
        "feerate_percentiles": _percentiles(totals.rates, total_weight),
        "height": node.height,
        "ins": totals.inputs,
        "maxfee": max(totals.fees, default=0),
        "maxfeerate": max(rates, default=0),
        "maxtxsize": max(totals.sizes, default=0),
        "medianfee": _median(totals.fees),
        "mediantime": node.median_time,
        "mediantxsize": _median(totals.sizes),
        "minfee": min(totals.fees, default=0),
        "minfeerate": min(rates, default=0),
        "mintxsize": min(totals.sizes, default=0),
        "outs": totals.outputs,
        "subsidy": subsidy(node.height, consensus.subsidy_halving_interval),
        "swtotal_size": totals.segwit_size,
        "swtotal_weight": totals.segwit_weight,
        "swtxs": totals.segwit_count,
        "time": node.time,
        "total_out": totals.total_out,
        "total_size": total_size,
        "total_weight": total_weight,
        "totalfee": total_fee,
        "txs": len(transactions),
        "utxo_increase": totals.outputs - totals.inputs,
        "utxo_size_inc": totals.utxo_size,
        "utxo_increase_actual": totals.spendable - totals.inputs,
        "utxo_size_inc_actual": totals.spendable_size,
    }


def _size_of(tx_out: TxOut) -> int:
    return len(tx_out.serialize(check_validity=False)) + _PER_UTXO_OVERHEAD


def _add_outputs(totals: _Totals, tx: Tx, *, counted: bool) -> None:
    """``counted`` is False for outputs that no coins database ever holds: genesis, and a coinbase seen before."""
    totals.outputs += len(tx.vout)
    for tx_out in tx.vout:
        size = _size_of(tx_out)
        totals.utxo_size += size
        if counted and not is_unspendable(tx_out.script_pub_key.script):
            totals.spendable += 1
            totals.spendable_size += size


def _add_spender(totals: _Totals, tx: Tx, spent: Sequence[Coin]) -> None:
    paid_out = sum(tx_out.value for tx_out in tx.vout)
    fee = sum(coin.tx_out.value for coin in spent) - paid_out
    size, weight = tx.size, tx.weight
    totals.inputs += len(tx.vin)
    totals.total_out += paid_out
    totals.sizes.append(size)
    totals.weights.append(weight)
    totals.fees.append(fee)
    totals.rates.append((fee * 4 // weight, weight))
    if tx.is_segwit:
        totals.segwit_count += 1
        totals.segwit_size += size
        totals.segwit_weight += weight
    freed = sum(_size_of(coin.tx_out) for coin in spent)
    totals.utxo_size -= freed
    totals.spendable_size -= freed


def _median(values: list[int]) -> int:
    """The median, the mean of the middle two rounded down."""
    if not values:
        return 0
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) // 2


def _percentiles(rates: list[tuple[int, int]], total_weight: int) -> list[int]:
    """Fee rates below which lie a tenth, a quarter, half, three quarters and nine tenths of the block's weight."""
    if not rates:
        return [0] * 5
    ordered = sorted(rates)
    limits = [
        total_weight / 10.0,
        total_weight / 4.0,
        total_weight / 2.0,
        total_weight * 3.0 / 4.0,
        total_weight * 9.0 / 10.0,
    ]
    found: list[int] = []
    weight = 0
    for rate, own in ordered:
        weight += own
        while len(found) < len(limits) and weight >= limits[len(found)]:
            found.append(rate)
    return found + [ordered[-1][0]] * (len(limits) - len(found))
