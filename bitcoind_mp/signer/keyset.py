"""One wallet's keys: the public half, which is always at hand, and the secrets, only while it is unlocked.

What doesn't belong: where sets are kept (``store.py``), whether they may be used (``vault.py``).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from btclib.hashes import hash160, sha256
from btclib_wallet.bip32.bip32 import fingerprint, xpub_from_xprv
from btclib_wallet.bip32.key_origin import BIP32KeyOrigin
from btclib_wallet.descriptors import Descriptor, KeyExpression, add_checksum, normalized, parse

from bitcoind_mp.interfaces.signer import KeySet, PublicDescriptor
from bitcoind_mp.render.network import network_name
from bitcoind_mp.signing.descriptor_keys import TextSecrets, plain_keys, private_keys, public_half_of
from bitcoind_mp.signing.keystore import KeyStore
from bitcoind_mp.signing.seeds import standard_descriptors

#: Addresses further on than this don't count as the owner's: nobody would find again what was paid there.
FURTHEST = 1_000_000
#: What pays to the hash of a key.
_P2PKH = (b"\x76\xa9\x14", b"\x88\xac")


@dataclass(frozen=True)
class Place:
    """Where an address of a set comes from: which of its descriptors, counted from 0, and index."""

    descriptor: int
    index: int


def id_of(xprv: str) -> str:
    """What a new wallet's keys are called: 16 bytes of a hash of its extended public key, in hexadecimal. So nobody can
    bring other keys back by that name."""
    return sha256(b"keyset " + xpub_from_xprv(xprv).encode())[:16].hex()


def describe(id: str, xprv: str, network: str) -> KeySet:
    """What is public of a new wallet's seed."""
    xpub = xpub_from_xprv(xprv)
    texts = [PublicDescriptor(type, internal, text, "") for type, internal, text in standard_descriptors(xpub, network)]
    return derived(KeySet(id, [xpub], texts), {xpub: xprv}, network)


def is_standard(keys: KeySet, *, chain: str) -> bool:
    """Whether its descriptors are those of a new wallet, which follow from its one extended key."""
    wanted = [add_checksum(text) for _, _, text in standard_descriptors(keys.publics[0], network_name(chain))]
    return [one.text for one in keys.descriptors] == wanted


def derived(claimed: KeySet, secrets: Mapping[str, str], network: str) -> KeySet:
    """The set as it follows from the secrets and the descriptors' texts alone: normalized anew, with checksums.

    Raises ValueError (btclib's are some): a text is no descriptor, or takes a private key for each of its scripts
    (a hardened wildcard), or a secret isn't that of the public half that it is named by."""
    for public, secret in secrets.items():
        if public_half_of(secret) != public:
            raise ValueError("a private key is not that of its public half")
    extended = {public: secret for public, secret in secrets.items() if not _is_hex(public)}
    found = []
    for one in claimed.descriptors:
        parsed = parse(one.text, network)
        if any(key.wildcard for key in plain_keys(parsed)):
            raise ValueError("a descriptor has a hardened wildcard")
        normal = add_checksum(str(normalized(parsed, extended)))
        parse(normal, network).script_pub_keys(0)
        found.append(replace(one, text=add_checksum(str(parsed)), normalized=normal))
    return KeySet(claimed.id, sorted(secrets), found)


def _is_hex(public: str) -> bool:
    return public[:2] in ("02", "03", "04")


def sealed_text(secrets: Mapping[str, str]) -> bytes:
    """What is sealed of a set: its one extended key as it is, or all secrets by their public halves."""
    values = list(secrets.values())
    if len(values) == 1 and not _is_hex(next(iter(secrets))):
        return values[0].encode()
    return json.dumps(dict(secrets)).encode()


def secrets_in(text: bytes) -> TextSecrets:
    """The inverse."""
    opened = text.decode()
    if opened.startswith("{"):
        return TextSecrets(json.loads(opened))
    return TextSecrets({xpub_from_xprv(opened): opened})


class OwnScripts:
    """Which addresses are a set's, by its own derivation alone."""

    def __init__(self, public: KeySet, network: str) -> None:
        self.public = public
        self._network = network
        self._parsed: list[Descriptor] = [parse(one.normalized, network) for one in public.descriptors]
        self._fixed: dict[bytes, Place] = {}
        self._ranged: dict[tuple[bytes, tuple[int, ...]], list[int]] = {}
        for number, parsed in enumerate(self._parsed):
            if not parsed.is_ranged:
                for script in self._scripts(Place(number, 0)):
                    self._fixed.setdefault(script, Place(number, 0))
            for key in plain_keys(parsed) if parsed.is_ranged else ():
                if key.wildcard is not None:
                    self._ranged.setdefault(_prefix(key), []).append(number)

    def _scripts(self, place: Place) -> list[bytes]:
        return [found.script for found in self._parsed[place.descriptor].script_pub_keys(place.index)]

    def find(self, script: bytes, origins: Sequence[BIP32KeyOrigin]) -> Place | None:
        """The place of a script that somebody says has keys of these origins; None unless that is so."""
        if script in self._fixed:
            return self._fixed[script]
        return next((place for place in self._places(origins) if script in self._scripts(place)), None)

    def _places(self, origins: Sequence[BIP32KeyOrigin]) -> Iterator[Place]:
        for origin in origins:
            *steps, index = origin.der_path or [FURTHEST + 1]
            if index <= FURTHEST:
                for number in self._ranged.get((origin.master_fingerprint, tuple(steps)), ()):
                    yield Place(number, index)

    def place_in(self, text: str, index: int) -> Place | None:
        """The place of an index of the descriptor with that text; None where there is none."""
        for number, one in enumerate(self.public.descriptors):
            if one.text == text and 0 <= index <= (FURTHEST if self._parsed[number].is_ranged else 0):
                return Place(number, index)
        return None

    def keys(self, place: Place, secrets: TextSecrets) -> KeyStore:
        """What signs for the address at a place."""
        keys = KeyStore()
        keys.add(self._parsed[place.descriptor].provider(place.index))
        for sec, secret in self._private_keys(place, secrets).items():
            keys.add_secret(secret, compressed=len(sec) == 33)
        return keys

    def _private_keys(self, place: Place, secrets: TextSecrets) -> dict[bytes, bytes]:
        source = parse(self.public.descriptors[place.descriptor].text, self._network)
        return private_keys(source, place.index, secrets)

    def message_key(self, place: Place, secrets: TextSecrets) -> tuple[bytes, bool] | None:
        """The private key of the address at a place that pays to one key's hash, 32 bytes, and whether its public key
        is compressed; None for another address."""
        scripts = self._scripts(place)
        for sec, secret in self._private_keys(place, secrets).items():
            if _P2PKH[0] + hash160(sec) + _P2PKH[1] in scripts:
                return secret, len(sec) == 33
        return None


def _prefix(key: KeyExpression) -> tuple[bytes, tuple[int, ...]]:
    """The master key's fingerprint and the steps that all of a ranged key's indexes share."""
    if key.origin is not None:
        return key.origin.master_fingerprint, (*key.origin.der_path, *key.der_path)
    return fingerprint(key.xkey), tuple(key.der_path)
