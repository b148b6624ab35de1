"""The private keys behind a descriptor, each named by its public half. Pure.

btclib's descriptors hold none: who has the keys keeps the public text and, beside it, each secret under the extended
public key, or the public key in hex, that stands in its place.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from btclib.b58 import prv_key_data_from_wif
from btclib_wallet.bip32.bip32 import BIP32KeyData, derive_, xpub_from_xprv
from btclib_wallet.descriptors import Descriptor, KeyExpression, add_checksum

#: A public key where a descriptor may have one: after "(", ",", "{" or the "]" of its origin.
_PUBLIC_KEY = re.compile(
    r"(?<=[(,{\]])(?:[0-9a-f]{64}|[0-9a-f]{66}|[0-9a-f]{130}|[a-zA-Z]pub[1-9A-HJ-NP-Za-km-z]{100,112})(?![0-9A-Za-z])"
)


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


def public_half_of(secret: str) -> str:
    """The public half that a secret is kept under; empty for what is none."""
    try:
        return xpub_from_xprv(secret) if secret[1:4] == "prv" else prv_key_data_from_wif(secret).pub.sec.hex()
    except ValueError:
        return ""


def plain_secret(secret: str) -> bytes:
    """The 32 bytes of an extended private key's own key, or of one in WIF."""
    if secret[1:4] == "prv":
        return BIP32KeyData.b58decode(secret).key[1:]
    return prv_key_data_from_wif(secret).q.to_bytes(32, "big")


def plain_public(public: str) -> bytes:
    """The public key (SEC) of a public half."""
    return BIP32KeyData.b58decode(public).key if public[1:4] == "pub" else bytes.fromhex(public)


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
