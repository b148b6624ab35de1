"""A PSBT's bytes in the order in which Core writes them (``Serialize``, ``src/psbt.h``).

btclib writes the same fields; where maps are concerned in another order, and the previous transactions with their
witnesses. Tools compare PSBTs as text, so the order is Core's.
"""

import base64
from collections.abc import Iterable, Mapping

from btclib import var_bytes, var_int
from btclib.hashes import hash160
from btclib_wallet.bip32.key_origin import BIP32KeyOrigin
from btclib_wallet.psbt import Psbt, PsbtIn, PsbtOut

_PROPRIETARY = b"\xfc"
Pairs = Iterable[tuple[bytes, bytes]]


def encode_psbt(psbt: Psbt) -> str:
    """Base64 text of a version 0 PSBT."""
    return base64.b64encode(serialize_psbt(psbt)).decode()


def serialize_psbt(psbt: Psbt) -> bytes:
    """The bytes of a version 0 PSBT."""
    tx = psbt.tx.serialize(include_witness=False, check_validity=False)
    parts = [b"psbt\xff", _map([(b"\x00", tx), *_xpubs(psbt), *_others(psbt.unknown)])]
    parts += [_map(_input(psbt_in)) for psbt_in in psbt.inputs]
    parts += [_map(_output(psbt_out)) for psbt_out in psbt.outputs]
    return b"".join(parts)


def _map(pairs: Pairs) -> bytes:
    return b"".join(var_bytes.serialize(key) + var_bytes.serialize(value) for key, value in pairs) + b"\x00"


def by_origin(origin: BIP32KeyOrigin) -> tuple[bytes, int, list[int]]:
    """What Core sorts key origins by: the fingerprint, then the shorter path."""
    return origin.master_fingerprint, len(origin.der_path), list(origin.der_path)


def _xpubs(psbt: Psbt) -> Pairs:
    for xpub, origin in sorted(
        psbt.hd_key_paths.items(), key=lambda item: (by_origin(item[1]), item[0][45:], item[0][13:45])
    ):
        yield b"\x01" + xpub, origin.serialize()


def _others(unknown: Mapping[bytes, bytes], *, proprietary: bool | None = None) -> Pairs:
    """The fields that nobody knows, the proprietary ones first (None: all)."""
    for wanted in (True, False):
        if proprietary in (None, wanted):
            yield from sorted((k, v) for k, v in unknown.items() if (k[:1] == _PROPRIETARY) is wanted)


def _sorted(kind: int, values: Mapping[bytes, bytes]) -> Pairs:
    for key in sorted(values):
        yield bytes([kind]) + key, values[key]


def _single(kind: int, value: bytes) -> Pairs:
    if value:
        yield bytes([kind]), value


def _derivations(kind: int, paths: Mapping[bytes, BIP32KeyOrigin]) -> Pairs:
    for sec in sorted(paths):
        yield bytes([kind]) + sec, paths[sec].serialize()


def _taproot_derivations(kind: int, paths: Mapping[bytes, tuple[list[bytes], BIP32KeyOrigin]]) -> Pairs:
    for x_only in sorted(paths):
        hashes, origin = paths[x_only]
        leaves = b"".join(sorted(set(hashes)))
        yield bytes([kind]) + x_only, var_int.serialize(len(leaves) // 32) + leaves + origin.serialize()


def _participants(kind: int, participants: Mapping[bytes, list[bytes]]) -> Pairs:
    for aggregate in sorted(participants):
        yield bytes([kind]) + aggregate, b"".join(participants[aggregate])


def by_session(key: bytes) -> tuple[bytes, bytes, bytes]:
    """What Core sorts MuSig2 nonces and signatures by: aggregate key, leaf hash, participant."""
    return key[33:66], key[66:] or bytes(32), key[:33]


def by_leaf(item: tuple[bytes, tuple[bytes, int]]) -> tuple[tuple[bytes, int], int, bytes]:
    """What Core sorts leaf scripts by: script and version, then the shorter control block."""
    control, leaf = item
    return leaf, len(control), control


def _input(psbt_in: PsbtIn) -> Pairs:
    if psbt_in.non_witness_utxo is not None:
        yield b"\x00", psbt_in.non_witness_utxo.serialize(include_witness=False, check_validity=False)
    if psbt_in.witness_utxo is not None:
        yield b"\x01", psbt_in.witness_utxo.serialize(check_validity=False)
    if not psbt_in.final_script_sig and not psbt_in.final_script_witness.stack:
        yield from _unfinished(psbt_in)
    yield from _single(0x07, psbt_in.final_script_sig)
    if psbt_in.final_script_witness.stack:
        yield b"\x08", psbt_in.final_script_witness.serialize()
    yield from _others(psbt_in.unknown)


def _unfinished(psbt_in: PsbtIn) -> Pairs:
    for sec in sorted(psbt_in.partial_sigs, key=hash160):
        yield b"\x02" + sec, psbt_in.partial_sigs[sec]
    if psbt_in.sig_hash_type is not None:
        yield b"\x03", psbt_in.sig_hash_type.to_bytes(4, "little")
    yield from _single(0x04, psbt_in.redeem_script)
    yield from _single(0x05, psbt_in.witness_script)
    yield from _derivations(0x06, psbt_in.hd_key_paths)
    yield from _sorted(0x0A, psbt_in.ripemd160_preimages)
    yield from _sorted(0x0B, psbt_in.sha256_preimages)
    yield from _sorted(0x0C, psbt_in.hash160_preimages)
    yield from _sorted(0x0D, psbt_in.hash256_preimages)
    yield from _single(0x13, psbt_in.taproot_key_spend_signature)
    yield from _sorted(0x14, psbt_in.taproot_script_spend_signatures)
    for control, (script, version) in sorted(psbt_in.taproot_leaf_scripts.items(), key=by_leaf):
        yield b"\x15" + control, script + bytes([version])
    yield from _taproot_derivations(0x16, psbt_in.taproot_hd_key_paths)
    yield from _single(0x17, psbt_in.taproot_internal_key)
    yield from _single(0x18, psbt_in.taproot_merkle_root)
    yield from _participants(0x1A, psbt_in.musig2_participant_pub_keys)
    for kind, values in ((0x1B, psbt_in.musig2_pub_nonces), (0x1C, psbt_in.musig2_partial_sigs)):
        for key in sorted(values, key=by_session):
            yield bytes([kind]) + key, values[key]


def _output(psbt_out: PsbtOut) -> Pairs:
    yield from _single(0x00, psbt_out.redeem_script)
    yield from _single(0x01, psbt_out.witness_script)
    yield from _derivations(0x02, psbt_out.hd_key_paths)
    yield from _others(psbt_out.unknown, proprietary=True)
    yield from _single(0x05, psbt_out.taproot_internal_key)
    if psbt_out.taproot_tree:
        yield (
            b"\x06",
            b"".join(
                bytes([depth, version]) + var_bytes.serialize(script)
                for depth, version, script in psbt_out.taproot_tree
            ),
        )
    yield from _taproot_derivations(0x07, psbt_out.taproot_hd_key_paths)
    yield from _participants(0x08, psbt_out.musig2_participant_pub_keys)
    yield from _others(psbt_out.unknown, proprietary=False)
