"""A PSBT as JSON: every field of `decodepsbt` in Core's order (``src/rpc/rawtransaction.cpp``)."""

from collections.abc import Mapping
from typing import Any

from btclib.base58 import encode as base58_encode
from btclib.hashes import hash160
from btclib_wallet.bip32.key_origin import BIP32KeyOrigin
from btclib_wallet.psbt import Psbt, PsbtIn, PsbtOut

from bitcoind_mp.interfaces.amounts import MAX_MONEY, btc
from bitcoind_mp.render.script import asm, script_json
from bitcoind_mp.render.transaction import transaction_json
from bitcoind_mp.signing.psbt_writer import by_leaf, by_origin, by_session

_HASH_TYPES = {
    0x01: "ALL",
    0x81: "ALL|ANYONECANPAY",
    0x02: "NONE",
    0x82: "NONE|ANYONECANPAY",
    0x03: "SINGLE",
    0x83: "SINGLE|ANYONECANPAY",
}
_PROPRIETARY = b"\xfc"


def psbt_json(psbt: Psbt, chain: str) -> dict[str, Any]:
    """All that a version 0 PSBT says."""
    tx = psbt.tx
    result: dict[str, Any] = {
        "tx": transaction_json(tx, chain),
        "global_xpubs": [
            {
                "xpub": base58_encode(xpub).decode(),
                "master_fingerprint": origin.master_fingerprint.hex(),
                "path": _path(origin),
            }
            for xpub, origin in sorted(
                psbt.hd_key_paths.items(), key=lambda item: (by_origin(item[1]), item[0][45:], item[0][13:45])
            )
        ],
        "psbt_version": 0,
        "proprietary": _proprietary(psbt.unknown),
        "unknown": _unknown(psbt.unknown),
        "inputs": [],
        "outputs": [],
    }
    total_in: int | None = 0
    for psbt_in in psbt.inputs:
        result["inputs"].append(_input(psbt_in, chain))
        total_in = _plus(total_in, _amount_of(psbt_in))
    total_out: int | None = 0
    for psbt_out, tx_out in zip(psbt.outputs, tx.vout, strict=True):
        result["outputs"].append(_output(psbt_out))
        total_out = _plus(total_out, tx_out.value)
    if total_in is not None and total_out is not None:
        result["fee"] = btc(total_in - total_out)
    return result


def _plus(total: int | None, amount: int | None) -> int | None:
    """The sum, None where a part is unknown or it is out of the range of money."""
    if total is None or amount is None or not 0 <= amount <= MAX_MONEY or total + amount > MAX_MONEY:
        return None
    return total + amount


def _amount_of(psbt_in: PsbtIn) -> int | None:
    if psbt_in.non_witness_utxo is not None:
        return psbt_in.non_witness_utxo.vout[psbt_in.prev_out.vout].value
    return None if psbt_in.witness_utxo is None else psbt_in.witness_utxo.value


def _path(origin: BIP32KeyOrigin) -> str:
    """``m/84h/0h`` (``WriteHDKeypath``)"""
    steps = [f"/{step & 0x7FFFFFFF}{'h' if step >> 31 else ''}" for step in origin.der_path]
    return "".join(["m", *steps])


def _proprietary(unknown: Mapping[bytes, bytes]) -> list[dict[str, Any]]:
    rendered = []
    for key in sorted(key for key in unknown if key[:1] == _PROPRIETARY):
        length, at = _compact_size(key, 1)
        identifier = key[at : at + length]
        subtype, _ = _compact_size(key, at + length)
        rendered.append(
            {"identifier": identifier.hex(), "subtype": subtype, "key": key.hex(), "value": unknown[key].hex()}
        )
    return rendered


def _compact_size(data: bytes, at: int) -> tuple[int, int]:
    width = {253: 2, 254: 4, 255: 8}.get(data[at], 0)
    if not width:
        return data[at], at + 1
    return int.from_bytes(data[at + 1 : at + 1 + width], "little"), at + 1 + width


def _unknown(unknown: Mapping[bytes, bytes]) -> dict[str, str]:
    return {key.hex(): unknown[key].hex() for key in sorted(unknown) if key[:1] != _PROPRIETARY}


def _input(psbt_in: PsbtIn, chain: str) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if psbt_in.witness_utxo is not None:
        out["witness_utxo"] = {
            "amount": btc(psbt_in.witness_utxo.value),
            "scriptPubKey": script_json(psbt_in.witness_utxo.script_pub_key.script, chain),
        }
    if psbt_in.non_witness_utxo is not None:
        out["non_witness_utxo"] = transaction_json(psbt_in.non_witness_utxo, chain)
    if psbt_in.partial_sigs:
        out["partial_signatures"] = {
            sec.hex(): psbt_in.partial_sigs[sec].hex() for sec in sorted(psbt_in.partial_sigs, key=hash160)
        }
    if psbt_in.sig_hash_type is not None:
        out["sighash"] = _HASH_TYPES.get(psbt_in.sig_hash_type & 0xFF, "")
    _scripts(out, psbt_in.redeem_script, psbt_in.witness_script)
    _derivations(out, psbt_in.hd_key_paths)
    if psbt_in.final_script_sig:
        out["final_scriptSig"] = {
            "asm": asm(psbt_in.final_script_sig, signatures=True),
            "hex": psbt_in.final_script_sig.hex(),
        }
    if psbt_in.final_script_witness.stack:
        out["final_scriptwitness"] = [item.hex() for item in psbt_in.final_script_witness.stack]
    for name in ("ripemd160", "sha256", "hash160", "hash256"):
        preimages: dict[bytes, bytes] = getattr(psbt_in, f"{name}_preimages")
        if preimages:
            out[f"{name}_preimages"] = {key.hex(): preimages[key].hex() for key in sorted(preimages)}
    _taproot_input(out, psbt_in)
    _participants(out, psbt_in.musig2_participant_pub_keys)
    _musig2(out, "musig2_pubnonces", "pubnonce", psbt_in.musig2_pub_nonces, reverse=False)
    _musig2(out, "musig2_partial_sigs", "partial_sig", psbt_in.musig2_partial_sigs, reverse=True)
    _others(out, psbt_in.unknown)
    return out


