"""Standardness: what the node relays of what is valid, with Bitcoin Core's words (``src/policy/policy.cpp``).

The rules are btclib's (``btclib.policy``) wherever it gives Core's reason; what is written out here is where Core
says more than that it refuses.
"""

from collections.abc import Sequence

from btclib.exceptions import BTClibValueError
from btclib.fee import FeeRate
from btclib.policy import (
    MAX_P2SH_SIGOPS,
    MAX_TX_LEGACY_SIGOPS,
    MIN_STANDARD_TX_NONWITNESS_SIZE,
    assert_standard_tx,
    dust_outputs,
    is_witness_standard,
)
from btclib.script.engine.script import eval_script
from btclib.script.sig_ops import p2sh_sig_op_count, sig_op_count
from btclib.script.solver import solver
from btclib.tx import Tx
from btclib.tx.tx_in import TxIn
from btclib.tx.tx_out import TxOut

from .policy import MempoolPolicy
from .rejected import Kind, Rejected


def check_standard(tx: Tx, policy: MempoolPolicy) -> None:
    """Raise `Rejected` for a transaction that isn't standard by itself (``IsStandardTx``)."""
    if not policy.require_standard:
        return
    try:
        assert_standard_tx(
            tx,
            max_datacarrier_bytes=policy.max_datacarrier,
            permit_bare_multisig=policy.permit_bare_multisig,
            dust_relay_fee=FeeRate(sats_per_kvbyte=policy.dust_relay_fee),
        )
    except BTClibValueError as error:
        raise Rejected(str(error), "", Kind.NOT_STANDARD) from None


def check_size(stripped_size: int) -> None:
    """Raise `Rejected` for one that could pass for an inner node of a merkle tree: bytes without witnesses."""
    if stripped_size < MIN_STANDARD_TX_NONWITNESS_SIZE:
        raise Rejected("tx-size-small", "", Kind.NOT_STANDARD)


def check_inputs(tx: Tx, spent: Sequence[TxOut]) -> None:
    """Raise `Rejected` where an input spends what isn't standard (``ValidateInputsStandardness``)."""
    sigops = 0
    for tx_in, tx_out in zip(tx.vin, spent, strict=True):
        sigops += sig_op_count(tx_in.script_sig, accurate=True)
        sigops += p2sh_sig_op_count(tx_in.script_sig, tx_out.script_pub_key.script)
        if sigops > MAX_TX_LEGACY_SIGOPS:
            raise _nonstandard("non-witness sigops exceed bip54 limit")
    for index, (tx_in, tx_out) in enumerate(zip(tx.vin, spent, strict=True)):
        _check_input(index, tx_in, tx_out)


def _check_input(index: int, tx_in: TxIn, tx_out: TxOut) -> None:
    kind, _ = solver(tx_out.script_pub_key.script)
    if kind == "nonstandard":
        raise _nonstandard(f"input {index} script unknown")
    if kind == "witness_unknown":
        raise _nonstandard(f"input {index} witness program is undefined")
    if kind == "scripthash":
        stack, error = eval_script(tx_in.script_sig)
        if error:
            raise _nonstandard(f"p2sh scriptsig malformed (input {index}: {error.code.description})")
        if not stack:
            raise _nonstandard(f"input {index} P2SH redeemscript missing")
        sigops = sig_op_count(stack[-1], accurate=True)
        if sigops > MAX_P2SH_SIGOPS:
            raise _nonstandard(f"p2sh redeemscript sigops exceed limit (input {index}: {sigops} > {MAX_P2SH_SIGOPS})")


def _nonstandard(details: str) -> Rejected:
    return Rejected("bad-txns-nonstandard-inputs", details, Kind.INPUTS_NOT_STANDARD)


def check_witness(tx: Tx, spent: Sequence[TxOut]) -> None:
    """Raise `Rejected` for a witness that isn't standard (``IsWitnessStandard``)."""
    if tx.is_segwit and not is_witness_standard(spent, tx):
        raise Rejected("bad-witness-nonstandard", "", Kind.WITNESS_MUTATED)


def dust(tx: Tx, policy: MempoolPolicy) -> list[int]:
    """The indexes of the outputs that cost more to spend than they hold (``GetDust``)."""
    return dust_outputs(tx, dust_relay_fee=FeeRate(sats_per_kvbyte=policy.dust_relay_fee))
