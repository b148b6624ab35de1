"""Unlocking wallets at the start, by passphrases that the service manager handed over as credentials
(``LoadCredential=``, systemd.exec(5)), for a bounded time.

A wallet whose keys the signer holds is the signer's to unlock. What the passphrase lies in, and how long it is good
for, is ``config/credentials.py``'s; it is read here, goes to the key store, and nowhere else.
"""

import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bitcoind_mp.config.credentials import Credentials, Deadlines, NotUnlocked, read_in_time
from bitcoind_mp.interfaces.journal import Event, event
from bitcoind_mp.wallet.wallet import Wallet

log = logging.getLogger("bitcoind_mp.wallet")


class BootUnlock:
    """``wanted`` is for how many seconds to unlock which wallet (-walletunlock)."""

    def __init__(self, wanted: Mapping[str, int], credentials: Credentials, deadlines: Deadlines) -> None:
        self.wanted = wanted
        self._credentials = credentials
        self._deadlines = deadlines

    def credential(self, wallet: str) -> Path | None:
        """The file with a wallet's passphrase, None where none was handed over."""
        directory = self._credentials.directory
        return directory / self._credentials.name(wallet) if directory is not None else None

    async def unlock(self, find: Callable[[str], Wallet | None]) -> None:
        """Unlock each that is loaded. What can't be unlocked is told, and stays locked."""
        for name, seconds in self.wanted.items():
            wallet = find(name)
            if wallet is None:
                self._refused(name, "it is not loaded")
            elif not wallet.keys.is_encrypted:
                self._refused(name, "it is not encrypted")
            elif wallet.keys.is_locked and not wallet.keys.elsewhere:
                await self._unlock(wallet, seconds)

    async def _unlock(self, wallet: Wallet, seconds: int) -> None:
        credential = self._credentials.name(wallet.name)
        try:
            passphrase = read_in_time(self._credentials, self._deadlines, wallet.name, seconds)
        except NotUnlocked as why:
            self._refused(wallet.name, str(why))
            return
        if not await wallet.keys.unlock(passphrase, seconds):
            self._refused(wallet.name, f"the credential {credential} is not its passphrase")
            return
        try:
            left = self._deadlines.left(wallet.name, seconds)
        except OSError as error:
            wallet.relock.close()
            self._refused(wallet.name, f"its time can't be noted: {error.strerror}")
            return
        wallet.relock.on_lock = lambda: self._locked(wallet)
        wallet.relock.start(left)
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + left))
        log.info(
            "[%s] unlocked at start by the credential %s, as uid %d in process %d, for %d s, until %s",
            wallet.name,
            credential,
            os.getuid(),
            os.getpid(),
            left,
            until,
            extra=event(Event.WALLET_UNLOCKED),
        )
        wallet.addresses.top_up()
        wallet.changed()

    def _locked(self, wallet: Wallet) -> None:
        wallet.relock.on_lock = lambda: None
        log.info("[%s] locked, which a credential had unlocked at start", wallet.name, extra=event(Event.WALLET_LOCKED))
        try:
            self._deadlines.end(wallet.name)
        except OSError as error:
            log.error("[%s] that it was locked can't be noted: %s", wallet.name, error)

    @staticmethod
    def _refused(name: str, why: str) -> None:
        log.warning("[%s] not unlocked at start: %s", name, why, extra=event(Event.WALLET_NOT_UNLOCKED))
