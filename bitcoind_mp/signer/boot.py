"""Unlocking keys at the start, by passphrases that the service manager handed over as credentials (-walletunlock).

The signer reads them itself: where it runs they aren't the wallet process's to know. Once a wallet is locked, by
somebody or because its time is over, a later start gives it nothing more.
"""

import logging
import os
from collections.abc import Mapping

from bitcoind_mp.config.credentials import Credentials, Deadlines, NotUnlocked, read_in_time
from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.interfaces.journal import Event, event

from .vault import Vault

log = logging.getLogger("bitcoind_mp.signer")


class BootUnlock:
    """``wanted`` is for how many seconds to unlock which wallet (-walletunlock)."""

    def __init__(self, wanted: Mapping[str, int], credentials: Credentials, deadlines: Deadlines) -> None:
        self._wanted = wanted
        self._credentials = credentials
        self._deadlines = deadlines

    async def unlock(self, vault: Vault) -> None:
        """Unlock each wallet's keys that are here. What can't be unlocked is told, and stays locked."""
        for wallet, seconds in self._wanted.items():
            try:
                left = await self._unlock(vault, wallet, seconds)
            except NotUnlocked as why:
                log.warning("[%s] not unlocked at start: %s", wallet, why, extra=event(Event.WALLET_NOT_UNLOCKED))
                continue
            log.info(
                "[%s] unlocked at start by the credential %s, as uid %d in process %d, for %d s",
                wallet,
                self._credentials.name(wallet),
                os.getuid(),
                os.getpid(),
                left,
                extra=event(Event.WALLET_UNLOCKED),
            )

    async def _unlock(self, vault: Vault, wallet: str, seconds: int) -> int:
        """For how many seconds it is unlocked now. Raises `NotUnlocked`."""
        id = vault.names.of(wallet)
        if id is None:
            raise NotUnlocked("the signer has no keys of a wallet of that name")
        passphrase = read_in_time(self._credentials, self._deadlines, wallet, seconds)
        try:
            left = self._deadlines.left(wallet, seconds)
            if not await vault.unlock_from_start(id, passphrase, left, lambda: self._locked(wallet)):
                raise NotUnlocked(f"the credential {self._credentials.name(wallet)} is not its passphrase")
        except OSError as error:
            raise NotUnlocked(f"its time can't be noted: {error.strerror}") from error
        except RpcError as error:
            raise NotUnlocked(error.message) from error
        return left

    def _locked(self, wallet: str) -> None:
        log.info("[%s] locked, which a credential had unlocked at start", wallet, extra=event(Event.WALLET_LOCKED))
        try:
            self._deadlines.end(wallet)
        except OSError as error:
            log.error("[%s] that it was locked can't be noted: %s", wallet, error)
