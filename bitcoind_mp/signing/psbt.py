"""Signing, updating, finalizing and extracting a PSBT (Core's ``src/psbt.cpp``)."""

from enum import Enum

from btclib.hashes import hash160
from btclib.script.script_pub_key import is_p2tr, is_segwit
from btclib.script.witness import Witness
from btclib.tx.tx import Tx
from btclib.tx.tx_out import TxOut
from btclib_wallet.psbt import Psbt, PsbtIn

from .creator import (
    SIGHASH_ALL,
    SIGHASH_ANYONECANPAY,
    SIGHASH_DEFAULT,
    Creator,
    DummyCreator,
    TransactionCreator,
    or_blank,
    shared_hashes,
    verify_spend,
)
from .data import Missing, SignatureData
from .keystore import KeyStore
from .produce import produce
from .taproot_tree import tree_of


class Outcome(Enum):
    """What became of one input (Core's ``PSBTError``); the values are its words."""

    OK = ""
    MISSING_INPUTS = "Inputs missing or spent"
    SIGHASH_MISMATCH = "Specified sighash value does not match value stored in PSBT"
    INCOMPLETE = "Input needs additional signatures or other data"


def utxo_of(psbt: Psbt, index: int) -> TxOut | None:
    """The output that an input spends, None where it isn't there or doesn't match (``GetInputUTXO``)."""
    psbt_in = psbt.inputs[index]
    if psbt_in.non_witness_utxo is None:
        return psbt_in.witness_utxo
    outpoint = psbt_in.prev_out
    outputs = psbt_in.non_witness_utxo.vout
    if outpoint.vout >= len(outputs) or psbt_in.non_witness_utxo.id != outpoint.tx_id:
        return None
    return outputs[outpoint.vout]


def utxos_of(psbt: Psbt) -> list[TxOut | None]:
    """`utxo_of` for each input."""
    return [utxo_of(psbt, i) for i in range(len(psbt.inputs))]


def is_signed(psbt_in: PsbtIn) -> bool:
    """Whether the input has a final scriptSig or witness."""
    return bool(psbt_in.final_script_sig or psbt_in.final_script_witness.stack)


class Spends:
    """A PSBT's transaction, the outputs it spends (None for each unknown one) and what the signatures of all inputs
    hash: taken once for work on many inputs. Later changes to inputs' outpoints and UTXOs don't show here."""

    def __init__(self, psbt: Psbt) -> None:
        self.tx = psbt.tx
        self.utxos = utxos_of(psbt)
        self.hashes = shared_hashes(self.tx, self.utxos)


def is_verified(psbt: Psbt, index: int, spends: Spends | None = None) -> bool:
    """Whether the input's final scriptSig and witness spend its output."""
    spends = spends or Spends(psbt)
    utxo = spends.utxos[index]
    if utxo is None or (None in spends.utxos and is_p2tr(utxo.script_pub_key.script)):
        return False
    psbt_in = psbt.inputs[index]
    witness = list(psbt_in.final_script_witness.stack)
    known = or_blank(spends.utxos)
    return verify_spend(spends.tx, index, known, psbt_in.final_script_sig, witness, spends.hashes)[0] is None


def sign_input(
    psbt: Psbt,
    index: int,
    keys: KeyStore,
    *,
    hash_type: int | None = None,
    finalize: bool = True,
    missing: Missing | None = None,
    dummy: bool = False,
    spends: Spends | None = None,
) -> Outcome:
    """Sign an input in place as far as the keys go, and finalize it if it is complete and ``finalize``.

    ``missing`` is filled with what was lacking; ``dummy`` signs with signatures of the right size for every key.
    ``spends`` is the PSBT's own, to be given where many inputs are signed.
    """
    psbt_in = psbt.inputs[index]
    spends = spends or Spends(psbt)
    utxo = spends.utxos[index]
    # Core's dummy knows none of the other outputs that taproot commits to, so it can't verify there
    if not (dummy and utxo is not None and is_p2tr(utxo.script_pub_key.script)) and is_verified(psbt, index, spends):
        return Outcome.OK
    if utxo is None:
        return Outcome.MISSING_INPUTS
    script = utxo.script_pub_key.script
    taproot = is_p2tr(script)
    if hash_type is None:
        hash_type = SIGHASH_DEFAULT if taproot else SIGHASH_ALL
    if psbt_in.sig_hash_type not in (None, hash_type):
        return Outcome.SIGHASH_MISMATCH
    if hash_type != SIGHASH_DEFAULT and (taproot or hash_type != SIGHASH_ALL):
        psbt_in.sig_hash_type = hash_type  # type: ignore[assignment]
    if not _hash_types_agree(psbt_in, hash_type):
        return Outcome.SIGHASH_MISMATCH
    data = fill(psbt_in)
    creator: Creator = DummyCreator()
    if not dummy:
        creator = TransactionCreator(spends.tx, index, spends.utxos, hash_type, spends.hashes)
    complete = produce(keys, creator, script, data)
    if missing is not None:
        missing.__dict__.update(data.missing.__dict__)
    # a witness UTXO alone can't vouch for its amount to a signature that doesn't commit to it
    if psbt_in.non_witness_utxo is None and not data.witness:
        return Outcome.INCOMPLETE
    data.complete = data.complete and finalize
    take(psbt_in, data)
    if data.witness:
        psbt_in.witness_utxo = utxo
    return Outcome.OK if complete else Outcome.INCOMPLETE


