"""Wallet files on their way between the wallets' directory and wherever a person keeps backups."""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bitcoind_mp.config.state import replacing, sync_directory

from .core_file import is_core_file
from .ledger import Ledger
from .overwriting import require_free, require_heir, require_lasting

#: What a wallet's file is copied to before it is carried away.
TEMPORARY = "backup.partial"


@contextmanager
def copied(ledger: Ledger) -> Iterator[Path]:
    """A copy of a wallet beside it, for as long as the context lasts. Raises OSError, sqlite3.Error."""
    copy = ledger.path.with_name(TEMPORARY)
    try:
        ledger.backup(copy)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


class Carrier(ABC):
    """Who carries them."""

    async def back_up(self, ledger: Ledger, destination: Path) -> None:
        """Copy a wallet, whole or not at all, over nothing at ``destination`` but an earlier backup of it.

        Raises OSError, sqlite3.Error.
        """
        with copied(ledger) as copy:
            self.put(copy, destination)

    @abstractmethod
    def put(self, copy: Path, destination: Path) -> None:
        """Carry a wallet's copy there, likewise. Raises OSError."""

    @abstractmethod
    def is_core(self, backup: Path) -> bool:
        """Whether that is a wallet of Bitcoin Core."""

    @abstractmethod
    def fetch(self, backup: Path, target: Path) -> None:
        """Copy a backup to ``target``, whole or not at all. Raises OSError."""


class Direct(Carrier):
    """This process itself, which may go everywhere."""

    def put(self, copy: Path, destination: Path) -> None:
        require_lasting(destination.parent.resolve())
        require_free(destination)
        if destination.exists() and destination.stat().st_size:
            require_heir(copy, destination, destination)
        self.fetch(copy, destination)

    def is_core(self, backup: Path) -> bool:
        return is_core_file(backup)

    def fetch(self, backup: Path, target: Path) -> None:
        with replacing(target) as partial:
            shutil.copyfile(backup, partial)
        sync_directory(target.parent)
