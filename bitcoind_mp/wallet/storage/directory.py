"""Where wallets lie on disk: one directory each below ``wallets/``, named as the wallet (``GetWalletPath``,
``MakeDatabase`` and ``ListDatabases`` in Core's ``src/wallet``)."""

import errno
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from bitcoind_mp.interfaces.errors import RpcCode, RpcError

from .carrier import Carrier, Direct
from .core_file import CORE_FILE_NAME, HOW_TO_BRING_IT
from .ledger import FILE_NAME, UNFINISHED, WalletFileError, is_wallet_file

_SQLITE_MAGIC = b"SQLite format 3\0"
_OF_CORE = "This is a wallet of Bitcoin Core, which this program doesn't open: see loadwallet"
#: Directories one in the other that are looked into: nobody's wallets lie deeper, and Python walks no thousand.
_DEEPEST = 32

#: What this process keeps beside wallets and in them: lists, times and databases, and each while it is written.
_OURS = re.compile(
    r"(settings|loaded|unlocked|wallet(@.*)?-unlocked)\.json(\.partial)?|(backup|earlier)\.partial"
    rf"|{re.escape(FILE_NAME)}(-wal|-shm|-journal|\.partial)?",
    re.DOTALL,
)
_NOT_A_WALLET_S = "That name is kept for a file of this program's own: choose another."


