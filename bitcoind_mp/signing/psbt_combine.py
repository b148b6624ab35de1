"""What several PSBTs know about one transaction, in one (``CombinePSBTs``, Core's ``src/psbt.cpp``)."""

from collections.abc import Sequence
from copy import deepcopy

from btclib.script.witness import Witness
from btclib_wallet.psbt import Psbt, PsbtIn, PsbtOut

_INPUT_FIELDS_TO_MERGE = (
    "partial_sigs",
    "ripemd160_preimages",
    "sha256_preimages",
    "hash160_preimages",
    "hash256_preimages",
    "hd_key_paths",
    "taproot_script_spend_signatures",
    "taproot_leaf_scripts",
    "taproot_hd_key_paths",
    "musig2_participant_pub_keys",
    "musig2_pub_nonces",
    "musig2_partial_sigs",
)
_INPUT_FIELDS_TO_TAKE = (
    "redeem_script",
    "witness_script",
    "final_script_sig",
    "final_script_witness",
    "taproot_key_spend_signature",
    "taproot_internal_key",
    "taproot_merkle_root",
)
_OUTPUT_FIELDS_TO_MERGE = ("hd_key_paths", "taproot_hd_key_paths", "musig2_participant_pub_keys")
_OUTPUT_FIELDS_TO_TAKE = ("redeem_script", "witness_script", "taproot_internal_key", "taproot_tree")


def combine(psbts: Sequence[Psbt]) -> Psbt | None:
    """What all of them know about one transaction, None where they aren't of one (``CombinePSBTs``). The first
    that has a field wins; proprietary fields are the first PSBT's."""
    merged = deepcopy(psbts[0])
    for psbt in psbts[1:]:
        if psbt.tx.id != merged.tx.id:
            return None
        for into, other in zip(merged.inputs, psbt.inputs, strict=True):
            if into.non_witness_utxo is None:
                into.non_witness_utxo = other.non_witness_utxo
            if into.witness_utxo is None:
                into.witness_utxo = other.witness_utxo
            _merge(into, other, _INPUT_FIELDS_TO_MERGE, _INPUT_FIELDS_TO_TAKE)
        for out, other_out in zip(merged.outputs, psbt.outputs, strict=True):
            _merge(out, other_out, _OUTPUT_FIELDS_TO_MERGE, _OUTPUT_FIELDS_TO_TAKE)
        merged.hd_key_paths = {**psbt.hd_key_paths, **merged.hd_key_paths}
        _merge_unknown(merged, psbt)
    return merged


def _merge(into: PsbtIn | PsbtOut, other: PsbtIn | PsbtOut, maps: Sequence[str], values: Sequence[str]) -> None:
    for name in maps:
        setattr(into, name, {**getattr(other, name), **getattr(into, name)})
    for name in values:
        value = getattr(into, name)
        if not (value.stack if isinstance(value, Witness) else value):
            setattr(into, name, getattr(other, name))
    _merge_unknown(into, other)


def _merge_unknown(into: Psbt | PsbtIn | PsbtOut, other: Psbt | PsbtIn | PsbtOut) -> None:
    for key, value in other.unknown.items():
        if key[:1] != b"\xfc":
            into.unknown.setdefault(key, value)
