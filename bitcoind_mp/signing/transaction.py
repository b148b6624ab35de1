"""Signing a transaction as far as the keys go (``SignTransaction``, Core's ``src/script/sign.cpp``)."""

from collections.abc import Sequence

from btclib.exceptions import ScriptErrorCode
from btclib.script.witness import Witness
from btclib.tx.tx import Tx
from btclib.tx.tx_out import TxOut

from bitcoind_mp.interfaces.amounts import MAX_MONEY

from .creator import (
    SIGHASH_ANYONECANPAY,
    SIGHASH_DEFAULT,
    SIGHASH_SINGLE,
    TransactionCreator,
    or_blank,
    shared_hashes,
    verify_spend,
)
from .data import SignatureData
from .extract import data_of_input
from .keystore import KeyStore
from .produce import produce

INPUT_NOT_FOUND = "Input not found or already spent"
MISSING_AMOUNT = "Missing amount"


def sign_transaction(
    tx: Tx, keys: KeyStore, spent: Sequence[TxOut | None], hash_type: int = SIGHASH_DEFAULT
) -> dict[int, str]:
    """Sign in place every input that can be; the inputs that are not complete, with the reason in Core's words.

    ``spent`` are the outputs spent, None for an unknown one. One whose amount is `MAX_MONEY` is of unknown amount.
    """
    errors: dict[int, str] = {}
    outputs = list(spent)
    hashes = shared_hashes(tx, outputs)
    single = hash_type & ~SIGHASH_ANYONECANPAY == SIGHASH_SINGLE
    for i, tx_in in enumerate(tx.vin):
        output = outputs[i]
        if output is None:
            errors[i] = INPUT_NOT_FOUND
            continue
        data = data_of_input(tx, i, outputs, hashes)
        if not single or i < len(tx.vout):
            creator = TransactionCreator(tx, i, outputs, hash_type, hashes)
            produce(keys, creator, output.script_pub_key.script, data)
        update_input(tx, i, data)
        if output.value == MAX_MONEY and tx_in.script_witness.stack:
            errors[i] = MISSING_AMOUNT
        elif not data.complete:
            error = _error(tx, i, outputs)
            if error is not None:
                errors[i] = _WORDS.get(error, error.description)
    return errors


def merge_transactions(variants: Sequence[Tx], spent: Sequence[TxOut]) -> Tx:
    """The first of several versions of one transaction with the signatures of all (`combinerawtransaction`)."""
    merged = Tx.parse(variants[0].serialize(include_witness=True, check_validity=False), check_validity=False)
    outputs: list[TxOut | None] = list(spent)
    for i in range(len(merged.vin)):
        data = SignatureData()
        for variant in variants:
            if len(variant.vin) > i:
                data = data.merge(data_of_input(variant, i, outputs))
        script = spent[i].script_pub_key.script
        produce(KeyStore(), TransactionCreator(merged, i, outputs), script, data)
        update_input(merged, i, data)
    return merged


def update_input(tx: Tx, index: int, data: SignatureData) -> None:
    """Put the scriptSig and witness into the input."""
    tx.vin[index].script_sig = data.script_sig
    tx.vin[index].script_witness = Witness(data.script_witness)


def _error(tx: Tx, index: int, spent: Sequence[TxOut | None]) -> ScriptErrorCode | None:
    tx_in = tx.vin[index]
    return verify_spend(tx, index, or_blank(spent), tx_in.script_sig, list(tx_in.script_witness.stack))[0]


_WORDS = {
    ScriptErrorCode.INVALID_STACK_OPERATION: "Unable to sign input, invalid stack size (possibly missing key)",
    ScriptErrorCode.SIG_NULLFAIL: ("CHECK(MULTI)SIG failing with non-zero signature (possibly need more signatures)"),
}