def _hash_types_agree(psbt_in: PsbtIn, hash_type: int) -> bool:
    """Whether the signatures that are there already are of that type."""
    schnorr = [*psbt_in.taproot_script_spend_signatures.values()]
    if psbt_in.taproot_key_spend_signature:
        schnorr.append(psbt_in.taproot_key_spend_signature)
    if hash_type == SIGHASH_DEFAULT:
        return all(len(signature) == 64 for signature in schnorr)
    return all(len(signature) == 65 and signature[-1] == hash_type for signature in schnorr) and all(
        signature[-1] == hash_type for signature in psbt_in.partial_sigs.values()
    )


def fill(psbt_in: PsbtIn) -> SignatureData:
    """What an input says about its own signing (``FillSignatureData``)."""
    data = SignatureData(script_sig=psbt_in.final_script_sig, script_witness=list(psbt_in.final_script_witness.stack))
    if is_signed(psbt_in):
        data.complete = True
        return data
    for sec, signature in psbt_in.partial_sigs.items():
        data.add_signature(sec, signature)
    data.redeem_script, data.witness_script = psbt_in.redeem_script, psbt_in.witness_script
    data.known_keys = {hash160(sec): (sec, origin) for sec, origin in psbt_in.hd_key_paths.items()}
    data.taproot_key_signature = psbt_in.taproot_key_spend_signature
    for key, signature in psbt_in.taproot_script_spend_signatures.items():
        data.taproot_script_signatures[key[:32], key[32:]] = signature
    data.internal_key, data.merkle_root = psbt_in.taproot_internal_key, psbt_in.taproot_merkle_root
    data.leaves = dict(psbt_in.taproot_leaf_scripts)
    for x_only, (hashes, origin) in psbt_in.taproot_hd_key_paths.items():
        data.taproot_origins[x_only] = (set(hashes), origin)
    data.musig_participants = {key: list(parts) for key, parts in psbt_in.musig2_participant_pub_keys.items()}
    data.musig_nonces, data.musig_signatures = dict(psbt_in.musig2_pub_nonces), dict(psbt_in.musig2_partial_sigs)
    data.ripemd160_preimages = psbt_in.ripemd160_preimages
    data.sha256_preimages = psbt_in.sha256_preimages
    data.hash160_preimages = psbt_in.hash160_preimages
    data.hash256_preimages = psbt_in.hash256_preimages
    return data


