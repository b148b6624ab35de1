"""A transaction from the JSON of `createrawtransaction` and its kin (Core's ``src/rpc/rawtransaction_util.cpp``)."""

from decimal import Decimal
from typing import Any

from btclib.script.script import serialize
from btclib.tx.out_point import OutPoint
from btclib.tx.tx import Tx
from btclib.tx.tx_in import TxIn
from btclib.tx.tx_out import TxOut

from bitcoind_mp.interfaces.command import parse_amount, parse_hash, parse_hex
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.repeated import RepeatedMembers

from .address import decode_destination
from .json_values import expect, integer, type_name

_SEQUENCE_FINAL = 0xFFFFFFFF
_SEQUENCE_REPLACEABLE = 0xFFFFFFFD
_LOCKTIME_MAX = 0xFFFFFFFF
MIN_VERSION, MAX_VERSION = 1, 3


def construct_transaction(
    inputs: Any, outputs: Any, locktime: Any, replaceable: bool | None, version: int, chain: str
) -> Tx:
    """``ConstructTransaction``: parameters as they came, None for one not given. Raises `RpcError`."""
    lock_time = 0
    if locktime is not None:
        lock_time = integer(locktime, 64)
        if not 0 <= lock_time <= _LOCKTIME_MAX:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Invalid parameter, locktime out of range")
    if not MIN_VERSION <= version <= MAX_VERSION:
        raise RpcError(
            RpcCode.INVALID_PARAMETER, f"Invalid parameter, version out of range({MIN_VERSION}~{MAX_VERSION})"
        )
    vin = parse_inputs(inputs, lock_time, replaceable)
    vout = [TxOut(amount, script, check_validity=False) for script, amount in parse_outputs(outputs, chain)]
    if replaceable and vin and all(tx_in.sequence > _SEQUENCE_REPLACEABLE for tx_in in vin):
        raise RpcError(
            RpcCode.INVALID_PARAMETER,
            "Invalid parameter combination: Sequence number(s) contradict replaceable option",
        )
    return Tx(version, lock_time, vin, vout, check_validity=False)


def parse_inputs(inputs: Any, lock_time: int, replaceable: bool | None) -> list[TxIn]:
    """``AddInputs``: ``[{"txid", "vout", "sequence"}]``."""
    if replaceable is None or replaceable:
        default = _SEQUENCE_REPLACEABLE
    else:
        default = _SEQUENCE_FINAL - 1 if lock_time else _SEQUENCE_FINAL
    vin = []
    for value in [] if inputs is None else expect(inputs, "array"):
        given = expect(value, "object")
        txid = parse_hash(expect(given.get("txid"), "string"), "txid")
        vout = given.get("vout")
        if type_name(vout) != "number":
            raise RpcError(RpcCode.INVALID_PARAMETER, "Invalid parameter, missing vout key")
        index = integer(vout)
        if index < 0:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Invalid parameter, vout cannot be negative")
        sequence = given.get("sequence")
        if type_name(sequence) != "number":
            sequence = default
        elif not 0 <= integer(sequence, 64) <= _SEQUENCE_FINAL:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Invalid parameter, sequence number is out of range")
        outpoint = OutPoint(txid, index, check_validity=False)
        vin.append(TxIn(outpoint, b"", sequence, check_validity=False))
    return vin


def output_pairs(outputs: Any) -> list[tuple[str, Any]]:
    """``NormalizeOutputs``: ``{address: amount, "data": hex}``, or an array of such objects of one member each."""
    if outputs is None:
        raise RpcError(RpcCode.INVALID_PARAMETER, "Invalid parameter, output argument must be non-null")
    if isinstance(outputs, dict):
        return _members(outputs)
    pairs: list[tuple[str, Any]] = []
    for output in expect(outputs, "array"):
        if not isinstance(output, dict):
            raise RpcError(RpcCode.INVALID_PARAMETER, "Invalid parameter, key-value pair not an object as expected")
        if len(_members(output)) != 1:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Invalid parameter, key-value pair must contain exactly one key")
        pairs += output.items()
    return pairs


def _members(given: dict[str, Any]) -> list[tuple[str, Any]]:
    return given.pairs if isinstance(given, RepeatedMembers) else list(given.items())


def parse_outputs(outputs: Any, chain: str) -> list[tuple[bytes, int]]:
    """``ParseOutputs``: (script, satoshis) of each output. ``data`` becomes an OP_RETURN of no value."""
    parsed: list[tuple[bytes, int]] = []
    paid: set[bytes] = set()
    has_data = False
    for name, value in output_pairs(outputs):
        if name == "data":
            if has_data:
                raise RpcError(RpcCode.INVALID_PARAMETER, "Invalid parameter, duplicate key: data")
            has_data = True
            data = parse_hex(_text_of(value), "Data")
            parsed.append((serialize(["OP_RETURN", data]) if data else b"\x6a\x00", 0))
            continue
        script = decode_destination(name, chain).script
        amount = parse_amount(value, name)
        if script is None:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, f"Invalid Bitcoin address: {name}")
        if script in paid:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"Invalid parameter, duplicated address: {name}")
        paid.add(script)
        parsed.append((script, amount))
    return parsed


def _text_of(value: Any) -> str:
    """What Core takes for the text of a value (``UniValue::getValStr``). True's is "1"; what is no string, number or
    flag has none."""
    if isinstance(value, bool):
        return "1" if value else ""
    return str(value) if isinstance(value, str | int | float | Decimal) else ""
