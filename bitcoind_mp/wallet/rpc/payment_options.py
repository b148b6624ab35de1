"""What the spending commands' parameters say about fees and who bears them, read into a `CoinControl`.

The rules and words are those of Core's ``src/wallet/rpc/spend.cpp``. What doesn't belong: the commands themselves.
"""

from typing import Annotated, Any

from bitcoind_mp.interfaces.amounts import COIN, MAX_MONEY, satoshis
from bitcoind_mp.interfaces.command import Parse
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.json_values import expect, integer, type_name
from bitcoind_mp.wallet.spend.control import CoinControl, FeeMode, Recipient
from bitcoind_mp.wallet.spend.fees import MAX_TARGET

#: An amount or a rate, read by the command itself: a number or a string on the wire.
Numeric = Annotated[Any, Parse(lambda value, name: value, "number or string", "amount")]

_OUTDATED = {
    "feeRate": "Use fee_rate (sat/vB) instead of feeRate",
    "changeAddress": "Use change_address instead of changeAddress",
    "changePosition": "Use change_position instead of changePosition",
    "lockUnspents": "Use lock_unspents instead of lockUnspents",
    "subtractFeeFromOutputs": "Use subtract_fee_from_outputs instead of subtractFeeFromOutputs",
}


def parse_fee_rate(value: Any) -> int:
    """A rate in sat/vB with at most three decimals, to sat/kvB (``AmountFromValue`` with three decimals)."""
    if type_name(value) not in ("number", "string"):
        raise RpcError(RpcCode.TYPE_ERROR, "Amount is not a number or string")
    try:
        scaled = satoshis(value)
    except ValueError:
        raise RpcError(RpcCode.TYPE_ERROR, "Invalid amount") from None
    rate, finer = divmod(scaled, COIN // 1000)
    if finer:
        raise RpcError(RpcCode.TYPE_ERROR, "Invalid amount")
    if not 0 <= rate <= MAX_MONEY:
        raise RpcError(RpcCode.TYPE_ERROR, "Amount out of range")
    return rate


def merge_fee_options(conf_target: Any, estimate_mode: Any, fee_rate: Any, options: dict[str, Any]) -> None:
    """Take what was given as parameters into the options (``InterpretFeeEstimationInstructions``)."""
    if "conf_target" in options or "estimate_mode" in options:
        if conf_target is not None or estimate_mode is not None:
            raise RpcError(
                RpcCode.INVALID_PARAMETER,
                "Pass conf_target and estimate_mode either as arguments or in the options object, but not both",
            )
    else:
        options["conf_target"], options["estimate_mode"] = conf_target, estimate_mode
    if "fee_rate" in options:
        if fee_rate is not None:
            raise RpcError(
                RpcCode.INVALID_PARAMETER,
                "Pass the fee_rate either as an argument, or in the options object, but not both",
            )
    else:
        options["fee_rate"] = fee_rate
    if options.get("conf_target") is not None and options.get("estimate_mode") in (None, "unset"):
        raise RpcError(RpcCode.INVALID_PARAMETER, "Specify estimate_mode")


def refuse_outdated(options: dict[str, Any]) -> None:
    """Names that older versions had (``PreventOutdatedOptions``)."""
    for name, message in _OUTDATED.items():
        if name in options:
            raise RpcError(RpcCode.INVALID_PARAMETER, message)


def set_fee(
    control: CoinControl, conf_target: Any, estimate_mode: Any, fee_rate: Any, *, override_min_rate: bool = False
) -> None:
    """Which fee the person wants (``SetFeeEstimateMode``)."""
    if fee_rate is not None:
        if conf_target is not None:
            raise RpcError(
                RpcCode.INVALID_PARAMETER,
                "Cannot specify both conf_target and fee_rate. Please provide either a confirmation target in blocks "
                "for automatic fee estimation, or an explicit fee rate.",
            )
        if estimate_mode is not None and expect(estimate_mode, "string") != "unset":
            raise RpcError(RpcCode.INVALID_PARAMETER, "Cannot specify both estimate_mode and fee_rate")
        control.rate = parse_fee_rate(fee_rate)
        control.override_min_rate = control.override_min_rate or override_min_rate
        if control.signal_rbf is None:
            control.signal_rbf = True
        return
    if estimate_mode is not None:
        try:
            control.fee_mode = FeeMode(expect(estimate_mode, "string").lower())
        except ValueError:
            modes = '", "'.join(mode.value for mode in FeeMode)
            raise RpcError(
                RpcCode.INVALID_PARAMETER, f'Invalid estimate_mode parameter, must be one of: "{modes}"'
            ) from None
    if conf_target is not None:
        target = integer(conf_target)
        if not 1 <= target <= MAX_TARGET:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"Invalid conf_target, must be between 1 and {MAX_TARGET}")
        control.confirm_target = target


def fee_bearers(instructions: Any, destinations: list[str]) -> set[int]:
    """Which outputs bear the fee, by position or address (``InterpretSubtractFeeFromOutputInstructions``)."""
    wrong = "Invalid parameter 'subtract fee from output'"
    found: set[int] = set()
    for item in [] if instructions is None else expect(instructions, "array"):
        if isinstance(item, str):
            if item not in destinations:
                raise RpcError(RpcCode.INVALID_PARAMETER, f"{wrong}, destination {item} not found in tx outputs")
            position = destinations.index(item)
        elif type_name(item) == "number":
            position = integer(item)
        else:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"{wrong}, invalid value type: {type_name(item)}")
        if position in found:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"{wrong}, duplicated position: {position}")
        if position < 0:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"{wrong}, negative position: {position}")
        if position >= len(destinations):
            raise RpcError(RpcCode.INVALID_PARAMETER, f"{wrong}, position too large: {position}")
        found.add(position)
    return found


def recipients_of(outputs: list[tuple[bytes, int]], bearers: set[int]) -> list[Recipient]:
    """Payments in order, those at ``bearers`` bearing the fee."""
    return [Recipient(script, amount, number in bearers) for number, (script, amount) in enumerate(outputs)]


def read_depths(control: CoinControl, options: dict[str, Any], *, negative: str) -> None:
    """``minconf`` and ``maxconf``; ``negative`` is what a negative minconf is answered with."""
    if "minconf" in options:
        control.min_depth = integer(options["minconf"])
        if control.min_depth < 0:
            raise RpcError(RpcCode.INVALID_PARAMETER, negative.format(control.min_depth))
    if "maxconf" in options:
        control.max_depth = integer(options["maxconf"])
        if control.max_depth < control.min_depth:
            raise RpcError(
                RpcCode.INVALID_PARAMETER,
                f"maxconf can't be lower than minconf: {control.max_depth} < {control.min_depth}",
            )
