"""One wallet's keys: the public half, which is always at hand, and the seed, only while it is unlocked.

What doesn't belong: where sets are kept (``store.py``), whether they may be used (``vault.py``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from btclib_wallet.bip32.bip32 import derive_, fingerprint, xpub_from_xprv
from btclib_wallet.bip32.key_origin import BIP32KeyOrigin
from btclib_wallet.descriptors import Descriptor, add_checksum, normalized, parse

from bitcoind_mp.interfaces.signer import KeySet, PublicDescriptor
from bitcoind_mp.signing.keystore import KeyStore
from bitcoind_mp.signing.seeds import SHAPES, account, standard_descriptors

_HARDENED = 1 << 31
#: Addresses further on than this don't count as the owner's: nobody would find again what was paid there.
FURTHEST = 1_000_000


@dataclass(frozen=True)
class Place:
    """Where an address of a set comes from: address type, whether it is for change, index."""

    type: str
    internal: bool
    index: int


def describe(id: str, xprv: str, network: str) -> KeySet:
    """What is public of a seed."""
    xpub = xpub_from_xprv(xprv)
    found = []
    for type, internal, text in standard_descriptors(xpub, network):
        parsed = parse(text, network)
        normal = add_checksum(str(normalized(parsed, {xpub: xprv})))
        found.append(PublicDescriptor(type, internal, add_checksum(str(parsed)), normal))
    return KeySet(id, xpub, found)


class OwnScripts:
    """Which addresses are a set's, by its own derivation alone."""

    def __init__(self, public: KeySet, network: str) -> None:
        self.public = public
        self._network = network
        self._fingerprint = fingerprint(public.xpub)
        self._parsed: dict[tuple[str, bool], Descriptor] = {}
        for one in public.descriptors:
            self._parsed[one.type, one.internal] = parse(one.normalized, network)

    @cached_property
    def _types(self) -> dict[tuple[int, ...], str]:
        return {tuple(step + _HARDENED for step in account(self._network, type)): type for type in SHAPES}

    def script(self, place: Place) -> bytes:
        """The scriptPubKey at a place."""
        return self._parsed[place.type, place.internal].script_pub_keys(place.index)[0].script

    def find(self, script: bytes, origins: Sequence[BIP32KeyOrigin]) -> Place | None:
        """The place of a script that somebody says has keys of these origins; None unless that is so."""
        for origin in origins:
            place = self._place(origin)
            if place is not None and self.script(place) == script:
                return place
        return None

    def _place(self, origin: BIP32KeyOrigin) -> Place | None:
        if origin.master_fingerprint != self._fingerprint or len(origin.der_path) != 5:
            return None
        *steps, branch, index = origin.der_path
        type = self._types.get(tuple(steps))
        if type is None or branch not in (0, 1) or index > FURTHEST:
            return None
        return Place(type, bool(branch), index)

    def keys(self, place: Place, xprv: str) -> KeyStore:
        """What signs for the address at a place."""
        keys = KeyStore()
        keys.add(self._parsed[place.type, place.internal].provider(place.index))
        keys.add_secret(self.private_key(place, xprv))
        return keys

    def private_key(self, place: Place, xprv: str) -> bytes:
        """The private key at a place, 32 bytes."""
        steps = [step + _HARDENED for step in account(self._network, place.type)]
        key: bytes = derive_(xprv, [*steps, int(place.internal), place.index]).key
        return key[1:]
