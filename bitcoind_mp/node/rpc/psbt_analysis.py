"""What a PSBT still needs, and from whom (``AnalyzePSBT``, Core's ``src/node/psbt.cpp``)."""

from copy import deepcopy
from enum import IntEnum
from typing import Any

from btclib.script.engine import sig_op_cost
from btclib.script.spendability import is_unspendable
from btclib.tx.tx_out import TxOut
from btclib_wallet.psbt import Psbt

from bitcoind_mp.interfaces.amounts import MAX_MONEY, btc
from bitcoind_mp.signing.creator import STANDARD_FLAGS
from bitcoind_mp.signing.data import Missing
from bitcoind_mp.signing.keystore import KeyStore
from bitcoind_mp.signing.psbt import Outcome, extract, is_verified, sign_input, utxo_of

_BYTES_PER_SIGOP = 20


class Role(IntEnum):
    """Who works on a PSBT next, in the order of the work."""

    CREATOR = 0
    UPDATER = 1
    SIGNER = 2
    FINALIZER = 3
    EXTRACTOR = 4


class _Invalid(Exception):
    pass


def analyze(psbt: Psbt) -> dict[str, Any]:
    """`analyzepsbt`'s answer. The PSBT is worked on: it isn't the same afterwards."""
    try:
        return _analysis(psbt)
    except _Invalid as invalid:
        return {"next": Role.CREATOR.name.lower(), "error": f"PSBT is not valid. {invalid}"}


def _analysis(psbt: Psbt) -> dict[str, Any]:
    inputs: list[dict[str, Any]] = []
    roles: list[Role] = []
    total: int | None = 0
    for index in range(len(psbt.inputs)):
        rendered, role, amount = _input(psbt, index, total or 0)
        total = None if total is None or amount is None else total + amount
        inputs.append(rendered)
        roles.append(role)
    result: dict[str, Any] = {"inputs": inputs} if inputs else {}
    if total is not None:
        outputs = [tx_out.value for tx_out in psbt.tx.vout]
        if any(not 0 <= value <= MAX_MONEY for value in outputs) or sum(outputs) > MAX_MONEY:
            raise _Invalid("Output amount invalid")
        fee = total - sum(outputs)
        size = _estimated_vsize(psbt)
        if size is not None:
            result["estimated_vsize"] = size
            result["estimated_feerate"] = btc(_fee_per_kvb(fee, size))
        result["fee"] = btc(fee)
    result["next"] = min(roles, default=Role.EXTRACTOR).name.lower()
    return result


def _fee_per_kvb(fee: int, size: int) -> int:
    """Rounded as ``CFeeRate`` rounds: down."""
    return fee * 1000 // size


def _input(psbt: Psbt, index: int, total: int) -> tuple[dict[str, Any], Role, int | None]:
    utxo = utxo_of(psbt, index)
    role = Role.EXTRACTOR
    is_final = False
    if utxo is not None:
        if not 0 <= utxo.value <= MAX_MONEY or total + utxo.value > MAX_MONEY:
            raise _Invalid(f"Input {index} has invalid value")
        if is_unspendable(utxo.script_pub_key.script):
            raise _Invalid(f"Input {index} spends unspendable output")
    else:
        role = Role.UPDATER
    missing = Missing()
    if is_verified(psbt, index):
        is_final = True
    elif sign_input(psbt, index, KeyStore(), missing=missing) is Outcome.OK:
        role = Role.FINALIZER
    elif missing.signatures and not (missing.pubkeys or missing.redeem_script or missing.witness_script):
        role = Role.SIGNER
    else:
        role = Role.UPDATER
    rendered: dict[str, Any] = {"has_utxo": utxo is not None, "is_final": is_final, "next": role.name.lower()}
    if missing:
        rendered["missing"] = _missing(missing)
    return rendered, role, None if utxo is None else utxo.value


def _missing(missing: Missing) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if missing.pubkeys:
        out["pubkeys"] = [key_hash.hex() for key_hash in missing.pubkeys]
    if missing.redeem_script:
        out["redeemscript"] = missing.redeem_script.hex()
    if missing.witness_script:
        out["witnessscript"] = missing.witness_script.hex()
    if missing.signatures:
        out["signatures"] = [key_hash.hex() for key_hash in missing.signatures]
    return out


def _estimated_vsize(psbt: Psbt) -> int | None:
    """The size with a signature of the usual length wherever one is missing; None where more is missing."""
    trial = deepcopy(psbt)
    spent: list[TxOut] = []
    for index in range(len(trial.inputs)):
        utxo = utxo_of(trial, index)
        if utxo is None or sign_input(trial, index, KeyStore(), dummy=True) is not Outcome.OK:
            return None
        spent.append(utxo)
    tx = extract(trial)
    weight = max(tx.weight, sig_op_cost(spent, tx, STANDARD_FLAGS) * _BYTES_PER_SIGOP)
    return -(-weight // 4)
