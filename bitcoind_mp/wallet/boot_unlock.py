"""Unlocking wallets at the start, by passphrases that the service manager handed over as credentials
(``LoadCredential=``, systemd.exec(5)), for a bounded time.

The time counts from the first start under one parent: a process that is killed and started again has what is left of
it, and nothing after somebody locked the wallet. The passphrase is read here, goes to the key store, and nowhere else.
"""

import errno
import json
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.interfaces.journal import Event, event

from .startup import write_json
from .wallet import Wallet

log = logging.getLogger("bitcoind_mp.wallet")

#: More than this is no passphrase that a person has chosen.
_LONGEST = 64 * 1024


class Credentials:
    """The files of $CREDENTIALS_DIRECTORY. ``directory`` None: the service manager handed none over."""

    def __init__(self, directory: Path | None, escape: Callable[[str], str]) -> None:
        self.directory = directory
        self._escape = escape

    def name(self, wallet: str) -> str:
        """What the credential with a wallet's passphrase is called."""
        return f"wallet.{self._escape(wallet)}.passphrase"

    def passphrase(self, wallet: str) -> str:
        """Without the newline that an editor leaves at its end. Raises OSError, ValueError."""
        if self.directory is None:
            raise FileNotFoundError("no credentials were handed over (CREDENTIALS_DIRECTORY is not set)")
        with (self.directory / self.name(wallet)).open("rb") as file:
            data = file.read(_LONGEST + 1)
        if len(data) > _LONGEST:
            raise ValueError("it is too long")
        text = data.decode().removesuffix("\n")
        if not text:
            raise ValueError("it is empty")
        return text


class Deadlines:
    """Until when each wallet may be unlocked, kept for a process that is started again by the same parent. Times are
    CLOCK_BOOTTIME: nobody can set that clock, and it runs on while the machine sleeps. Where it can't be kept or read,
    each raises OSError: a time that nobody knows isn't bounded."""

    def __init__(self, path: Path, parent: str, now: Callable[[], float] | None = None) -> None:
        self._path = path
        self._parent = parent
        self._now = now or (lambda: time.clock_gettime(time.CLOCK_BOOTTIME))

    def left(self, wallet: str, seconds: int) -> int:
        """Whole seconds that are left to a wallet that has ``seconds`` in all; the first call starts the count."""
        known = self._read()
        if wallet not in known:
            known[wallet] = self._now() + seconds
            self._write(known)
        return max(1, min(seconds, int(known[wallet] - self._now())))

    def is_over(self, wallet: str) -> bool:
        """Whether it had its time already."""
        return self._read().get(wallet, math.inf) - self._now() < 1

    def end(self, wallet: str) -> None:
        """It was locked: nothing is left."""
        self._write({**self._read(), wallet: 0.0})

    def _read(self) -> dict[str, float]:
        try:
            found = json.loads(self._path.read_text())
            if found["parent"] != self._parent:
                return {}
            return {name: float(until) for name, until in found["until"].items()}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise OSError(errno.EBADMSG, f"{self._path} is not as it was written") from error

    def _write(self, until: Mapping[str, float]) -> None:
        write_json(self._path, {"parent": self._parent, "until": dict(until)})


class BootUnlock:
    """``wanted`` is for how many seconds to unlock which wallet (-walletunlock)."""

    def __init__(self, wanted: Mapping[str, int], credentials: Credentials, deadlines: Deadlines) -> None:
        self.wanted = wanted
        self._credentials = credentials
        self._deadlines = deadlines

    async def unlock(self, find: Callable[[str], Wallet | None]) -> None:
        """Unlock each that is loaded. What can't be unlocked is told, and stays locked."""
        for name, seconds in self.wanted.items():
            wallet = find(name)
            if wallet is None:
                self._refused(name, "it is not loaded")
            elif not wallet.keys.is_encrypted:
                self._refused(name, "it is not encrypted")
            elif wallet.keys.is_locked:
                await self._unlock(wallet, seconds)

    async def _unlock(self, wallet: Wallet, seconds: int) -> None:
        credential = self._credentials.name(wallet.name)
        try:
            if self._deadlines.is_over(wallet.name):
                self._refused(wallet.name, f"its {seconds} s from the first start on are over, or somebody locked it")
                return
        except OSError as error:
            self._refused(wallet.name, f"its time can't be told: {error.strerror}")
            return
        try:
            passphrase = self._credentials.passphrase(wallet.name)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or ("it is no text" if isinstance(error, UnicodeError) else error)
            self._refused(wallet.name, f"the credential {credential} can't be read: {why}")
            return
        try:
            is_right = await wallet.keys.unlock(passphrase, seconds)
        except RpcError as error:  # the signer, where its keys are, is away
            self._refused(wallet.name, error.message)
            return
        if not is_right:
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
        wallet.top_up()
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
