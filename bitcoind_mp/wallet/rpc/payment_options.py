"""What the spending commands' parameters say about fees, change and inputs, read into a `CoinControl`.

The rules and words are those of Core's ``src/wallet/rpc/spend.cpp``. What doesn't belong: the commands themselves.
"""

from typing import Annotated, Any

from bitcoind_mp.interfaces.amounts import COIN, MAX_MONEY, satoshis
from bitcoind_mp.interfaces.command import Parse, parse_amount, parse_hash
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.address import decode_destination
from bitcoind_mp.render.json_values import check_object, expect, integer, type_name
from bitcoind_mp.wallet.coins import OutPoint, OutputType
from bitcoind_mp.wallet.spend.control import CoinControl, FeeMode, Recipient
from bitcoind_mp.wallet.spend.create import MAX_STANDARD_TX_WEIGHT
from bitcoind_mp.wallet.spend.fees import MAX_TARGET

from .solving_data import add_solving_data

#: An amount or a rate, read by the command itself: a number or a string on the wire.
Numeric = Annotated[Any, Parse(lambda value, name: value, "number or string", "amount")]

#: Weight of an input with an empty script and witness: none is lighter.
_MIN_INPUT_WEIGHT = 165

_OUTDATED = {
    "feeRate": "Use fee_rate (sat/vB) instead of feeRate",
    "changeAddress": "Use change_address instead of changeAddress",
    "changePosition": "Use change_position instead of changePosition",
    "lockUnspents": "Use lock_unspents instead of lockUnspents",
    "subtractFeeFromOutputs": "Use subtract_fee_from_outputs instead of subtractFeeFromOutputs",
}
_FUNDING_TYPES = {
    "add_inputs": "bool",
    "include_unsafe": "bool",
    "add_to_wallet": "bool",
    "changeAddress": "string",
    "change_address": "string",
    "changePosition": "number",
    "change_position": "number",
    "change_type": "string",
    "includeWatching": "bool",
    "include_watching": "bool",
    "inputs": "array",
    "lockUnspents": "bool",
    "lock_unspents": "bool",
    "locktime": "number",
    "fee_rate": "any",
    "feeRate": "any",
    "psbt": "bool",
    "solving_data": "object",
    "subtractFeeFromOutputs": "array",
    "subtract_fee_from_outputs": "array",
    "replaceable": "bool",
    "conf_target": "number",
    "estimate_mode": "string",
    "minconf": "number",
    "maxconf": "number",
    "input_weights": "array",
    "max_tx_weight": "number",
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


class FundingOptions:
    """The options object of `send`, `fundrawtransaction` and `walletcreatefundedpsbt`, put into ``control``.

    ``change_position`` and ``lock_coins`` are what isn't the transaction's own.

    Raises:
        RpcError: with Core's words.
    """

    def __init__(
        self,
        control: CoinControl,
        options: dict[str, Any],
        chain: str,
        *,
        outputs: int,
        override_min_rate: bool,
    ) -> None:
        self.change_position: int | None = None
        self.lock_coins = False
        check_object(options, _FUNDING_TYPES, allow_null=True, strict=True)
        if "add_inputs" in options:
            control.allow_other_inputs = expect(options["add_inputs"], "bool")
        self._change(control, options, chain, outputs)
        if "lockUnspents" in options or "lock_unspents" in options:
            self.lock_coins = expect(_either(options, "lock_unspents", "lockUnspents"), "bool")
        if "include_unsafe" in options:
            control.include_unsafe = expect(options["include_unsafe"], "bool")
        if "feeRate" in options:
            _old_fee_rate(control, options)
        if "replaceable" in options:
            control.signal_rbf = expect(options["replaceable"], "bool")
        read_depths(control, options, negative="Negative minconf")
        set_fee(
            control,
            options.get("conf_target"),
            options.get("estimate_mode"),
            options.get("fee_rate"),
            override_min_rate=override_min_rate,
        )
        if "solving_data" in options:
            add_solving_data(control.external, expect(options["solving_data"], "object"), chain)
        if "input_weights" in options:
            _input_weights(control, expect(options["input_weights"], "array"))
        if "max_tx_weight" in options:
            control.max_weight = integer(options["max_tx_weight"])

    def _change(self, control: CoinControl, options: dict[str, Any], chain: str, outputs: int) -> None:
        has_address = "changeAddress" in options or "change_address" in options
        if has_address:
            address = expect(_either(options, "change_address", "changeAddress"), "string")
            control.change_script = decode_destination(address, chain).script
            if control.change_script is None:
                raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Change address must be a valid bitcoin address")
        if "changePosition" in options or "change_position" in options:
            self.change_position = integer(_either(options, "change_position", "changePosition"))
            if not 0 <= self.change_position <= outputs:
                raise RpcError(RpcCode.INVALID_PARAMETER, "changePosition out of bounds")
        if "change_type" in options:
            if has_address:
                raise RpcError(RpcCode.INVALID_PARAMETER, "Cannot specify both change address and address type options")
            word = expect(options["change_type"], "string")
            if word not in list(OutputType):
                raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, f"Unknown change type '{word}'")
            control.change_type = OutputType(word)


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


