"""The outputs that a call says are being spent, and what signing came to, as JSON (``ParsePrevouts`` and
``SignTransactionResultToJSON``, Core's ``src/rpc/rawtransaction_util.cpp``)."""

from collections.abc import Mapping
from typing import Any

from btclib.hashes import hash160
from btclib.tx.tx import Tx
from btclib.tx.tx_out import TxOut

from bitcoind_mp.interfaces.amounts import MAX_MONEY, btc
from bitcoind_mp.interfaces.command import parse_amount, parse_hash, parse_hex
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.json_values import check_object, expect, integer
from bitcoind_mp.render.script import asm

from .creator import SIGHASH_ALL, SIGHASH_ANYONECANPAY, SIGHASH_DEFAULT, SIGHASH_NONE, SIGHASH_SINGLE
from .keystore import KeyStore
from .produce import witness_script_of
from .transaction import MISSING_AMOUNT

OutPoints = dict[tuple[bytes, int], TxOut | None]
_HASH_TYPES = {
    "DEFAULT": SIGHASH_DEFAULT,
    "ALL": SIGHASH_ALL,
    "ALL|ANYONECANPAY": SIGHASH_ALL | SIGHASH_ANYONECANPAY,
    "NONE": SIGHASH_NONE,
    "NONE|ANYONECANPAY": SIGHASH_NONE | SIGHASH_ANYONECANPAY,
    "SINGLE": SIGHASH_SINGLE,
    "SINGLE|ANYONECANPAY": SIGHASH_SINGLE | SIGHASH_ANYONECANPAY,
}


def parse_hash_type(text: str | None) -> int | None:
    """A signature hash type by name, None for none given (``ParseSighashString``)."""
    if text is None:
        return None
    if text not in _HASH_TYPES:
        raise RpcError(RpcCode.INVALID_PARAMETER, f"'{text}' is not a valid sighash parameter.")
    return _HASH_TYPES[text]


def parse_prevouts(prevouts: Any, keys: KeyStore | None, spent: OutPoints) -> None:
    """Put the outputs of a ``prevtxs`` parameter into ``spent`` and their scripts into ``keys``.

    An output without an amount gets `MAX_MONEY`, which `sign_transaction` reports where the amount matters.
    """
    for value in [] if prevouts is None else expect(prevouts, "array"):
        if not isinstance(value, dict):
            raise RpcError(RpcCode.DESERIALIZATION_ERROR, 'expected object with {"txid\'","vout","scriptPubKey"}')
        check_object(value, {"txid": "string", "vout": "number", "scriptPubKey": "string"})
        txid = parse_hash(value["txid"], "txid")
        index = integer(value["vout"])
        if index < 0:
            raise RpcError(RpcCode.DESERIALIZATION_ERROR, "vout cannot be negative")
        script = parse_hex(value["scriptPubKey"], "scriptPubKey")
        known = spent.get((txid, index))
        if known is not None and known.script_pub_key.script != script:
            raise RpcError(
                RpcCode.DESERIALIZATION_ERROR,
                f"Previous output scriptPubKey mismatch:\n{asm(known.script_pub_key.script)}\nvs:\n{asm(script)}",
            )
        amount = parse_amount(value["amount"], "amount") if "amount" in value else MAX_MONEY
        spent[txid, index] = TxOut(amount, script, check_validity=False)
        if keys is not None:
            _add_scripts(value, script, keys)


def _add_scripts(value: dict[str, Any], script: bytes, keys: KeyStore) -> None:
    is_p2sh = len(script) == 23 and script[:2] == b"\xa9\x14" and script[22] == 0x87
    is_p2wsh = len(script) == 34 and script[:2] == b"\x00\x20"
    if not is_p2sh and not is_p2wsh:
        return
    check_object(value, {"redeemScript": "string", "witnessScript": "string"}, allow_null=True)
    redeem_text, witness_text = value.get("redeemScript"), value.get("witnessScript")
    if redeem_text is None and witness_text is None:
        raise RpcError(RpcCode.INVALID_PARAMETER, "Missing redeemScript/witnessScript")
    if witness_text is not None:
        inner = parse_hex(witness_text, "witnessScript")
    else:
        inner = parse_hex(redeem_text, "redeemScript")
    program = witness_script_of(inner)
    keys.add_script(inner)
    keys.add_script(program)
    if (
        witness_text is not None
        and redeem_text is not None
        and witness_text != redeem_text
        and parse_hex(redeem_text, "redeemScript") != program
    ):
        raise RpcError(RpcCode.INVALID_PARAMETER, "redeemScript does not correspond to witnessScript")
    fits = [program] if is_p2wsh else [b"\xa9\x14" + hash160(s) + b"\x87" for s in (inner, program)]
    if script not in fits:
        raise RpcError(RpcCode.INVALID_PARAMETER, "redeemScript/witnessScript does not match scriptPubKey")


def signing_result(tx: Tx, errors: Mapping[int, str], spent: OutPoints) -> dict[str, Any]:
    """``hex``, ``complete`` and, where something is missing, ``errors``."""
    rendered = []
    for i in sorted(errors):
        tx_in = tx.vin[i]
        if errors[i] == MISSING_AMOUNT:
            output = spent[tx_in.prev_out.tx_id, tx_in.prev_out.vout]
            assert output is not None
            raise RpcError(RpcCode.TYPE_ERROR, f"Missing amount for {_output_text(output)}")
        rendered.append(
            {
                "txid": tx_in.prev_out.tx_id.hex(),
                "vout": tx_in.prev_out.vout,
                "witness": [item.hex() for item in tx_in.script_witness.stack],
                "scriptSig": tx_in.script_sig.hex(),
                "sequence": tx_in.sequence,
                "error": errors[i],
            }
        )
    result: dict[str, Any] = {
        "hex": tx.serialize(include_witness=True, check_validity=False).hex(),
        "complete": not errors,
    }
    if rendered:
        result["errors"] = rendered
    return result


def _output_text(output: TxOut) -> str:
    """``CTxOut::ToString``"""
    return f"CTxOut(nValue={btc(output.value)}, scriptPubKey={output.script_pub_key.script.hex()[:30]})"
