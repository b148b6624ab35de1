"""What is known about spending one input: Core's ``SignatureData``."""

from dataclasses import dataclass, field

from btclib.hashes import hash160
from btclib_wallet.bip32.key_origin import BIP32KeyOrigin


@dataclass
class Missing:
    """What a signature could not be made for want of: hash160s of keys, a script's hash160, a script's sha256."""

    pubkeys: list[bytes] = field(default_factory=list)
    signatures: list[bytes] = field(default_factory=list)
    redeem_script: bytes = b""
    witness_script: bytes = b""

    def __bool__(self) -> bool:
        return bool(self.pubkeys or self.signatures or self.redeem_script or self.witness_script)


@dataclass
class SignatureData:
    """One input's scriptSig and witness, complete or not, and everything that may help to complete them.

    ``signatures`` maps the hash160 of a public key to (key, signature). ``taproot_script_signatures`` maps
    (x-only key, leaf hash) to a signature, ``leaves`` a control block to (script, leaf version). ``musig_participants``
    maps an aggregate key to those it is made of; nonces and partial signatures are filed as in a PSBT (BIP373).
    ``witness`` says that the last try was for a witness program.
    """

    complete: bool = False
    witness: bool = False
    script_sig: bytes = b""
    script_witness: list[bytes] = field(default_factory=list)
    redeem_script: bytes = b""
    witness_script: bytes = b""
    signatures: dict[bytes, tuple[bytes, bytes]] = field(default_factory=dict)
    known_keys: dict[bytes, tuple[bytes, BIP32KeyOrigin]] = field(default_factory=dict)
    taproot_key_signature: bytes = b""
    taproot_script_signatures: dict[tuple[bytes, bytes], bytes] = field(default_factory=dict)
    taproot_origins: dict[bytes, tuple[set[bytes], BIP32KeyOrigin]] = field(default_factory=dict)
    musig_participants: dict[bytes, list[bytes]] = field(default_factory=dict)
    musig_nonces: dict[bytes, bytes] = field(default_factory=dict)
    musig_signatures: dict[bytes, bytes] = field(default_factory=dict)
    internal_key: bytes = b""
    merkle_root: bytes = b""
    leaves: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    sha256_preimages: dict[bytes, bytes] = field(default_factory=dict)
    hash256_preimages: dict[bytes, bytes] = field(default_factory=dict)
    ripemd160_preimages: dict[bytes, bytes] = field(default_factory=dict)
    hash160_preimages: dict[bytes, bytes] = field(default_factory=dict)
    missing: Missing = field(default_factory=Missing)

    def add_signature(self, sec: bytes, signature: bytes) -> None:
        """Hold a signature, unless there is one of that key."""
        self.signatures.setdefault(hash160(sec), (sec, signature))

    def merge(self, other: "SignatureData") -> "SignatureData":
        """The two together; one that is complete wins, and this one before the other."""
        if self.complete or other.complete:
            return self if self.complete else other
        self.redeem_script = self.redeem_script or other.redeem_script
        self.witness_script = self.witness_script or other.witness_script
        self.signatures = {**other.signatures, **self.signatures}
        return self
