"""Passphrases that the service manager handed over as credentials (``LoadCredential=``, systemd.exec(5)), and for how
long they unlock wallets (-walletunlock).

The time counts from the first start since the machine came up, whoever starts the process again, and whether it was
killed or stopped: that has what is left of it, and nothing after somebody locked the wallet.
"""

import errno
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from .configuration import Config
from .state import read_json, write_json

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
    """Until when each wallet may be unlocked, kept for a process that is started again in the same ``boot``. Times are
    CLOCK_BOOTTIME: nobody can set that clock, and it runs on while the machine sleeps. Where it can't be kept or read,
    each raises OSError: a time that nobody knows isn't bounded."""

    def __init__(self, path: Path, boot: str, now: Callable[[], float] | None = None) -> None:
        self._path = path
        self._boot = boot
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
            found = read_json(self._path)
            if found["parent" if "parent" in found else "boot"] != self._boot:  # the first: an earlier version's
                return {}
            return {name: float(until) for name, until in found["until"].items()}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise OSError(errno.EBADMSG, f"{self._path} is not as it was written") from error

    def _write(self, until: Mapping[str, float]) -> None:
        write_json(self._path, {"boot": self._boot, "until": dict(until)})


def unlock_times(config: Config) -> dict[str, int]:
    """-walletunlock: for how many seconds to unlock which wallet."""
    split = (text.rpartition(":") for text in config.get_list("walletunlock"))
    return {name: int(seconds) for name, _, seconds in split}


class NotUnlocked(Exception):
    """A wallet isn't unlocked at the start; why, in words."""


def read_in_time(credentials: Credentials, deadlines: Deadlines, wallet: str, seconds: int) -> str:
    """The passphrase of a wallet that has ``seconds`` in all. Raises `NotUnlocked`."""
    try:
        if deadlines.is_over(wallet):
            raise NotUnlocked(
                f"its {seconds} s from the first start since the machine came up are over, or somebody locked it"
            )
    except OSError as error:
        raise NotUnlocked(f"its time can't be told: {error.strerror}") from error
    try:
        return credentials.passphrase(wallet)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or ("it is no text" if isinstance(error, UnicodeError) else error)
        raise NotUnlocked(f"the credential {credentials.name(wallet)} can't be read: {why}") from error
