"""What `getaddressinfo` tells of an address (``src/wallet/rpc/addresses.cpp``)."""

from typing import Any

from btclib.hashes import hash160
from btclib.script.solver import solver
from btclib_wallet.bip32.der_path import str_from_der_path
from btclib_wallet.descriptors import Provider

from bitcoind_mp.render.address import describe_destination, encode_address
from bitcoind_mp.wallet.addressing.addresses import has_address, kind_of
from bitcoind_mp.wallet.coins import Owner
from bitcoind_mp.wallet.wallet import Wallet

from .embedded import embedded_script, key_of

#: Core prints the hash of a seed that descriptor wallets don't have.
_NO_SEED = "00" * 20


def address_info(wallet: Wallet, script: bytes) -> dict[str, Any]:
    """All members, in Core's order."""
    owner = wallet.owner(script)
    info: dict[str, Any] = {
        "address": encode_address(script, wallet.options.chain),
        "scriptPubKey": script.hex(),
        "ismine": owner is not None,
    }
    descriptor = None if owner is None else wallet.descriptors.get(owner.descriptor)
    info["solvable"] = descriptor is not None and descriptor.is_solvable
    if owner is not None and descriptor is not None:
        if descriptor.is_solvable:
            info["desc"] = wallet.descriptors.concrete(owner, script)
        info["parent_desc"] = descriptor.normalized
    info["iswatchonly"] = False
    info |= describe_destination(script) | _details(wallet, owner, script)
    info["ischange"] = wallet.is_change(script)
    if owner is not None and descriptor is not None:
        info |= _origin(wallet, owner, script, descriptor.created)
    entry = wallet.book.get(script)
    info["labels"] = [] if entry is None else [entry.label or ""]
    return info


def _details(wallet: Wallet, owner: Owner | None, script: bytes) -> dict[str, Any]:
    """The key or script that an address hides, where we know it (``DescribeWalletAddressVisitor``)."""
    if owner is None:
        return {}
    kind = kind_of(script)
    if kind == "pubkeyhash":
        key = key_of(wallet, owner, script[3:23])
        return {} if key is None else {"pubkey": key.hex(), "iscompressed": len(key) == 33}
    if kind == "witness_v0_keyhash":
        key = key_of(wallet, owner, script[2:])
        return {} if key is None else {"pubkey": key.hex()}
    if kind in ("scripthash", "witness_v0_scripthash"):
        inner = embedded_script(wallet, owner, script)
        return {} if inner is None else _script_details(wallet, owner, inner)
    return {}


def _script_details(wallet: Wallet, owner: Owner, inner: bytes) -> dict[str, Any]:
    kind = kind_of(inner)
    found: dict[str, Any] = {"script": kind, "hex": inner.hex()}
    if has_address(inner):
        embedded = describe_destination(inner) | _details(wallet, owner, inner)
        embedded["address"] = encode_address(inner, wallet.options.chain)
        embedded["scriptPubKey"] = inner.hex()
        if "pubkey" in embedded:
            found["pubkey"] = embedded["pubkey"]
        found["embedded"] = embedded
    elif kind == "multisig":
        solutions = solver(inner)[1]
        found["sigsrequired"] = solutions[0][0]
        found["pubkeys"] = [key.hex() for key in solutions[1:-1]]
    return found


def _origin(wallet: Wallet, owner: Owner, script: bytes, created: int) -> dict[str, Any]:
    """Where a single key's address comes from (``GetMetadata``)."""
    provider = wallet.descriptors.provider(owner)
    key = _single_key(provider, script)
    origin = None if key is None else provider.keys.get(key)
    if origin is None:
        return {}
    return {
        "timestamp": created,
        "hdkeypath": str_from_der_path(origin.der_path, None, "h"),
        "hdseedid": _NO_SEED,
        "hdmasterfingerprint": origin.master_fingerprint.hex(),
    }


def _single_key(provider: Provider, script: bytes) -> bytes | None:
    """The key that an address of a single key stands for (``GetKeyForDestination``)."""
    kind = kind_of(script)
    if kind in ("pubkeyhash", "witness_v0_keyhash"):
        wanted = script[3:23] if kind == "pubkeyhash" else script[2:]
        return next((key for key in provider.keys if hash160(key) == wanted), None)
    if kind == "scripthash":
        inner = next((one for one in provider.scripts if hash160(one) == script[2:22]), b"")
        return _single_key(provider, inner) if kind_of(inner) == "witness_v0_keyhash" else None
    if kind == "witness_v1_taproot" and script[2:] in provider.trees:
        internal, merkle_root, _ = provider.trees[script[2:]]
        if merkle_root:
            return None
        return next((key for key in provider.keys if key[-32:] == internal), None)
    return None
