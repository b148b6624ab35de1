"""Descriptors as people write them: private keys taken out of the text, and put back. Pure.

btclib's descriptors hold no private key: an extended one is replaced by its public half and handed back, a WIF only
by its public key. So a wallet keeps the public text and, beside it, each secret under the public half it belongs to.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from btclib.b58 import prv_key_data_from_wif, wif_from_prv_key
from btclib.exceptions import BTClibValueError
from btclib_wallet.bip32.bip32 import derive_
from btclib_wallet.descriptors import (
    AddrDescriptor,
    ComboDescriptor,
    Descriptor,
    KeyExpression,
    MultiDescriptor,
    PkDescriptor,
    RawDescriptor,
    RawTrDescriptor,
    ShDescriptor,
    TrDescriptor,
    WpkhDescriptor,
    WshDescriptor,
    add_checksum,
    normalized,
)

from bitcoind_mp.render.descriptor_text import parse_descriptors
from bitcoind_mp.render.network import network_name

from .addresses import coin_type
from .coins import OutputType

#: A public key where a descriptor may have one: after "(", ",", "{" or the "]" of its origin.
_PUBLIC_KEY = re.compile(
    r"(?<=[(,{\]])(?:[0-9a-f]{64}|[0-9a-f]{66}|[0-9a-f]{130}|[a-zA-Z]pub[1-9A-HJ-NP-Za-km-z]{100,112})(?![0-9A-Za-z])"
)
_OLDER = re.compile(r"\bolder\((\d+)\)")
#: Of a relative lock time (BIP68): the bit that says that it counts time, and those that count.
_DELAY_IS_TIME, _DELAY_MASK = 1 << 22, 0xFFFF


class Secrets(Protocol):
    """What private keys are looked up in by their public half: a `KeyStore`, or what a descriptor's text held."""

    def holds(self, public: str) -> bool: ...

    def secret(self, public: str) -> str: ...


@dataclass(frozen=True)
class TextSecrets:
    """The private keys that a descriptor's text held, by their public half."""

    by_public: Mapping[str, str]

    def holds(self, public: str) -> bool:
        return public in self.by_public

    def secret(self, public: str) -> str:
        return self.by_public[public]

    def __bool__(self) -> bool:
        return bool(self.by_public)


@dataclass(frozen=True)
class ReadDescriptor:
    """A descriptor as read: parsed, its public text and its normalized text (each with checksum), its secrets.

    ``normalized`` is None where a hardened step lacks its private key: no script can be derived."""

    parsed: Descriptor
    text: str
    normalized: str | None
    secrets: TextSecrets


def read(text: str, chain: str, *, require_checksum: bool = False) -> list[ReadDescriptor]:
    """Read a descriptor, one for each path of it (BIP389). Raises `RpcError` (-5) in Core's words."""
    found = parse_descriptors(text, chain, require_checksum=require_checksum)
    network = network_name(chain)
    secrets = dict(found.prv_keys)
    for public, secret in found.secrets.items():
        secrets[public.hex()] = wif_from_prv_key(secret, network, len(public) == 33)
    return [_described(parsed, found.prv_keys, TextSecrets(secrets)) for parsed in found.descriptors]


def _described(parsed: Descriptor, extended: Mapping[str, str], secrets: TextSecrets) -> ReadDescriptor:
    normal: str | None = None
    with suppress(BTClibValueError):
        parsed.script_pub_keys(0, extended)
        normal = add_checksum(str(normalized(parsed, extended)))
    return ReadDescriptor(parsed, add_checksum(str(parsed)), normal, secrets)


def plain_keys(descriptor: Descriptor) -> Iterator[KeyExpression]:
    """Every key that is no aggregate: the participants of a ``musig()`` in its place."""
    pending = list(descriptor.key_expressions)
    while pending:
        key = pending.pop(0)
        if key.participants:
            pending[:0] = key.participants
        else:
            yield key


def public_half(key: KeyExpression) -> str:
    """The name under which a key's secret is kept."""
    return key.xkey or (key.pub_key or b"").hex()


def unsafe_delays(text: str) -> list[str]:
    """Words about each ``older()`` whose number says more than BIP68 keeps of it: the coin can be spent sooner
    (``MiniscriptDescriptor``)."""
    found = []
    for number in map(int, _OLDER.findall(text)):
        if number & ~_DELAY_IS_TIME > _DELAY_MASK:
            kind, most = ("time", "(65535 * 512) seconds") if number & _DELAY_IS_TIME else ("height", "65535 blocks")
            found.append(f"{kind}-based relative locktime: older({number}) > {most} is unsafe")
    return found


def private_text(text: str, secrets: Secrets) -> str:
    """The descriptor with every private key that we hold in place of its public half, with its checksum.

    Raises what ``secrets`` raises when locked."""

    def replace(match: re.Match[str]) -> str:
        public = match.group()
        names = [f"02{public}", f"03{public}"] if len(public) == 64 else [public]
        return next((secrets.secret(name) for name in names if secrets.holds(name)), public)

    return add_checksum(_PUBLIC_KEY.sub(replace, text.partition("#")[0]))


def private_keys(descriptor: Descriptor, index: int, secrets: Secrets) -> dict[bytes, bytes]:
    """Of the keys at that index, those whose private half we hold: public key (SEC) to 32 bytes.

    ``descriptor`` is the one as written, not its normalized form: secrets belong to the keys that it names."""
    found = {}
    for key in plain_keys(descriptor):
        public = public_half(key)
        if key.pub_key is not None and key.x_only:
            public = next((p.hex() + public[2:] for p in (b"\2", b"\3") if secrets.holds(p.hex() + public[2:])), public)
        if not secrets.holds(public):
            continue
        secret = secrets.secret(public)
        if key.pub_key is not None:
            data = prv_key_data_from_wif(secret)
            found[data.pub.sec] = data.q.to_bytes(32, "big")
        else:
            path = [*key.der_path, *([] if key.wildcard is None else [key.wildcard + index])]
            child = derive_(secret, path)
            found[key.sec(index, descriptor.network, {key.xkey: secret})] = child.key[1:]
    return found


def output_type(descriptor: Descriptor) -> OutputType | None:
    """The address type of a descriptor's scripts, None where it has none (``Descriptor::GetOutputType``)."""
    match descriptor:
        case WpkhDescriptor() | WshDescriptor():
            return OutputType.BECH32
        case TrDescriptor() | RawTrDescriptor():
            return OutputType.BECH32M
        case ShDescriptor(inner=inner):
            return OutputType.P2SH_SEGWIT if isinstance(inner, WpkhDescriptor | WshDescriptor) else OutputType.LEGACY
        case AddrDescriptor() | RawDescriptor():
            return coin_type(descriptor.script_pub_key().script, None)
        case ComboDescriptor() | PkDescriptor() | MultiDescriptor():
            return None
        case _:
            return OutputType.LEGACY
