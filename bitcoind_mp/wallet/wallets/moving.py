"""Moving a wallet's private keys from its file to the signer.

In an order in which a kill between any two lines loses none: the file gives them up in one transaction, and only once
the signer has shown that it reads them back from its own disk; then it is written anew, so that no trace of them is
left, and a start finishes that where it was cut short. A move that was cut short before can be repeated.
"""

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from btclib_secp256k1 import dsa

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.signer import KeySet, PublicDescriptor, Receipt, Signer, challenge_hash
from bitcoind_mp.signing.descriptor_keys import plain_keys, plain_public, public_half
from bitcoind_mp.wallet.addressing.descriptors import WalletDescriptor
from bitcoind_mp.wallet.keyring.keystore import KeyStore
from bitcoind_mp.wallet.keyring.relock import Relock
from bitcoind_mp.wallet.keyring.signer_keys import SignerKeys, remember
from bitcoind_mp.wallet.storage.ledger import Ledger
from bitcoind_mp.wallet.wallet import Wallet

_MOVING, _WIPE_DUE = "signer_moving", "signer_wipe_due"


class Step(StrEnum):
    """What has been done, in this order."""

    NOTED = "noted"
    BACKED_UP = "backed up"
    TAKEN = "taken"
    PROVED = "proved"
    GIVEN_UP = "given up"
    WIPED = "wiped"


Reached = Callable[[Step], None]


@dataclass(frozen=True)
class Moved:
    """``keyset`` is what the signer calls the keys, ``backup`` the copy of the wallet that was made before."""

    keyset: str
    backup: Path


async def move(wallet: Wallet, signer: Signer, entrusted: str, reached: Reached) -> Moved:
    """Move them. The wallet is unlocked, and locked afterwards.

    ``entrusted`` is what seals them there: a ticket for a passphrase. ``reached`` is told of each step.

    Raises:
        RpcError: why not; until `Step.GIVEN_UP` the wallet is as it was.
    """
    keys = wallet.keys
    assert isinstance(keys, KeyStore)
    id = str(wallet.ledger.fact(_MOVING) or os.urandom(16).hex())
    claimed = _public(wallet, keys, id)
    with wallet.ledger.transaction():
        wallet.ledger.set_fact(_MOVING, id)
    reached(Step.NOTED)
    backup = _back_up(wallet)
    reached(Step.BACKED_UP)
    challenge = os.urandom(32).hex()
    secrets = json.dumps({public: keys.secret(public) for public in keys.publics})
    receipt = await signer.take(claimed, wallet.name, secrets, entrusted, challenge)
    reached(Step.TAKEN)
    _check(wallet, claimed, receipt, challenge)
    reached(Step.PROVED)
    _give_up(wallet, keys, signer, receipt.keys)
    reached(Step.GIVEN_UP)
    finish(wallet.ledger)
    reached(Step.WIPED)
    return Moved(id, backup)


def _public(wallet: Wallet, keys: KeyStore, id: str) -> KeySet:
    """What the signer is told of. Raises `RpcError` -4 for what it couldn't use."""
    found = []
    for one in wallet.descriptors:
        if one.hardened_wildcard:
            raise RpcError(
                RpcCode.WALLET_ERROR,
                "This wallet can't be moved: a descriptor of its takes a private key for each of its addresses "
                "(a hardened wildcard), which are not to come back from the signer.",
            )
        if any(_is_held(keys, public_half(key)) for key in plain_keys(one.source)):
            found.append(_described(wallet, one))
    return KeySet(id, sorted(keys.publics), found)


def _is_held(keys: KeyStore, public: str) -> bool:
    return any(keys.holds(name) for name in (public, f"02{public[2:]}", f"03{public[2:]}"))


def _described(wallet: Wallet, one: WalletDescriptor) -> PublicDescriptor:
    internal = wallet.descriptors.is_internal(one.number)
    type = one.output_type.value if one.output_type is not None else ""
    return PublicDescriptor(type, bool(internal), one.text, one.normalized, internal is not None)


def _back_up(wallet: Wallet) -> Path:
    """Copy the file, keys and all, to beside it. Raises `RpcError` -4."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    copy = wallet.ledger.path.with_name(f"before-signer-{stamp}.sqlite")
    try:
        wallet.ledger.backup(copy)
    except Exception as error:
        raise RpcError(
            RpcCode.WALLET_ERROR, f"The wallet could not be copied to {copy} ({error}). Nothing was changed."
        ) from error
    return copy


def _check(wallet: Wallet, claimed: KeySet, receipt: Receipt, challenge: str) -> None:
    """That the signer has what we have: the same addresses, and each secret. Raises `RpcError` -4."""
    keys = receipt.keys
    same = (keys.id, keys.publics, keys.descriptors) == (claimed.id, claimed.publics, claimed.descriptors)
    if not same or not _derives_alike(wallet, keys) or not _is_proved(receipt, challenge):
        raise RpcError(
            RpcCode.WALLET_ERROR, "The signer could not show that it has this wallet's keys. Nothing was changed here."
        )


def _derives_alike(wallet: Wallet, keys: KeySet) -> bool:
    """Whether the descriptors give the first and the last script that we know."""
    for one in keys.descriptors:
        known = wallet.descriptors.find(one.text)
        if known is None or known.normalized != one.normalized:
            return False
        for index in (known.range_start, known.range_end - 1):
            owners = [wallet.owner(script) for script in known.scripts(index)]
            if not all(owner is not None for owner in owners):
                return False
    return True


def _is_proved(receipt: Receipt, challenge: str) -> bool:
    keys = receipt.keys
    if len(receipt.proofs) != len(keys.publics):
        return False
    with suppress(ValueError):
        return all(
            dsa.verify(challenge_hash(challenge, keys.id, public), plain_public(public), bytes.fromhex(proof))
            for public, proof in zip(keys.publics, receipt.proofs, strict=True)
        )
    return False


def _give_up(wallet: Wallet, keys: KeyStore, signer: Signer, moved: KeySet) -> None:
    """From here on the keys are the signer's: one transaction."""
    with wallet.ledger.transaction():
        remember(wallet.ledger, moved)
        keys.drop()
        wallet.ledger.keep_from_older_versions()
        wallet.ledger.set_fact(_MOVING, None)
        wallet.ledger.set_fact(_WIPE_DUE, 1)
    wallet.relock.close()
    keys.reload()
    wallet.keys = SignerKeys(wallet.ledger, signer)
    wallet.relock = Relock(wallet.keys, wallet.now)


def finish(ledger: Ledger) -> None:
    """Leave nothing of the keys in the file, where that is still due. Raises `RpcError` -20."""
    if ledger.fact(_WIPE_DUE) is None:
        return
    ledger.rewrite()
    with ledger.transaction():
        ledger.set_fact(_WIPE_DUE, None)
