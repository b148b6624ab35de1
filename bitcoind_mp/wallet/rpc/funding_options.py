"""The options object of the commands that fund a transaction: change, inputs, weights, solving data.

The rules and words are those of ``FundTransaction`` in Core's ``src/wallet/rpc/spend.cpp``.
"""

from typing import Any

from bitcoind_mp.interfaces.command import parse_amount, parse_hash
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.address import decode_destination
from bitcoind_mp.render.json_values import check_object, expect, integer, type_name
from bitcoind_mp.wallet.coins import OutPoint, OutputType
from bitcoind_mp.wallet.spend.control import CoinControl
from bitcoind_mp.wallet.spend.limits import MAX_STANDARD_TX_WEIGHT

from .payment_options import read_depths, set_fee
from .solving_data import add_solving_data

#: Weight of an input with an empty script and witness: none is lighter.
_MIN_INPUT_WEIGHT = 165
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