def take(psbt_in: PsbtIn, data: SignatureData) -> None:
    """Put into an input what signing found (``FromSignatureData``)."""
    if data.complete:
        psbt_in.partial_sigs, psbt_in.hd_key_paths = {}, {}
        psbt_in.redeem_script = psbt_in.witness_script = b""
        psbt_in.final_script_sig = data.script_sig or psbt_in.final_script_sig
        if data.script_witness:
            psbt_in.final_script_witness = Witness(data.script_witness)
        return
    for sec, signature in data.signatures.values():
        psbt_in.partial_sigs.setdefault(sec, signature)
    psbt_in.redeem_script = psbt_in.redeem_script or data.redeem_script
    psbt_in.witness_script = psbt_in.witness_script or data.witness_script
    for sec, origin in data.known_keys.values():
        psbt_in.hd_key_paths.setdefault(sec, origin)
    psbt_in.taproot_key_spend_signature = data.taproot_key_signature
    for (x_only, leaf_hash), signature in data.taproot_script_signatures.items():
        psbt_in.taproot_script_spend_signatures.setdefault(x_only + leaf_hash, signature)
    psbt_in.taproot_internal_key = data.internal_key or psbt_in.taproot_internal_key
    psbt_in.taproot_merkle_root = data.merkle_root or psbt_in.taproot_merkle_root
    psbt_in.taproot_leaf_scripts = {**data.leaves, **psbt_in.taproot_leaf_scripts}
    for x_only, (hashes, origin) in data.taproot_origins.items():
        psbt_in.taproot_hd_key_paths.setdefault(x_only, (sorted(hashes), origin))
    psbt_in.musig2_participant_pub_keys = {**data.musig_participants, **psbt_in.musig2_participant_pub_keys}
    psbt_in.musig2_pub_nonces = {**data.musig_nonces, **psbt_in.musig2_pub_nonces}
    psbt_in.musig2_partial_sigs = {**data.musig_signatures, **psbt_in.musig2_partial_sigs}


def update_output(psbt: Psbt, index: int, keys: KeyStore, spends: Spends | None = None) -> None:
    """Put into an output the scripts and key origins that are known of it (``UpdatePSBTOutput``)."""
    tx = psbt.tx if spends is None else spends.tx
    psbt_out = psbt.outputs[index]
    data = SignatureData(redeem_script=psbt_out.redeem_script, witness_script=psbt_out.witness_script)
    data.known_keys = {hash160(sec): (sec, origin) for sec, origin in psbt_out.hd_key_paths.items()}
    for x_only, (hashes, origin) in psbt_out.taproot_hd_key_paths.items():
        data.taproot_origins[x_only] = (set(hashes), origin)
    data.musig_participants = {key: list(parts) for key, parts in psbt_out.musig2_participant_pub_keys.items()}
    tx_out = tx.vout[index]
    spender = Tx(2, 0, tx.vin[:1], [tx_out], check_validity=False)
    creator = TransactionCreator(spender, 0, [tx_out]) if spender.vin else DummyCreator()
    produce(keys, creator, tx_out.script_pub_key.script, data)
    psbt_out.redeem_script = psbt_out.redeem_script or data.redeem_script
    psbt_out.witness_script = psbt_out.witness_script or data.witness_script
    for sec, origin in data.known_keys.values():
        psbt_out.hd_key_paths.setdefault(sec, origin)
    psbt_out.taproot_internal_key = data.internal_key or psbt_out.taproot_internal_key
    psbt_out.taproot_tree = tree_of(data.leaves) or psbt_out.taproot_tree
    for x_only, (leaf_hashes, origin) in data.taproot_origins.items():
        psbt_out.taproot_hd_key_paths.setdefault(x_only, (sorted(leaf_hashes), origin))
    psbt_out.musig2_participant_pub_keys = {**data.musig_participants, **psbt_out.musig2_participant_pub_keys}


def drop_unneeded_transactions(psbt: Psbt) -> None:
    """Forget the previous transactions where every input is of taproot or later, whose signatures commit to all
    amounts (``RemoveUnnecessaryTransactions``)."""
    for psbt_in in psbt.inputs:
        script = b"" if psbt_in.witness_utxo is None else psbt_in.witness_utxo.script_pub_key.script
        if not is_segwit(script) or script[0] == 0 or (psbt_in.sig_hash_type or 0) & SIGHASH_ANYONECANPAY:
            return
    for psbt_in in psbt.inputs:
        psbt_in.non_witness_utxo = None


def finalize(psbt: Psbt) -> bool:
    """Finalize in place every input whose signatures are all there; whether that was all of them."""
    nothing, spends = KeyStore(), Spends(psbt)
    outcomes = [
        sign_input(psbt, i, nothing, hash_type=psbt_in.sig_hash_type, spends=spends)
        for i, psbt_in in enumerate(psbt.inputs)
    ]
    return all(outcome is Outcome.OK for outcome in outcomes)


def extract(psbt: Psbt) -> Tx:
    """The transaction of a finalized PSBT."""
    tx = psbt.tx
    for tx_in, psbt_in in zip(tx.vin, psbt.inputs, strict=True):
        tx_in.script_sig, tx_in.script_witness = psbt_in.final_script_sig, psbt_in.final_script_witness
    return tx
