"""Output scripts as the wallet sorts and names them. Pure."""

from contextlib import suppress

from btclib.exceptions import BTClibValueError
from btclib.hashes import hash160
from btclib.script.solver import get_txn_output_type, solver
from btclib.script.taproot import output_pubkey_from_merkle_root_var

from bitcoind_mp.wallet.coins import OutputType

#: Core's order of destinations (``CTxDestination``, ``src/addresstype.h``): by kind, then by hash.
_KIND = {
    "pubkey": 1,
    "pubkeyhash": 2,
    "scripthash": 3,
    "witness_v0_scripthash": 4,
    "witness_v0_keyhash": 5,
    "witness_v1_taproot": 6,
    "anchor": 7,
    "witness_unknown": 8,
}
#: Bytes of a compressed public key.
_COMPRESSED = 33
_OFFSET = {2: 3, 3: 2, 4: 2, 5: 2, 6: 2}


def kind_of(script: bytes) -> str:
    """Core's name for the kind of output script (``GetTxnOutputType``)."""
    return get_txn_output_type(solver(script)[0])


def destination_order(script: bytes) -> tuple[int, bytes]:
    """A key that sorts scripts as Core's maps of destinations do."""
    kind = _KIND.get(kind_of(script), 0)
    return kind, script[_OFFSET.get(kind, 0) :]


def has_address(script: bytes) -> bool:
    """Whether an address stands for it (``ExtractDestination``)."""
    return _KIND.get(kind_of(script), 0) > 1


def key_scripts(pubkey: bytes) -> list[bytes]:
    """The scripts that pay to that public key (SEC) alone: pk, pkh, wpkh, sh(wpkh), and tr without a tree."""
    digest = hash160(pubkey)
    scripts = [bytes([len(pubkey)]) + pubkey + b"\xac", b"\x76\xa9\x14" + digest + b"\x88\xac"]
    if len(pubkey) == _COMPRESSED:
        witness = b"\x00\x14" + digest
        scripts += [witness, b"\xa9\x14" + hash160(witness) + b"\x87"]
        with suppress(BTClibValueError):  # no point of the curve
            scripts.append(b"\x51\x20" + output_pubkey_from_merkle_root_var(pubkey[1:])[0])
    return scripts


def is_unspendable(script: bytes) -> bool:
    """``CScript::IsUnspendable``"""
    return script[:1] == b"\x6a" or len(script) > 10_000


def coin_type(script: bytes, redeem_script: bytes | None) -> OutputType | None:
    """The address type that coin selection files an output under (``GetOutputType``, ``src/wallet/spend.cpp``).

    ``redeem_script`` is that of a pay-to-script-hash output, None where unknown.
    """
    kind = kind_of(script)
    wrapped = kind == "scripthash" and redeem_script is not None
    if wrapped:
        kind = kind_of(redeem_script or b"")
    if kind in ("witness_v0_keyhash", "witness_v0_scripthash"):
        return OutputType.P2SH_SEGWIT if wrapped else OutputType.BECH32
    if kind == "witness_v1_taproot":
        return OutputType.BECH32M
    return OutputType.LEGACY if kind in ("pubkeyhash", "scripthash") else None