def input_weights_of(inputs: Any, options: dict[str, Any]) -> None:
    """Weights given with the inputs go where `FundingOptions` looks for them (``SetOptionsInputWeights``)."""
    if "input_weights" in options:
        raise RpcError(RpcCode.INVALID_PARAMETER, "Input weights should be specified in inputs rather than in options.")
    if inputs:
        options["input_weights"] = [item for item in inputs if isinstance(item, dict) and "weight" in item]


def _either(options: dict[str, Any], name: str, older: str) -> Any:
    return options[name] if name in options else options[older]


def _old_fee_rate(control: CoinControl, options: dict[str, Any]) -> None:
    """``feeRate``, in BTC/kvB."""
    if "fee_rate" in options:
        raise RpcError(RpcCode.INVALID_PARAMETER, "Cannot specify both fee_rate (sat/vB) and feeRate (BTC/kvB)")
    if "conf_target" in options:
        raise RpcError(
            RpcCode.INVALID_PARAMETER,
            "Cannot specify both conf_target and feeRate. Please provide either a confirmation target in blocks for "
            "automatic fee estimation, or an explicit fee rate.",
        )
    if "estimate_mode" in options:
        raise RpcError(RpcCode.INVALID_PARAMETER, "Cannot specify both estimate_mode and feeRate")
    control.rate = parse_amount(options["feeRate"], "feeRate")
    control.override_min_rate = True


def _input_weights(control: CoinControl, weights: list[Any]) -> None:
    wrong = "Invalid parameter"
    for item in weights:
        entry = expect(item, "object")
        txid = parse_hash(expect(entry.get("txid"), "string"), "txid")
        if type_name(entry.get("vout")) != "number":
            raise RpcError(RpcCode.INVALID_PARAMETER, f"{wrong}, missing vout key")
        number = integer(entry["vout"])
        if number < 0:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"{wrong}, vout cannot be negative")
        if type_name(entry.get("weight")) != "number":
            raise RpcError(RpcCode.INVALID_PARAMETER, f"{wrong}, missing weight key")
        weight = integer(entry["weight"], 64)
        if weight < _MIN_INPUT_WEIGHT:
            raise RpcError(
                RpcCode.INVALID_PARAMETER,
                f"{wrong}, weight cannot be less than 165 (41 bytes (size of outpoint + sequence + empty scriptSig) "
                "* 4 (witness scaling factor)) + 1 (empty witness)",
            )
        if weight > MAX_STANDARD_TX_WEIGHT:
            raise RpcError(
                RpcCode.INVALID_PARAMETER,
                f"{wrong}, weight cannot be greater than the maximum standard tx weight of {MAX_STANDARD_TX_WEIGHT}",
            )
        control.set_weight(OutPoint(txid, number), weight)
