"""What the node can add to a PSBT: what its inputs spend, what descriptors given in the call tell, and signatures of
the keys in those (``ProcessPSBT``, ``src/rpc/rawtransaction.cpp``)."""

import asyncio
from typing import Any

from btclib.script.script_pub_key import is_segwit
from btclib_wallet.bip32.bip32 import derive, prv_keyinfo_from_xprv
from btclib_wallet.psbt import Psbt

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.descriptor_text import ParsedDescriptors, parse_scan_object
from bitcoind_mp.signing import psbt as roles
from bitcoind_mp.signing.keystore import KeyStore

from .lookup import Lookup

#: Indexes of a descriptor that are expanded before others are served; a range may have a million.
_EXPAND_AT_ONCE = 50


async def process(psbt: Psbt, keys: KeyStore, lookup: Lookup, hash_type: int | None, *, finalize: bool) -> None:
    """Fill in what the inputs spend, sign as far as the keys go, and tell what is known of the outputs."""
    for psbt_in in psbt.inputs:
        if psbt_in.non_witness_utxo is not None:
            continue
        outpoint = psbt_in.prev_out
        found = await lookup.transaction(outpoint.tx_id)
        if found is not None:
            psbt_in.non_witness_utxo = found.tx
            continue
        output = lookup.output((outpoint.tx_id, outpoint.vout))
        if output is not None and _pays_segwit(output.script_pub_key.script, keys):
            psbt_in.witness_utxo = output
    spends = roles.Spends(psbt)
    for index, psbt_in in enumerate(psbt.inputs):
        if roles.is_signed(psbt_in):
            continue
        outcome = roles.sign_input(psbt, index, keys, hash_type=hash_type, finalize=finalize, spends=spends)
        if outcome is roles.Outcome.SIGHASH_MISMATCH:
            raise RpcError(RpcCode.DESERIALIZATION_ERROR, outcome.value)
    for index in range(len(psbt.outputs)):
        roles.update_output(psbt, index, keys, spends)
    roles.drop_unneeded_transactions(psbt)


def _pays_segwit(script: bytes, keys: KeyStore) -> bool:
    """Whether what spends the output has a witness (``IsSegWitOutput``)."""
    if len(script) == 23 and script[:2] == b"\xa9\x14" and script[22] == 0x87:
        script = keys.scripts.get(script[2:22], b"")
    return is_segwit(script)


async def add_descriptor(keys: KeyStore, value: Any, chain: str) -> None:
    """Put what a descriptor tells into the key store (``EvalDescriptorStringOrObject``)."""
    asked = parse_scan_object(value, chain)
    parsed = asked.parsed
    for descriptor in parsed.descriptors:
        for index in range(asked.begin, asked.end + 1):
            if index % _EXPAND_AT_ONCE == 0:
                await asyncio.sleep(0)
            try:
                keys.add(descriptor.provider(index, parsed.prv_keys))
            except ValueError:
                raise RpcError(
                    RpcCode.INVALID_ADDRESS_OR_KEY, f"Cannot derive script without private keys: '{asked.text}'"
                ) from None
            _add_secrets(keys, parsed, index)


def _add_secrets(keys: KeyStore, parsed: ParsedDescriptors, index: int) -> None:
    for sec, secret in parsed.secrets.items():
        keys.add_secret(secret, compressed=len(sec) == 33)
    for descriptor in parsed.descriptors:
        for expression in descriptor.key_expressions:
            xprv = parsed.prv_keys.get(expression.xkey)
            if xprv is None:
                continue
            path = list(expression.der_path)
            if expression.wildcard is not None:
                path.append(expression.wildcard + index)
            keys.add_secret(prv_keyinfo_from_xprv(derive(xprv, path))[0].to_bytes(32, "big"))
