"""A script as JSON (``ScriptToUniv``, Core's ``src/core_io.cpp``)."""

from typing import Any

from btclib.script.script import script_to_asm
from btclib.script.solver import get_txn_output_type, solver
from btclib_wallet.descriptors import Provider, checksum, infer_descriptor

from .address import encode_address
from .network import network_name

_NOTHING_KNOWN = Provider()


def asm(script: bytes, *, signatures: bool = False) -> str:
    """The script in words. ``signatures`` decodes the hash type of what looks like one (for a scriptSig)."""
    return script_to_asm(script, attempt_sighash_decode=signatures)


def script_json(
    script: bytes,
    chain: str,
    *,
    with_hex: bool = True,
    with_address: bool = True,
    provider: Provider = _NOTHING_KNOWN,
) -> dict[str, Any]:
    """``asm``, ``desc``, ``hex``, ``address`` and ``type`` of an output script, in Core's order.

    ``with_address`` False leaves out the descriptor as well, as Core does for redeem and witness scripts in a PSBT.
    ``provider`` is what is known of its keys and scripts, for the descriptor.
    """
    out: dict[str, Any] = {"asm": asm(script)}
    kind = get_txn_output_type(solver(script)[0])
    address = encode_address(script, chain) if with_address else None
    if with_address:
        if address is not None and provider is _NOTHING_KNOWN and kind != "witness_v1_taproot":
            out["desc"] = f"addr({address})#{checksum(f'addr({address})')}"  # what is inferred, in a third of the time
        else:
            out["desc"] = infer_descriptor(script, provider, network_name(chain))
    if with_hex:
        out["hex"] = script.hex()
    if address is not None:
        out["address"] = address
    out["type"] = kind
    return out
