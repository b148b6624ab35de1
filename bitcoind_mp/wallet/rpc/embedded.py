"""What a wallet knows of a script of its own: the keys and scripts that it hides (``GetSolvingProvider``)."""

from btclib.hashes import hash160, sha256

from bitcoind_mp.wallet.coins import Owner
from bitcoind_mp.wallet.wallet import Wallet


def embedded_script(wallet: Wallet, owner: Owner, script: bytes) -> bytes | None:
    """The script that a pay-to-script-hash or pay-to-witness-script-hash output commits to."""
    legacy = script[:1] == b"\xa9"
    wanted = script[2:22] if legacy else script[2:]
    digest = hash160 if legacy else sha256
    return next((one for one in wallet.descriptors.provider(owner).scripts if digest(one) == wanted), None)


def key_of(wallet: Wallet, owner: Owner, key_hash: bytes) -> bytes | None:
    """The public key of that hash160."""
    return next((key for key in wallet.descriptors.provider(owner).keys if hash160(key) == key_hash), None)