class Directory:
    """The wallets' directory. A name is a path below it, or an absolute one.

    ``carrier`` brings backups in. ``reach``: where a confined process can work with files at all; None: everywhere.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.carrier: Carrier = Direct()
        self.reach: tuple[Path, ...] | None = None

    def path(self, name: str) -> Path:
        """The wallet's directory."""
        return self.root / name

    def has(self, name: str) -> bool:
        """Whether a wallet of ours of that name lies there."""
        return is_wallet_file(self.path(name) / FILE_NAME)

    def existing(self, name: str) -> Path:
        """The file of a wallet that is to be loaded. Raises `WalletFileError` in Core's words."""
        try:
            return self._existing(name)
        except OSError as error:  # which says nothing about what is in it
            raise _unreadable(self.path(name), error) from error

    def _existing(self, name: str) -> Path:
        path = self.path(name)
        self._require_place(name)
        if not _exists(path):
            raise WalletFileError(
                f"Failed to load database path '{path}'. Path does not exist.", RpcCode.WALLET_NOT_FOUND
            )
        self._require_reach(path)
        file = path / FILE_NAME
        if _is_sqlite(file):
            return file
        if (path / CORE_FILE_NAME).exists():
            raise WalletFileError(
                f"'{path}' holds a wallet of Bitcoin Core ({CORE_FILE_NAME}), which this program does not open. "
                f"{HOW_TO_BRING_IT}",
                RpcCode.WALLET_NOT_FOUND,
            )
        why = f" {FILE_NAME} is corrupt from its first bytes on: restore it from a backup." if file.exists() else ""
        raise WalletFileError(
            f"Failed to load database path '{path}'. Data is not in recognized format.{why}", RpcCode.WALLET_NOT_FOUND
        )

    def prepare_new(self, name: str) -> tuple[Path, Callable[[], None]]:
        """The file of a wallet that is to be made, its directory made; and what undoes that as long as nothing is
        written to the file. Raises `WalletFileError`."""
        path = self.path(name)
        if is_ours(name):
            raise WalletFileError(f"Failed to create database path '{path}'. {_NOT_A_WALLET_S}")
        self._require_place(name)
        self._require_reach(path)
        file = path / FILE_NAME
        if (_exists(file) and file.stat().st_size > 0) or _exists(path / CORE_FILE_NAME):
            raise WalletFileError(f"Failed to create database path '{path}'. Database already exists.")
        if _exists(path) and not path.is_dir():
            raise WalletFileError(f"Failed to create database path '{path}'. It is no directory.")
        made = [directory for directory in (path, *path.parents) if not _exists(directory)]

        def undo() -> None:
            with suppress(OSError, ValueError):
                if file.exists() and file.stat().st_size == 0:
                    file.unlink()
                for directory in made:
                    directory.rmdir()

        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            undo()
            raise WalletFileError(f"Failed to create database path '{path}': {error}.") from error
        return file, undo

    def restore(self, name: str, backup: Path) -> Callable[[], None]:
        """Copy a backup to where the wallet of that name lies; what undoes it. Raises `RpcError` in Core's words."""
        if not _exists(backup):
            raise RpcError(RpcCode.INVALID_PARAMETER, "Backup file does not exist")
        if self.carrier.is_core(backup):
            raise RpcError(
                RpcCode.WALLET_NOT_FOUND,
                "Wallet file verification failed. "
                f"'{backup}' is a wallet of Bitcoin Core, which this program does not open. {HOW_TO_BRING_IT}",
            )
        path = self.path(name)
        if is_ours(name):
            raise RpcError(RpcCode.WALLET_ERROR, f"Failed to restore database path '{path}'. {_NOT_A_WALLET_S}")
        self._require_reach(path)
        made = False
        if _exists(path):
            if not path.is_dir():
                raise RpcError(
                    RpcCode.WALLET_ALREADY_EXISTS, f"Failed to restore wallet. Database file exists '{path}'."
                )
            if any((path / taken).exists() for taken in (FILE_NAME, CORE_FILE_NAME)):
                raise RpcError(
                    RpcCode.WALLET_ALREADY_EXISTS,
                    f"Failed to restore wallet. Database file exists in '{path / FILE_NAME}'.",
                )
            if left := [path / part for part in UNFINISHED if (path / part).exists()]:
                raise RpcError(
                    RpcCode.WALLET_ALREADY_EXISTS,
                    f"Failed to restore wallet. '{left[0]}' is left of another file, and would be mixed into it. "
                    "Move it away.",
                )
        else:
            try:
                path.mkdir(mode=0o700, parents=True)
            except OSError as error:
                raise RpcError(RpcCode.WALLET_ALREADY_EXISTS, f"Failed to restore database path '{path}'.") from error
            made = True
        file = path / FILE_NAME

        def undo() -> None:
            for leftover in path.glob(FILE_NAME + "*"):
                leftover.unlink(missing_ok=True)
            if made:
                with suppress(OSError):
                    path.rmdir()

        try:
            self.carrier.fetch(backup, file)
        except (OSError, sqlite3.Error) as error:
            undo()
            raise RpcError(RpcCode.WALLET_ERROR, f"Unexpected exception: {error}") from error
        return undo

    def _require_place(self, name: str) -> None:
        """Refuse what can be no wallet's directory: a file that isn't right below `root`, a link that leads to none."""
        path = self.path(name)
        if not os.path.lexists(path) or path.is_dir():
            return
        if path.is_symlink() or not path.is_file() or Path(name).name != name:
            raise WalletFileError(
                f"Invalid -wallet path '{name}'. -wallet path should point to a directory where {FILE_NAME} can be "
                f"stored, or a location where such a directory could be created ({self.root})"
            )

    def _require_reach(self, path: Path) -> None:
        if self.reach is None or "\0" in str(path):  # there is no such path: whoever uses it says so
            return
        if any(path.resolve().is_relative_to(place.resolve()) for place in self.reach):
            return
        raise WalletFileError(
            f"'{path}' is out of the wallet process's reach, which is confined to {self.root} (-sandbox). Move the "
            "wallet there, or name it by -wallet= at the start."
        )

    def listed(self) -> Iterator[tuple[str, list[str]]]:
        """What `listwalletdir` shows: the name of each wallet below the directory, and warnings about it. As long as
        there are directories it goes on."""
        if not self.root.is_dir():
            return
        for directory, inside, _ in os.walk(self.root, followlinks=False):
            inside.sort()
            path = Path(directory)
            if len(path.relative_to(self.root).parts) >= _DEEPEST:
                inside.clear()
            for candidate in (path, *(path / link for link in inside if (path / link).is_symlink())):
                name = "" if candidate == self.root else str(candidate.relative_to(self.root))
                with suppress(OSError):  # a directory that we may not look into
                    if is_wallet_file(candidate / FILE_NAME):
                        yield name, []
                    elif _is_sqlite(candidate / CORE_FILE_NAME):
                        yield name, [_OF_CORE]


def is_ours(name: str) -> bool:
    """Whether a wallet of that name would lie where this process keeps what isn't a wallet (`reach.own_directory`)."""
    return any(_OURS.fullmatch(part) for part in Path(name).parts)


def _exists(path: Path) -> bool:
    """Also for a name that is too long to be any file's."""
    try:
        return path.exists()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False


def _is_sqlite(path: Path) -> bool:
    """Raises OSError where something is there that can't be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE_MAGIC)) == _SQLITE_MAGIC
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False


def _unreadable(path: Path, error: OSError) -> WalletFileError:
    """Of such a wallet nobody can say more than whose it is: root's, where root copied a backup there."""
    whose = ""
    for place in (path / FILE_NAME, path, path.parent):
        with suppress(OSError):
            if (owner := place.stat().st_uid) != os.geteuid():
                whose = f" '{place}' belongs to user {owner}, this process to user {os.geteuid()}: change its owner."
            break
    return WalletFileError(f"Failed to load database path '{path}'. It can't be read: {error.strerror}.{whose}")
