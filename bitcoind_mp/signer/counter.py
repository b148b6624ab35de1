"""What wallets are answered: the vault's methods, but that a passphrase must have come from the owner himself.

What doesn't belong: what the methods do (``vault.py``), how the owner says a passphrase (``owner.py``).
"""

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.signer import KeySet, Receipt, Signer, is_ticket

from .tickets import Entrusted, Purpose, Tickets
from .vault import Vault

_NOT_BY_THE_WALLET = (
    "The signer, which holds this wallet's private keys, takes passphrases from bitcoin-mp alone, so that the wallet's "
    "process never learns them: use bitcoin-mp, or start the signer with -signerrelay=1."
)


class Counter(Signer):
    """One wallet process's. ``relay`` (-signerrelay): take passphrases from the wallet's process too."""

    def __init__(self, vault: Vault, tickets: Tickets, *, relay: bool) -> None:
        self._vault = vault
        self._tickets = tickets
        self._relay = relay
        self._unlocked: set[str] = set()

    def left(self) -> None:
        """That process has gone. What was unlocked for it is locked, as if it had held the keys itself: the next one
        begins with locked wallets, and must not be able to use what it says that it can't."""
        for id in self._unlocked:
            self._vault.lock_after_wallet(id)

    def _told(self, said: str, purpose: Purpose, about: str, *, seconds: int = 0, new: str = "") -> Entrusted:
        """What the owner entrusted; or what the wallet says, where it may."""
        if is_ticket(said):
            return self._tickets.redeem(said, purpose, about)
        if not self._relay:
            raise RpcError(RpcCode.WALLET_ERROR, _NOT_BY_THE_WALLET)
        return Entrusted(purpose, about, said, new, seconds)

    async def make(self, label: str, passphrase: str) -> KeySet:
        return await self._vault.make(label, self._told(passphrase, Purpose.MAKE, label).passphrase)

    async def describe(self, id: str) -> KeySet:
        return await self._vault.describe(id)

    async def introduce(self, id: str, wallet: str) -> int:
        return await self._vault.introduce(id, wallet)

    async def unlock(self, id: str, passphrase: str, seconds: int) -> bool:
        await self._vault.describe(id)  # keys that aren't here are what is wrong, whatever was told
        told = self._told(passphrase, Purpose.UNLOCK, id, seconds=seconds)
        opened = await self._vault.unlock(id, told.passphrase, min(seconds, told.seconds))
        if opened:
            self._unlocked.add(id)
        return opened

    async def lock(self, id: str) -> None:
        await self._vault.lock(id)

    async def change_passphrase(self, id: str, old: str, new: str) -> bool:
        await self._vault.describe(id)
        told = self._told(old, Purpose.CHANGE, id, new=new)
        if is_ticket(old) and new != old:
            raise RpcError(RpcCode.WALLET_ERROR, _NOT_BY_THE_WALLET)
        return await self._vault.change_passphrase(id, told.passphrase, told.new)

    async def sign(self, id: str, psbt: str) -> str:
        return await self._vault.sign(id, psbt)

    async def sign_message(self, id: str, descriptor: str, index: int, message: str) -> str:
        return await self._vault.sign_message(id, descriptor, index, message)

    async def take(self, keys: KeySet, label: str, secrets: str, passphrase: str, challenge: str) -> Receipt:
        told = self._told(passphrase, Purpose.MOVE, label).passphrase
        return await self._vault.take(keys, label, secrets, told, challenge)
