"""Filling a PSBT in with what the wallet knows and may sign (``CWallet::FillPSBT``).

How one input is signed is ``bitcoind_mp.signing.psbt``'s; what doesn't belong here either is its text form.
"""

import asyncio

from btclib.script.script_pub_key import is_p2tr
from btclib.tx import Tx, TxOut
from btclib_wallet.psbt import Psbt

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.signing.keystore import KeyStore
from bitcoind_mp.signing.psbt import (
    Outcome,
    Spends,
    drop_unneeded_transactions,
    is_signed,
    is_verified,
    sign_input,
    update_output,
    utxo_of,
)
from bitcoind_mp.signing.psbt_reader import decode_psbt
from bitcoind_mp.signing.psbt_writer import encode_psbt
from bitcoind_mp.wallet.coins import Owner
from bitcoind_mp.wallet.keyring.signer_keys import SignerKeys
from bitcoind_mp.wallet.wallet import Wallet

from .keys import signing_keys, solving_keys

#: Core's codes and words for what stops it (``RPCErrorFromPSBTError``, ``PSBTErrorString``).
_REFUSALS = {
    Outcome.MISSING_INPUTS: (RpcCode.VERIFY_ERROR, "Inputs missing or spent"),
    Outcome.SIGHASH_MISMATCH: (
        RpcCode.DESERIALIZATION_ERROR,
        "Specified sighash value does not match value stored in PSBT",
    ),
}


def blank_psbt(tx: Tx) -> Psbt:
    """A PSBT for a transaction without signatures."""
    return Psbt.from_tx(tx, check_validity=False)


async def fill_psbt(
    wallet: Wallet,
    psbt: Psbt,
    *,
    hash_type: int | None = None,
    signed: bool = True,
    derivations: bool = True,
    finalize: bool = True,
) -> bool:
    """Put in previous transactions, scripts, key origins and, where ``signed``, signatures; whether it is complete now.

    A locked wallet signs nothing. ``derivations``: tell the keys' origins. ``finalize``: complete inputs become final.

    Raises:
        RpcError: -25 for an input whose previous transaction doesn't fit, -22 for another hash type than asked for.
    """
    signed = signed and not wallet.keys.is_locked
    for psbt_in in psbt.inputs:
        if not is_signed(psbt_in) and psbt_in.non_witness_utxo is None:
            known = wallet.transaction(psbt_in.prev_out.tx_id)
            if known is not None:
                psbt_in.non_witness_utxo = known.tx
    if signed and isinstance(wallet.keys, SignerKeys):
        await _add_signatures(wallet, wallet.keys, psbt, hash_type)
        signed = False
    keys = [_input_keys(wallet, psbt, index, signed, derivations) for index in range(len(psbt.inputs))]
    outputs = [_output_keys(wallet, output, derivations) for output in psbt.tx.vout]
    return await asyncio.to_thread(_fill, psbt, keys, outputs, hash_type, finalize)


async def _add_signatures(wallet: Wallet, keys: SignerKeys, psbt: Psbt, hash_type: int | None) -> None:
    """Have the signer sign, and take nothing but its signatures.

    It is shown all that it needs to know our inputs and our change by: key origins, whole previous transactions."""
    shown = decode_psbt(encode_psbt(psbt))
    known = [_input_keys(wallet, shown, index, False, True) for index in range(len(shown.inputs))]
    outputs = [_output_keys(wallet, output, True) for output in shown.tx.vout]
    await asyncio.to_thread(_tell, shown, Spends(shown), known, outputs, hash_type, False)
    answer = decode_psbt(await keys.sign(encode_psbt(shown)))
    for ours, signed in zip(psbt.inputs, answer.inputs, strict=True):
        ours.sig_hash_type = signed.sig_hash_type
        ours.partial_sigs = {**ours.partial_sigs, **signed.partial_sigs}
        ours.taproot_key_spend_signature = ours.taproot_key_spend_signature or signed.taproot_key_spend_signature
        ours.taproot_script_spend_signatures = {
            **ours.taproot_script_spend_signatures,
            **signed.taproot_script_spend_signatures,
        }


def _tell(
    psbt: Psbt,
    spends: Spends,
    keys: list[KeyStore | None],
    outputs: list[KeyStore | None],
    hash_type: int | None,
    finalize: bool,
) -> None:
    """Put in what is known of inputs and outputs, signatures by the secrets among it."""
    for index, known in enumerate(keys):
        if known is not None:
            outcome = sign_input(psbt, index, known, hash_type=hash_type, finalize=finalize, spends=spends)
            if outcome in _REFUSALS:
                raise RpcError(*_REFUSALS[outcome])
    for index, known in enumerate(outputs):
        if known is not None:
            update_output(psbt, index, known, spends)


def _fill(
    psbt: Psbt,
    keys: list[KeyStore | None],
    outputs: list[KeyStore | None],
    hash_type: int | None,
    finalize: bool,
) -> bool:
    spends = Spends(psbt)
    _tell(psbt, spends, keys, outputs, hash_type, finalize)
    drop_unneeded_transactions(psbt)
    return all(is_verified(psbt, index, spends) for index in range(len(psbt.inputs)))


def _input_keys(wallet: Wallet, psbt: Psbt, index: int, signed: bool, derivations: bool) -> KeyStore | None:
    """What the wallet knows towards an input: None for one that is final, or whose output nobody has told."""
    psbt_in = psbt.inputs[index]
    if is_signed(psbt_in):
        return None
    if psbt_in.non_witness_utxo is not None and psbt_in.prev_out.vout >= len(psbt_in.non_witness_utxo.vout):
        raise RpcError(*_REFUSALS[Outcome.MISSING_INPUTS])
    utxo = psbt_in.witness_utxo or utxo_of(psbt, index)
    if utxo is None:
        if psbt_in.non_witness_utxo is not None:
            raise RpcError(*_REFUSALS[Outcome.MISSING_INPUTS])
        return None
    script = utxo.script_pub_key.script
    owners = wallet.descriptors.owners(script) or _owners_of_keys(wallet, psbt, index, script)
    return _known(wallet, owners, signed, derivations)


def _owners_of_keys(wallet: Wallet, psbt: Psbt, index: int, script: bytes) -> list[Owner]:
    """Descriptors of ours that have a key which the input names, as in a multisig with others."""
    psbt_in = psbt.inputs[index]
    named = list(psbt_in.hd_key_paths.items())
    if is_p2tr(script):
        for x_only, (_, origin) in psbt_in.taproot_hd_key_paths.items():
            named += [(prefix + x_only, origin) for prefix in (b"\x02", b"\x03")]
    found = (wallet.descriptors.owners_of_key(sec, key.master_fingerprint, key.der_path) for sec, key in named)
    return list(dict.fromkeys(owner for owners in found for owner in owners))


def _output_keys(wallet: Wallet, output: TxOut, derivations: bool) -> KeyStore | None:
    owners = wallet.descriptors.owners(output.script_pub_key.script)
    return _known(wallet, owners, False, derivations) if owners else None


def _known(wallet: Wallet, owners: list[Owner], signed: bool, derivations: bool) -> KeyStore:
    merged = KeyStore()
    for owner in owners:
        keys = signing_keys(wallet, owner) if signed else solving_keys(wallet, owner)
        merged.add(keys.provider())
        merged.secrets.update(keys.secrets)
        merged.aggregates.update(keys.aggregates)
        merged.nonces = keys.nonces
    if not derivations:
        merged.origins = dict.fromkeys(merged.origins)
    return merged