def _output(psbt_out: PsbtOut) -> dict[str, Any]:
    out: dict[str, Any] = {}
    _scripts(out, psbt_out.redeem_script, psbt_out.witness_script)
    _derivations(out, psbt_out.hd_key_paths)
    if psbt_out.taproot_internal_key:
        out["taproot_internal_key"] = psbt_out.taproot_internal_key.hex()
    if psbt_out.taproot_tree:
        out["taproot_tree"] = [
            {"depth": depth, "leaf_ver": version, "script": script.hex()}
            for depth, version, script in psbt_out.taproot_tree
        ]
    _taproot_derivations(out, psbt_out.taproot_hd_key_paths)
    _participants(out, psbt_out.musig2_participant_pub_keys)
    _others(out, psbt_out.unknown)
    return out


def _scripts(out: dict[str, Any], redeem_script: bytes, witness_script: bytes) -> None:
    for name, script in (("redeem_script", redeem_script), ("witness_script", witness_script)):
        if script:
            out[name] = script_json(script, "main", with_address=False)


def _derivations(out: dict[str, Any], paths: Mapping[bytes, BIP32KeyOrigin]) -> None:
    if paths:
        out["bip32_derivs"] = [
            {"pubkey": sec.hex(), "master_fingerprint": paths[sec].master_fingerprint.hex(), "path": _path(paths[sec])}
            for sec in sorted(paths)
        ]


def _taproot_derivations(out: dict[str, Any], paths: Mapping[bytes, tuple[list[bytes], BIP32KeyOrigin]]) -> None:
    if paths:
        out["taproot_bip32_derivs"] = [
            {
                "pubkey": x_only.hex(),
                "master_fingerprint": origin.master_fingerprint.hex(),
                "path": _path(origin),
                "leaf_hashes": [leaf_hash.hex() for leaf_hash in sorted(set(leaf_hashes))],
            }
            for x_only, (leaf_hashes, origin) in sorted(paths.items(), key=lambda item: item[0])
        ]


def _taproot_input(out: dict[str, Any], psbt_in: PsbtIn) -> None:
    if psbt_in.taproot_key_spend_signature:
        out["taproot_key_path_sig"] = psbt_in.taproot_key_spend_signature.hex()
    if psbt_in.taproot_script_spend_signatures:
        out["taproot_script_path_sigs"] = [
            {"pubkey": key[:32].hex(), "leaf_hash": key[32:].hex(), "sig": signature.hex()}
            for key, signature in sorted(psbt_in.taproot_script_spend_signatures.items())
        ]
    if psbt_in.taproot_leaf_scripts:
        leaves: dict[tuple[bytes, int], list[str]] = {}
        for control, leaf in sorted(psbt_in.taproot_leaf_scripts.items(), key=by_leaf):
            leaves.setdefault(leaf, []).append(control.hex())
        out["taproot_scripts"] = [
            {"script": script.hex(), "leaf_ver": version, "control_blocks": controls}
            for (script, version), controls in leaves.items()
        ]
    _taproot_derivations(out, psbt_in.taproot_hd_key_paths)
    if psbt_in.taproot_internal_key:
        out["taproot_internal_key"] = psbt_in.taproot_internal_key.hex()
    if psbt_in.taproot_merkle_root:
        out["taproot_merkle_root"] = psbt_in.taproot_merkle_root.hex()


def _participants(out: dict[str, Any], participants: Mapping[bytes, list[bytes]]) -> None:
    if participants:
        out["musig2_participant_pubkeys"] = [
            {
                "aggregate_pubkey": aggregate.hex(),
                "participant_pubkeys": [participant.hex() for participant in participants[aggregate]],
            }
            for aggregate in sorted(participants)
        ]


def _musig2(out: dict[str, Any], name: str, value_name: str, values: Mapping[bytes, bytes], *, reverse: bool) -> None:
    if not values:
        return
    out[name] = []
    for key in sorted(values, key=by_session):
        info = {"participant_pubkey": key[:33].hex(), "aggregate_pubkey": key[33:66].hex()}
        if key[66:]:
            info["leaf_hash"] = key[66:].hex()
        info[value_name] = values[key].hex()
        out[name].append(info)


def _others(out: dict[str, Any], unknown: Mapping[bytes, bytes]) -> None:
    proprietary, rest = _proprietary(unknown), _unknown(unknown)
    if proprietary:
        out["proprietary"] = proprietary
    if rest:
        out["unknown"] = rest
