"""A transaction as JSON, and from hex (``TxToUniv`` and ``DecodeTx``, Core's ``src/core_io.cpp``)."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from btclib.exceptions import BTClibValueError
from btclib.script.limits import MAX_SCRIPT_ELEMENT_SIZE, MAX_SCRIPT_SIZE
from btclib.script.script import op_code_spans
from btclib.tx.tx import Tx
from btclib.tx.tx_in import TxIn
from btclib.tx.tx_out import TxOut

from bitcoind_mp.interfaces.amounts import btc

from .hex_values import hex_bytes
from .script import asm, script_json

#: the highest byte that is an op code (``MAX_OPCODE``, ``src/script/script.h``)
_MAX_OPCODE = 0xB9


class SpentOutput(Protocol):
    """An output that an input spends: btclib's ``Coin`` is one."""

    @property
    def tx_out(self) -> TxOut: ...
    @property
    def height(self) -> int: ...
    @property
    def is_coinbase(self) -> bool: ...


def transaction_json(
    tx: Tx,
    chain: str,
    *,
    with_hex: bool = False,
    spent: Sequence[SpentOutput] | None = None,
    with_prevouts: bool = False,
    is_change: Callable[[TxOut], bool] | None = None,
) -> dict[str, Any]:
    """A decoded transaction in Core's field order.

    ``spent`` gives the outputs that the inputs spend, in order, and with them the fee; ``with_prevouts`` shows them.
    ``is_change`` marks outputs with ``ischange`` (the wallet's `gettransaction`).
    """
    out: dict[str, Any] = {
        "txid": tx.id.hex(),
        "hash": tx.hash.hex(),
        "version": tx.version,
        "size": tx.size,
        "vsize": tx.vsize,
        "weight": tx.weight,
        "locktime": tx.lock_time,
        "vin": [],
        "vout": [],
    }
    coinbase = tx.is_coinbase
    for i, tx_in in enumerate(tx.vin):
        prevout = spent[i] if spent is not None and with_prevouts else None
        out["vin"].append(_input_json(tx_in, chain, coinbase, prevout))
    for n, tx_out in enumerate(tx.vout):
        rendered = {
            "value": btc(tx_out.value),
            "n": n,
            "scriptPubKey": script_json(tx_out.script_pub_key.script, chain),
        }
        if is_change is not None and is_change(tx_out):
            rendered["ischange"] = True
        out["vout"].append(rendered)
    if spent is not None:
        out["fee"] = btc(sum(coin.tx_out.value for coin in spent) - sum(tx_out.value for tx_out in tx.vout))
    if with_hex:
        out["hex"] = tx.serialize(include_witness=True, check_validity=False).hex()
    return out


def _input_json(tx_in: TxIn, chain: str, coinbase: bool, prevout: SpentOutput | None) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if coinbase:
        out["coinbase"] = tx_in.script_sig.hex()
    else:
        out["txid"] = tx_in.prev_out.tx_id.hex()
        out["vout"] = tx_in.prev_out.vout
        out["scriptSig"] = {"asm": asm(tx_in.script_sig, signatures=True), "hex": tx_in.script_sig.hex()}
    if tx_in.script_witness.stack:
        out["txinwitness"] = [item.hex() for item in tx_in.script_witness.stack]
    if prevout is not None:
        out["prevout"] = {
            "generated": prevout.is_coinbase,
            "height": prevout.height,
            "value": btc(prevout.tx_out.value),
            "scriptPubKey": script_json(prevout.tx_out.script_pub_key.script, chain),
        }
    out["sequence"] = tx_in.sequence
    return out


def decode_transaction(text: str, *, try_witness: bool = True, try_no_witness: bool = True) -> Tx | None:
    """Read a transaction's hex, None where it is none (``DecodeHexTx``).

    The serialisation with witnesses and the one without can both fit; the first whose scripts make sense wins,
    and the one with witnesses where neither's do.
    """
    raw = hex_bytes(text)
    return None if raw is None else parse_transaction(raw, try_witness=try_witness, try_no_witness=try_no_witness)


def parse_transaction(raw: bytes, *, try_witness: bool = True, try_no_witness: bool = True) -> Tx | None:
    """`decode_transaction` for bytes."""
    extended = _parsed(Tx.parse, raw) if try_witness else None
    if extended is not None and _scripts_make_sense(extended):
        return extended
    legacy = _parsed(Tx.parse_without_witness, raw) if try_no_witness else None
    if legacy is not None and _scripts_make_sense(legacy):
        return legacy
    return legacy if extended is None else extended


def _parsed(parse: Callable[..., Tx], raw: bytes) -> Tx | None:
    try:
        return parse(raw, check_validity=False)
    except BTClibValueError:
        return None


def _scripts_make_sense(tx: Tx) -> bool:
    """``CheckTxScriptsSanity``"""
    scripts = [] if tx.is_coinbase else [tx_in.script_sig for tx_in in tx.vin]
    scripts += [tx_out.script_pub_key.script for tx_out in tx.vout]
    return all(len(script) <= MAX_SCRIPT_SIZE and has_valid_ops(script) for script in scripts)


def has_valid_ops(script: bytes) -> bool:
    """Whether the script parses to its end with known op codes and pushes of at most 520 bytes
    (``CScript::HasValidOps``)."""
    end = 0
    for op_code, start, stop in op_code_spans(script):
        length_bytes = {0x4C: 1, 0x4D: 2, 0x4E: 4}.get(op_code, 0)
        if op_code > _MAX_OPCODE or (op_code <= 0x4E and stop - start - 1 - length_bytes > MAX_SCRIPT_ELEMENT_SIZE):
            return False
        end = stop
    return end == len(script)
