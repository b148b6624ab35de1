"""Secrets under a passphrase: Argon2id for the key, ChaCha20-Poly1305 for the seal. Pure but for the randomness.

A random master key seals each secret, bound to its public half; the passphrase's key seals the master key. So a new
passphrase means one new seal. Layout of a sealed value: 12 bytes of nonce, then ciphertext with its tag.
"""

import os
import struct
import threading
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

KEY_SIZE = 32
_NONCE_SIZE = 12
_PACKED = struct.Struct(">16sIII")
_MASTER = b"bitcoind-mp wallet master key 1"
#: OpenSSL has one pool of threads for the lanes of all derivations in a process. Two at once take each other's: one of
#: them fails, as for want of memory, or neither ever ends.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Cost:
    """How hard the passphrase's key is to compute: passes, lanes, KiB of memory (RFC 9106, its second choice)."""

    passes: int = 3
    lanes: int = 4
    memory: int = 64 * 1024


class WrongPassphrase(Exception):
    """The seal doesn't open."""


def new_master_key() -> bytearray:
    """32 random bytes, in memory that can be overwritten."""
    return bytearray(os.urandom(KEY_SIZE))


def seal(key: bytes | bytearray, name: bytes, secret: bytes) -> bytes:
    """Encrypt ``secret``; it opens under the same key and name only."""
    nonce = os.urandom(_NONCE_SIZE)
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, secret, name)


def unseal(key: bytes | bytearray, name: bytes, sealed: bytes) -> bytes:
    """The inverse. Raises `WrongPassphrase`."""
    try:
        return ChaCha20Poly1305(key).decrypt(sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], name)
    except InvalidTag:
        raise WrongPassphrase from None


def seal_master_key(passphrase: str, master: bytes | bytearray, cost: Cost) -> bytes:
    """The master key as it is stored, with what is needed to compute the passphrase's key. Takes about 0.1 s."""
    salt = os.urandom(16)
    packed = _PACKED.pack(salt, cost.passes, cost.lanes, cost.memory)
    return packed + seal(_derive(passphrase, salt, cost), _MASTER + packed, bytes(master))


def open_master_key(passphrase: str, stored: bytes) -> bytearray:
    """The master key. Takes about 0.1 s. Raises `WrongPassphrase`."""
    packed = stored[: _PACKED.size]
    salt, passes, lanes, memory = _PACKED.unpack(packed)
    key = _derive(passphrase, salt, Cost(passes, lanes, memory))
    return bytearray(unseal(key, _MASTER + packed, stored[_PACKED.size :]))


def wipe(secret: bytearray) -> None:
    """Overwrite with zeros: as much as Python lets us do."""
    secret[:] = bytes(len(secret))


def _derive(passphrase: str, salt: bytes, cost: Cost) -> bytes:
    kdf = Argon2id(salt=salt, length=KEY_SIZE, iterations=cost.passes, lanes=cost.lanes, memory_cost=cost.memory)
    with _ONE_AT_A_TIME:
        return kdf.derive(passphrase.encode())
