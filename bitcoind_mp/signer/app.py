"""Puts the signer's process together from the configuration; nothing of it runs yet."""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from bitcoind_mp.config import Config
from bitcoind_mp.config.credentials import Credentials, Deadlines, unlock_times
from bitcoind_mp.config.instances import escaped
from bitcoind_mp.config.state import boot_identity
from bitcoind_mp.interfaces.errors import ExitStatus, FatalError, status_of_os_error
from bitcoind_mp.interfaces.obstacle import Obstacle
from bitcoind_mp.render.address import decode_destination

from .audit import AuditDamaged, AuditLog, Head
from .boot import BootUnlock
from .clock import Reading
from .policy import Confirm, Policy
from .reach import directory
from .requests import Requests
from .store import Store, StoreError
from .vault import Vault


def policy(config: Config) -> Policy:
    """The owner's policy. Raises FatalError for an address that is none."""
    allowed: dict[bytes, str] | None = None
    if config.is_set("signerallow"):
        allowed = {}
        for address in config.get_list("signerallow"):
            script = decode_destination(address, config.chain).script
            if script is None:
                raise FatalError(
                    f"-signerallow={address} is no address of the {config.chain} chain.", status=ExitStatus.CONFIG
                )
            allowed[script] = address
    return Policy(
        max_tx=config.get_amount("signermaxtx") if config.is_set("signermaxtx") else None,
        max_day=config.get_amount("signermaxday") if config.is_set("signermaxday") else None,
        allowed=allowed,
        confirm=Confirm(config.get_str("signerconfirm") or "never"),
    )


#: Bytes that are wanted free before a start that a full disk stopped is tried again.
_ROOM = 1 << 20


class SignerApp:
    """The parts of one signer process. Raises FatalError for files that can't be used. ``now`` reads the clocks;
    ``credentials`` is the directory of those that the service manager handed over, None for none."""

    def __init__(self, config: Config, now: Callable[[], Reading], credentials: Path | None = None) -> None:
        place = directory(config)
        rules = policy(config)
        try:
            self._store = Store(place / "keys.sqlite")
        except StoreError as error:
            raise _unusable(f"The signer's key store: {error}", error.__cause__, place) from error
        self._log = self._open_log(place / "audit.log", anew=config.get_bool("signernewlog"))
        self.vault = Vault(self._store, self._log, rules, Requests(), chain=config.chain, now=now)
        self.boot_unlock = BootUnlock(
            unlock_times(config),
            Credentials(credentials, escaped),
            Deadlines(place / "unlocked.json", boot_identity()),
        )

    def _open_log(self, path: Path, *, anew: bool) -> AuditLog:
        try:
            return AuditLog(path, self._store.audit_head())
        except AuditDamaged as error:
            if not anew:
                raise FatalError(
                    str(error),
                    hint="Nothing is signed until its owner has looked into it, and started the signer once with "
                    "-signernewlog=1: write signernewlog=1 into bitcoin.conf, then bitcoin-mp start signer, and take "
                    "it out again.",
                    status=ExitStatus.DATA_CORRUPT,
                ) from error
            return self._new_log(path, str(error))
        except OSError as error:
            raise _unusable(f"The signer's audit log {path}: {error.strerror}.", error, path.parent) from error

    def _new_log(self, path: Path, why: str) -> AuditLog:
        """Put the damaged one aside, and begin one that says so."""
        if path.exists():
            path.replace(path.with_name(f"audit.log.damaged-{int(time.time())}"))
        log = AuditLog(path, Head())
        head = log.append("new log", because=why)
        with self._store.transaction():
            self._store.set_audit_head(head)
        return log

    def close(self) -> None:
        """Forget what opens keys, and close the files."""
        self.vault.close()
        self._log.close()
        self._store.close()


def _unusable(message: str, cause: BaseException | None, place: Path) -> FatalError:
    """What is in the way: the disk's room, the system, or what is in the file."""
    if isinstance(cause, OSError):
        status = status_of_os_error(cause)
    elif isinstance(cause, sqlite3.OperationalError):
        is_full = cause.sqlite_errorcode == sqlite3.SQLITE_FULL
        status = ExitStatus.DISK_FULL if is_full else ExitStatus.OS_ERROR
    else:
        status = ExitStatus.DATA_CORRUPT
    obstacle = Obstacle("disk", str(place), _ROOM) if status is ExitStatus.DISK_FULL else None
    return FatalError(message, status=status, obstacle=obstacle)
