"""The wallet's private keys: at rest in the ledger, sealed once a passphrase is set; readable only while unlocked.

Secrets are named by their public half: an extended private key by its extended public key, a single private key
(WIF) by its public key in hex. What doesn't belong: what is signed with them, nor when the wallet locks itself again.
"""

import asyncio

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.signer import LOCKED, is_ticket
from bitcoind_mp.signing.sealing import (
    Cost,
    WrongPassphrase,
    new_master_key,
    open_master_key,
    seal,
    seal_master_key,
    unseal,
    wipe,
)
from bitcoind_mp.wallet.storage.ledger import Ledger
from bitcoind_mp.wallet.storage.tables import SecretTable

from .keys import Keys

_MASTER_FACT = "master_key"


async def prepare_encryption(passphrase: str, cost: Cost) -> tuple[bytes, bytearray]:
    """What `KeyStore.encrypt` takes: a new master key, sealed under the passphrase and open. Takes about 0.1 s.

    Raises `RpcError` (-4) for what is no passphrase."""
    _require_passphrase(passphrase)
    master = new_master_key()
    return await asyncio.to_thread(seal_master_key, passphrase, master, cost), master


def _require_passphrase(given: str) -> None:
    """Refuse what stands for a passphrase that the signer was told: nobody could ever type it."""
    if is_ticket(given):
        raise RpcError(
            RpcCode.WALLET_ERROR,
            "The passphrase was told to the signer, but this wallet's private keys are in its own file. If the signer "
            "has the keys of an earlier wallet of this name: bitcoin-mp forgetsignername NAME",
        )


class KeyStore(Keys):
    """The secrets of one wallet, in its file. No secret is ever part of a message or a log line."""

    def __init__(self, ledger: Ledger, cost: Cost | None = None) -> None:
        self._ledger = ledger
        self._table = SecretTable(ledger)
        self.cost = cost or Cost()
        self._master: bytearray | None = None
        self._sealed_master: bytes | None = None
        self._secrets: dict[str, tuple[bytes, bool]] = {}
        self.reload()

    def reload(self) -> None:
        """Read what the ledger holds."""
        self._sealed_master = self._ledger.fact(_MASTER_FACT)
        self._secrets = self._table.all()
        if self._sealed_master is None:
            self.lock()

    @property
    def is_encrypted(self) -> bool:
        """Whether a passphrase was set."""
        return self._sealed_master is not None

    @property
    def is_locked(self) -> bool:
        """Whether a passphrase is needed before a secret can be read."""
        return self.is_encrypted and self._master is None

    def __bool__(self) -> bool:
        """Whether it holds any secret."""
        return bool(self._secrets)

    def __len__(self) -> int:
        return len(self._secrets)

    @property
    def publics(self) -> list[str]:
        """What the secrets are named by."""
        return list(self._secrets)

    def holds(self, public: str) -> bool:
        """Whether the private half is here, locked or not."""
        return public in self._secrets

    def secret(self, public: str) -> str:
        """The private half: an xprv or a WIF. Raises `RpcError` (-13) when locked, KeyError when not held."""
        stored, sealed = self._secrets[public]
        if not sealed:
            return stored.decode()
        return unseal(self._unlocked(), public.encode(), stored).decode()

    def add(self, public: str, secret: str) -> None:
        """Keep one. Inside a ledger transaction. Raises `RpcError` (-13) when locked."""
        if public in self._secrets:
            return
        stored = secret.encode()
        if self.is_encrypted:
            stored = seal(self._unlocked(), public.encode(), stored)
        self._table.put(public, stored, self.is_encrypted)
        self._secrets[public] = (stored, self.is_encrypted)

    def _unlocked(self) -> bytearray:
        if self._master is None:
            raise RpcError(RpcCode.WALLET_UNLOCK_NEEDED, LOCKED)
        return self._master

    def encrypt(self, sealed_master: bytes, master: bytearray) -> None:
        """Seal every secret; the store is unlocked afterwards. In a ledger transaction; follow with
        `Ledger.rewrite` where secrets lay open in the file."""
        self._ledger.set_fact(_MASTER_FACT, sealed_master)
        self._sealed_master, self._master = sealed_master, master
        for public, (secret, sealed) in list(self._secrets.items()):
            if not sealed:
                stored = seal(master, public.encode(), secret)
                self._table.put(public, stored, True)
                self._secrets[public] = (stored, True)

    def drop(self) -> None:
        """Have the file hold no secret any more. In a ledger transaction; follow with `Ledger.rewrite`."""
        self._table.clear()
        self._ledger.set_fact(_MASTER_FACT, None)

    async def unlock(self, passphrase: str, seconds: int = 0) -> bool:
        """Make secrets readable; False for a wrong passphrase."""
        if self._sealed_master is None:
            return True
        _require_passphrase(passphrase)
        try:
            master = await asyncio.to_thread(open_master_key, passphrase, self._sealed_master)
        except WrongPassphrase:
            return False
        self.lock()
        self._master = master
        return True

    async def change_passphrase(self, old: str, new: str) -> bool:
        """Seal the master key anew; False for a wrong old passphrase. Leaves it locked or not, as it was."""
        if self._sealed_master is None:
            return False
        _require_passphrase(old)
        _require_passphrase(new)
        try:
            master = await asyncio.to_thread(open_master_key, old, self._sealed_master)
        except WrongPassphrase:
            return False
        sealed_master = await asyncio.to_thread(seal_master_key, new, master, self.cost)
        wipe(master)
        with self._ledger.transaction():
            self._ledger.set_fact(_MASTER_FACT, sealed_master)
        self._sealed_master = sealed_master
        self._ledger.rewrite()
        return True

    def lock(self) -> None:
        """Forget the key that opens the secrets."""
        if self._master is not None:
            wipe(self._master)
            self._master = None
