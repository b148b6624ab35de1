"""Puts the signer's process together from the configuration; nothing of it runs yet."""

import time
from functools import partial
from pathlib import Path

from bitcoind_mp.config import Config
from bitcoind_mp.interfaces.errors import ExitStatus, FatalError
from bitcoind_mp.render.address import decode_destination

from .audit import AuditDamaged, AuditLog, Head
from .clock import boot_id, read
from .policy import Confirm, Policy
from .requests import Requests
from .store import Store, StoreError
from .vault import Vault


def directory(config: Config) -> Path:
    """Where the key store and the audit log lie: all that the process has of the disk."""
    return config.network_dir / "signer"


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


class SignerApp:
    """The parts of one signer process. Raises FatalError for files that can't be used."""

    def __init__(self, config: Config) -> None:
        place = directory(config)
        rules = policy(config)
        try:
            place.mkdir(mode=0o700, exist_ok=True)
            self._store = Store(place / "keys.sqlite")
        except StoreError as error:
            status = ExitStatus.DATA_CORRUPT if error.corrupt else ExitStatus.OS_ERROR
            raise FatalError(f"The signer's key store: {error}", status=status) from error
        except OSError as error:
            raise FatalError(
                f"The signer's directory {place}: {error.strerror}.", status=ExitStatus.OS_ERROR
            ) from error
        self._log = self._open_log(place / "audit.log", anew=config.get_bool("signernewlog"))
        self.vault = Vault(self._store, self._log, rules, Requests(), chain=config.chain, now=partial(read, boot_id()))

    def _open_log(self, path: Path, *, anew: bool) -> AuditLog:
        try:
            return AuditLog(path, self._store.audit_head())
        except AuditDamaged as error:
            if not anew:
                raise FatalError(
                    str(error),
                    hint="Nothing is signed until its owner has looked into it, and started the signer once with "
                    "-signernewlog=1.",
                    status=ExitStatus.DATA_CORRUPT,
                ) from error
            return self._new_log(path, str(error))
        except OSError as error:
            raise FatalError(f"The signer's audit log {path}: {error.strerror}.", status=ExitStatus.OS_ERROR) from error

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
        self.vault.lock_all()
        self._log.close()
        self._store.close()
