"""The keys, key origins and scripts that a signature may be made from (Core's ``FlatSigningProvider``)."""

from dataclasses import dataclass, field

from btclib.hashes import hash160
from btclib_secp256k1 import keys as secp256k1_keys
from btclib_wallet.bip32.key_origin import BIP32KeyOrigin
from btclib_wallet.descriptors import Provider

#: Nonces that are kept at most, of signatures that were begun and never made.
_MOST_NONCES = 10_000


def public_key(secret: bytes, *, compressed: bool = True) -> bytes:
    """The public key of a private one, in SEC form."""
    return secp256k1_keys.pubkey_from_prvkey(secret, compressed)


class SecretNonces:
    """The secret halves of nonces that were told to others (MuSig2), by the public ones. In memory alone, and each is
    given out once: one that signs twice hands out the private key."""

    def __init__(self) -> None:
        self._secret: dict[bytes, bytearray] = {}

    def keep(self, public: bytes, secret: bytearray) -> None:
        """Hold one; of too many the oldest is forgotten."""
        if len(self._secret) >= _MOST_NONCES:
            del self._secret[next(iter(self._secret))]
        self._secret[public] = secret

    def take(self, public: bytes) -> bytearray | None:
        """The secret half, which isn't here any more then."""
        return self._secret.pop(public, None)


@dataclass
class KeyStore:
    """What a signer knows. ``secrets`` maps a public key (SEC) to its private key; the rest is public.

    ``trees`` is as in btclib's `Provider`: a taproot output key to its internal key, merkle root and leaves.
    ``aggregates`` maps the aggregate of several keys to these, in the order of their aggregation (MuSig2); ``nonces``
    are its secret nonces, None for who can't keep any between two rounds.
    """

    secrets: dict[bytes, bytes] = field(default_factory=dict, repr=False)
    origins: dict[bytes, BIP32KeyOrigin | None] = field(default_factory=dict)
    scripts: dict[bytes, bytes] = field(default_factory=dict)
    trees: dict[bytes, tuple[bytes, bytes, dict[bytes, tuple[bytes, int]]]] = field(default_factory=dict)
    aggregates: dict[bytes, list[bytes]] = field(default_factory=dict)
    nonces: SecretNonces | None = field(default=None, repr=False)
    _by_hash: dict[bytes, bytes] = field(default_factory=dict, repr=False)
    _by_x: dict[bytes, bytes] = field(default_factory=dict, repr=False)

    def add_secret(self, secret: bytes, *, compressed: bool = True) -> bytes:
        """Hold a private key; its public key."""
        sec = public_key(secret, compressed=compressed)
        self.secrets[sec] = secret
        self.add_public(sec)
        return sec

    def add_public(self, sec: bytes, origin: BIP32KeyOrigin | None = None) -> None:
        """Know a public key, and where it derives from if ``origin`` says so."""
        if origin is not None or sec not in self.origins:
            self.origins[sec] = origin
        self._by_hash[hash160(sec)] = sec
        if len(sec) == 33:
            self._by_hash.setdefault(hash160(sec[1:]), sec)
            self._by_x[sec[1:]] = sec

    def add_script(self, script: bytes) -> None:
        """Know a redeem or witness script."""
        self.scripts[hash160(script)] = script

    def add(self, provider: Provider) -> None:
        """Know what a descriptor tells (`Descriptor.provider`)."""
        for sec, origin in provider.keys.items():
            self.add_public(sec, origin)
        for script in provider.scripts:
            self.add_script(script)
        for output_key, (internal_key, root, leaves) in provider.trees.items():
            self.trees[output_key] = (internal_key, root, dict(leaves))

    def by_hash(self, key_hash: bytes) -> bytes | None:
        """The public key of that hash160, where known (of its x-only form too, as a tapscript's ``pkh`` hashes)."""
        return self._by_hash.get(key_hash)

    def by_x_only(self, x_only: bytes) -> bytes | None:
        """The known public key, of either parity, with that x coordinate."""
        return self._by_x.get(x_only)

    def secret_by_x_only(self, x_only: bytes) -> bytes | None:
        """The private key of the public key with that x coordinate."""
        return self.secrets.get(b"\x02" + x_only) or self.secrets.get(b"\x03" + x_only)

    def provider(self) -> Provider:
        """The public half, for btclib."""
        return Provider(dict(self.origins), tuple(self.scripts.values()), dict(self.trees))
