"""Output scripts as the wallet sorts and names them. Pure."""

from btclib.script.solver import get_txn_output_type, solver

from .coins import OutputType

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
