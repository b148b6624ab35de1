"""JSON values as Core's ``UniValue`` reads and writes them, with the errors that ``RPCTypeCheckObj`` gives.

The dispatcher checks whole parameters against a command's signature; what lies inside an object or array is
checked where it is used, by these.
"""

from decimal import Decimal
from typing import Any

from bitcoind_mp.interfaces.errors import RpcCode, RpcError


def real(value: float) -> float:
    """A ``double`` as Core prints it, in 16 significant digits; whole numbers have no fraction."""
    rounded = float(f"{value:.16g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e16 else rounded


def type_name(value: Any) -> str:
    """``uvTypeName``: null, bool, object, array, string or number."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float | Decimal):
        return "number"
    return "string" if isinstance(value, str) else "object" if isinstance(value, dict) else "array"


def expect(value: Any, kind: str) -> Any:
    """The value if it is of that JSON type."""
    if type_name(value) != kind:
        raise RpcError(RpcCode.TYPE_ERROR, f"JSON value of type {type_name(value)} is not of expected type {kind}")
    return value


def integer(value: Any, bits: int = 32, *, signed: bool = True) -> int:
    """A whole number that fits in an integer of that many bits (``UniValue::getInt``)."""
    number = expect(value, "number")
    lowest, highest = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
    if not isinstance(number, int) or not lowest <= number < highest:
        raise RpcError(RpcCode.MISC_ERROR, "JSON integer out of range")
    return number


def check_object(
    value: dict[str, Any], types: dict[str, str], *, allow_null: bool = False, strict: bool = False
) -> None:
    """Each named member is there and of its type, ``any`` for whatever (``RPCTypeCheckObj``). ``strict`` refuses
    others, ``allow_null`` allows absent ones."""
    for key in sorted(types):
        kind, member = types[key], value.get(key)
        if member is None and allow_null:
            continue
        if member is None:
            raise RpcError(RpcCode.TYPE_ERROR, f"Missing {key}")
        if kind not in ("any", type_name(member)):
            raise RpcError(
                RpcCode.TYPE_ERROR,
                f"JSON value of type {type_name(member)} for field {key} is not of expected type {kind}",
            )
    if strict:
        for key in value:
            if key not in types:
                raise RpcError(RpcCode.TYPE_ERROR, f"Unexpected key {key}")
