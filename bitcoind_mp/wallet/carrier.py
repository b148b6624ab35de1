"""Wallet files on their way between the wallets' directory and wherever a person keeps backups."""

import os
import shutil
from abc import ABC, abstractmethod
from pathlib import Path

from .core_file import is_core_file
from .ledger import Ledger


class Carrier(ABC):
    """Who carries them."""

    @abstractmethod
    async def back_up(self, ledger: Ledger, destination: Path) -> None:
        """Copy a wallet, whole or not at all, over what is at ``destination``. Raises OSError, sqlite3.Error."""

    @abstractmethod
    def is_core(self, backup: Path) -> bool:
        """Whether that is a wallet of Bitcoin Core."""

    @abstractmethod
    def fetch(self, backup: Path, target: Path) -> None:
        """Copy a backup to ``target``, whole or not at all. Raises OSError."""


class Direct(Carrier):
    """This process itself, which may go everywhere."""

    async def back_up(self, ledger: Ledger, destination: Path) -> None:
        ledger.backup(destination)

    def is_core(self, backup: Path) -> bool:
        return is_core_file(backup)

    def fetch(self, backup: Path, target: Path) -> None:
        partial = target.with_name(target.name + ".partial")
        shutil.copyfile(backup, partial)
        with partial.open("rb") as copied:
            os.fsync(copied.fileno())
        partial.replace(target)
