"""What a wallet knows of a script of its own, as the `KeyStore` that sizing and signing ask.

What doesn't belong: signing (``bitcoind_mp.signing``), keeping keys (``../keystore.py``).
"""

from btclib.script.solver import solver

from bitcoind_mp.signing.keystore import KeyStore
from bitcoind_mp.wallet.coins import Owner
from bitcoind_mp.wallet.wallet import Wallet

from .sizes import Satisfaction, satisfaction


def solving_keys(wallet: Wallet, owner: Owner) -> KeyStore:
    """Public keys with their origins, scripts and trees of that descriptor at that index; no secrets."""
    keys = KeyStore(aggregates=wallet.descriptors.aggregates(owner))
    keys.add(wallet.descriptors.provider(owner))
    return keys


def signing_keys(wallet: Wallet, owner: Owner) -> KeyStore:
    """The same with the private keys that we hold.

    Raises:
        RpcError: -13 when the wallet is locked.
    """
    keys = solving_keys(wallet, owner)
    keys.nonces = wallet.nonces
    for sec, secret in wallet.private_keys(owner).items():
        keys.secrets[sec] = secret
        keys.add_public(sec)
    return keys


def can_grind(wallet: Wallet) -> bool:
    """Whether signatures for the wallet's coins will be small (``CanGrindR``): who signs for a watch-only one may not
    grind."""
    return wallet.private_keys_enabled


class Solver:
    """Sizes of the wallet's own inputs: looked up once for each descriptor and kind of script."""

    def __init__(self, wallet: Wallet) -> None:
        self._wallet = wallet
        self._found: dict[tuple[int, str], Satisfaction | None] = {}

    def satisfaction(self, script: bytes) -> Satisfaction | None:
        """How a script of the wallet's is satisfied; None for a stranger's, or one that we can't solve."""
        owner = self._wallet.owner(script)
        if owner is None:
            return None
        key = (owner.descriptor, solver(script)[0])
        if key not in self._found:
            self._found[key] = satisfaction(
                script, solving_keys(self._wallet, owner), max_signature=not can_grind(self._wallet)
            )
        return self._found[key]
