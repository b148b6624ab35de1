"""The keys of a wallet whose private half the signer holds: what is public is here, and every use of a key is a call.

What doesn't belong: the connection (``signer_link.py``), which inputs are signed (``spend/psbt.py``).
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcCode, RpcError
from bitcoind_mp.interfaces.signer import KeySet, Signer
from bitcoind_mp.signing.sealing import Cost
from bitcoind_mp.wallet.storage.ledger import Ledger

from .keys import Keys

T = TypeVar("T")

_ID, _PUBLICS = "signer_keyset", "signer_xpub"
_NEVER = (
    "The private keys of this wallet are in the signer and don't come into the wallet's process. "
    "Their owner sees them with: exportsignerkeys {}"
)


def remember(ledger: Ledger, keys: KeySet) -> None:
    """Note in a wallet's file which keys of the signer's are its own. In a ledger transaction."""
    ledger.set_fact(_ID, keys.id)
    ledger.set_fact(_PUBLICS, " ".join(keys.publics))


def keyset_of(ledger: Ledger) -> str | None:
    """Which of the signer's key sets a wallet has, None where its keys are in its file."""
    found: str | None = ledger.fact(_ID)
    return found


class SignerKeys(Keys):
    """See the module. Whether it is unlocked is what we were told last; the signer has the last word."""

    elsewhere = True

    def __init__(self, ledger: Ledger, signer: Signer) -> None:
        self.id = str(ledger.fact(_ID))
        self.cost = Cost()
        self._publics = str(ledger.fact(_PUBLICS)).split()
        self._signer = signer
        self.problem = ""
        """Why nothing can be signed, in words for people; empty where nothing is known to be wrong."""
        self._is_open = False
        self._locking: set[asyncio.Task[None]] = set()

    def reload(self) -> None:
        pass

    @property
    def is_encrypted(self) -> bool:
        return True

    @property
    def is_locked(self) -> bool:
        return not self._is_open

    @property
    def publics(self) -> list[str]:
        return self._publics

    def holds(self, public: str) -> bool:
        return public in self._publics

    def secret(self, public: str) -> str:
        raise RpcError(RpcCode.WALLET_ERROR, _NEVER.format(self.id))

    def add(self, public: str, secret: str) -> None:
        raise RpcError(
            RpcCode.WALLET_ERROR,
            "The private keys of this wallet are in the signer, which takes no others: import into a blank wallet.",
        )

    def encrypt(self, sealed_master: bytes, master: bytearray) -> None:
        raise RpcError(RpcCode.WALLET_WRONG_ENC_STATE, "The keys in the signer are encrypted already.")

    async def unlock(self, passphrase: str, seconds: int = 0) -> bool:
        opened = await self._ask(self._signer.unlock(self.id, passphrase, seconds))
        self._is_open = self._is_open or opened
        if opened:
            self.problem = ""
        return opened

    async def introduce(self, wallet: str) -> int:
        """Tell the signer what the wallet is called. For how many seconds more it has unlocked it at its start.

        Raises what the signer does; `RpcError` -4 where it has other keys by that name."""
        seconds = await self._ask(self._signer.introduce(self.id, wallet))
        held = await self._ask(self._signer.describe(self.id))
        if sorted(held.publics) != sorted(self._publics):
            raise RpcError(RpcCode.WALLET_ERROR, f"The keys that the signer calls {self.id} are not this wallet's.")
        self._is_open = self._is_open or seconds > 0
        return seconds

    async def change_passphrase(self, old: str, new: str) -> bool:
        return await self._ask(self._signer.change_passphrase(self.id, old, new))

    def lock(self) -> None:
        if self._is_open:
            self._is_open = False
            task = asyncio.get_running_loop().create_task(self._lock())
            self._locking.add(task)
            task.add_done_callback(self._locking.discard)

    async def _lock(self) -> None:
        # One that can't be reached locks itself: when it starts again, or when its own time is up.
        with suppress(RpcError, Disconnected, CallTimeout):
            await self._signer.lock(self.id)

    def lost(self) -> None:
        """The signer is gone, and with it what opened the keys."""
        self._is_open = False

    async def sign(self, psbt: str) -> str:
        """The PSBT (Base64) with signatures for our inputs. Raises what `Signer.sign` does; -9 where the signer is or
        goes away."""
        return await self._ask(self._signer.sign(self.id, psbt))

    async def sign_message(self, descriptor: str, index: int, message: str) -> str:
        """A signature by the key of a legacy address, at that index of that descriptor; Base64."""
        return await self._ask(self._signer.sign_message(self.id, descriptor, index, message))

    async def _ask(self, call: Awaitable[T]) -> T:
        try:
            return await call
        except RpcError as error:
            if error.code == RpcCode.WALLET_UNLOCK_NEEDED:
                self._is_open = False
            raise
        except (Disconnected, CallTimeout) as error:
            raise RpcError(
                RpcCode.CLIENT_NOT_CONNECTED,
                f"The signer did not answer ({error}). Nothing was sent; unlock the wallet and try again.",
            ) from error
