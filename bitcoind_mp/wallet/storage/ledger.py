"""One SQLite file a wallet: how it is made, opened, checked and changed.

WAL and ``synchronous=FULL``; what belongs together is one transaction, a block's effects and the new locator above
all, so that a kill at any moment resumes exactly there. What doesn't belong: the rows (``tables.py``), what they mean.
"""

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bitcoind_mp.config.instances import WALLET_FILE
from bitcoind_mp.config.state import replacing, sync_directory, which_file
from bitcoind_mp.interfaces.errors import RpcCode, RpcError

#: The file's name in the wallet's directory.
FILE_NAME = WALLET_FILE
#: What SQLite keeps beside it after a kill, and brings into whatever file it finds there by the next start.
UNFINISHED = (f"{FILE_NAME}-wal", f"{FILE_NAME}-journal")
#: "BmpW", in the SQLite header: this is a wallet of ours.
APPLICATION_ID = 0x426D7057
#: Raised with every change of the schema. A file with a higher one is refused.
SCHEMA_VERSION = 2
#: What a file is that older versions of this program can use too: one that holds its own keys.
_PLAIN_VERSION = 1
#: A main file of at most this many bytes of write-ahead log before SQLite folds it in (pages).
_CHECKPOINT_PAGES = 1000

_SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE descriptors (
    number INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE, normalized TEXT NOT NULL, created INTEGER NOT NULL,
    range_start INTEGER NOT NULL, range_end INTEGER NOT NULL, next_index INTEGER NOT NULL);
CREATE TABLE active (
    type TEXT NOT NULL, internal INTEGER NOT NULL, descriptor INTEGER NOT NULL REFERENCES descriptors,
    PRIMARY KEY (type, internal)) WITHOUT ROWID;
CREATE TABLE scripts (
    descriptor INTEGER NOT NULL REFERENCES descriptors, position INTEGER NOT NULL, script BLOB NOT NULL,
    PRIMARY KEY (descriptor, position, script)) WITHOUT ROWID;
CREATE TABLE concrete (
    descriptor INTEGER NOT NULL REFERENCES descriptors, position INTEGER NOT NULL, script BLOB NOT NULL,
    text TEXT NOT NULL, PRIMARY KEY (descriptor, position, script)) WITHOUT ROWID;
CREATE TABLE secrets (public TEXT PRIMARY KEY, secret BLOB NOT NULL, sealed INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE transactions (
    txid BLOB PRIMARY KEY, raw BLOB NOT NULL, state TEXT NOT NULL, block BLOB, height INTEGER, position INTEGER,
    block_time INTEGER, sequence INTEGER NOT NULL UNIQUE, received INTEGER NOT NULL, smart INTEGER NOT NULL,
    comment TEXT NOT NULL, comment_to TEXT NOT NULL, replaces BLOB, replaced_by BLOB) WITHOUT ROWID;
CREATE TABLE addresses (
    script BLOB PRIMARY KEY, label TEXT, purpose TEXT NOT NULL, spent INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE locked (txid BLOB NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (txid, n)) WITHOUT ROWID;
CREATE TABLE blocks (
    height INTEGER PRIMARY KEY, hash BLOB NOT NULL, time INTEGER NOT NULL, median_time INTEGER NOT NULL);
CREATE TABLE detached (
    hash BLOB PRIMARY KEY, height INTEGER NOT NULL, previous BLOB NOT NULL, txids BLOB NOT NULL) WITHOUT ROWID;
"""
#: Came later, and means nothing to older versions of this program: a file without it is given it.
_LATER = """
CREATE TABLE IF NOT EXISTS changes (number INTEGER PRIMARY KEY, txid BLOB NOT NULL)
"""


class WalletFileError(Exception):
    """A wallet file that can't be used; the message says why and what to do. ``code`` as Core's for the command,
    ``is_taken`` that another process has it."""

    def __init__(self, message: str, code: RpcCode = RpcCode.WALLET_ERROR, *, is_taken: bool = False) -> None:
        super().__init__(message)
        self.is_taken = is_taken
        self.message = message
        self.code = code


class Ledger:
    """An open wallet file. One thread uses it; no other process can meanwhile."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path
        self._identity = which_file(path)
        self._depth = 0
        self.on_rollback: Callable[[], None] = lambda: None
        """Called after a transaction was undone: what is kept in memory beside the file must be read again."""

    @classmethod
    def create(
        cls, path: Path, chain: str, genesis: str, fill: Callable[["Ledger"], None], version: int = _PLAIN_VERSION
    ) -> None:
        """Make a new file with all that ``fill`` writes, whole or not at all.

        ``version`` is `SCHEMA_VERSION` for one that older versions of this program must leave alone. A file that a
        killed creation left behind is empty, and is taken over. Raises `WalletFileError`.
        """
        connection = _connect(path)
        try:
            # Not yet in WAL mode: until the commit the main file stays empty, afterwards all is in it.
            connection.execute("PRAGMA journal_mode=DELETE")
            connection.execute("PRAGMA synchronous=EXTRA")
            ledger = cls(connection, path)
            with ledger.transaction():
                for statement in filter(str.strip, (*_SCHEMA.split(";"), _LATER)):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version={version}")
                ledger.set_fact("chain", chain)
                ledger.set_fact("genesis", genesis)
                try:
                    fill(ledger)
                finally:
                    ledger.on_rollback = lambda: None  # without the file there is nothing to read again
        finally:
            connection.close()
        sync_directory(path.parent)
        with suppress(PermissionError):  # out of reach, so that it isn't a directory that was made just now
            sync_directory(path.parent.parent)

    def keep_from_older_versions(self) -> None:
        """Have older versions of this program leave the file alone. In a transaction."""
        self.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def rest(self) -> None:
        """Let go of what was read: after a load most of it isn't needed again soon."""
        self.execute("PRAGMA shrink_memory")

    def save_memory(self) -> None:
        """Keep a quarter of the usual of the file in memory."""
        self.execute("PRAGMA cache_size=-500")

    @classmethod
    def open(cls, path: Path, chain: str, genesis: str) -> "Ledger":
        """Open and check an existing file. Raises `WalletFileError`."""
        mixed = any(part.exists() and part.stat().st_size > 0 for part in map(path.with_name, UNFINISHED))
        connection = _connect(path)
        try:
            _check(connection, path, mixed=mixed)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
            ledger = cls(connection, path)
            theirs = ledger.fact("chain")
            if (theirs, ledger.fact("genesis")) != (chain, genesis):
                raise WalletFileError(
                    f"{path} belongs to another chain ({theirs}, this is {chain}). "
                    "Wallet files should not be reused across chains.",
                    RpcCode.WALLET_NOT_FOUND,
                )
            ledger.execute(_LATER)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            connection.close()
            raise _unusable(path, error) from error
        except BaseException:
            connection.close()
            raise
        return ledger

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, on disk when it returns. Nested uses join the outermost.

        Raises:
            RpcError: -20, the file can't be written (a full disk, or it isn't there any more). Nothing was changed.
        """
        if self._depth:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
            return
        self._require_its_place()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield
            finally:
                self._depth = 0
            self._connection.execute("COMMIT")
        except BaseException as error:
            if self._connection.in_transaction:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
            self.on_rollback()
            if isinstance(error, sqlite3.OperationalError):
                raise RpcError(
                    RpcCode.DATABASE_ERROR,
                    f"The wallet file {self.path} can't be written: {error}. "
                    "Nothing was changed; see to the disk and try again.",
                ) from error
            raise

    def _require_its_place(self) -> None:
        """What is written to a file that was removed, or that a restore put another in the place of, is lost with this
        process, which may have the only copy of the keys by then."""
        if which_file(self.path) != self._identity:
            raise RpcError(
                RpcCode.DATABASE_ERROR,
                f"The wallet file {self.path} was removed or replaced while it is in use. Nothing was changed: it "
                "would be lost. backupwallet still saves what this process has, to another file; unloadwallet and "
                "loadwallet go over to what is there now.",
            )

    def execute(self, sql: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        """One statement; inside `transaction` where it changes anything."""
        return self._connection.execute(sql, values)

    def executemany(self, sql: str, rows: Iterator[tuple[Any, ...]] | list[tuple[Any, ...]]) -> None:
        """One statement for each row; inside `transaction`."""
        self._connection.executemany(sql, rows)

    def fact(self, name: str, default: Any = None) -> Any:
        """A single value by name."""
        row = self.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return default if row is None else row[0]

    def set_fact(self, name: str, value: str | int | float | bytes | None) -> None:
        """Keep a single value; None forgets it. Inside `transaction`."""
        if value is None:
            self.execute("DELETE FROM facts WHERE name = ?", (name,))
        else:
            self.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def rewrite(self) -> None:
        """Write the whole file anew, so that nothing deleted can be read from it. Raises `RpcError` (-20)."""
        try:
            self.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self.execute("VACUUM")
            self.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.OperationalError as error:
            raise RpcError(
                RpcCode.DATABASE_ERROR,
                f"{self.path} holds the change, but could not be rewritten: {error}. What it replaced may still "
                "be readable in the file; make room and repeat it.",
            ) from error

    def backup(self, destination: Path) -> None:
        """Copy the file, whole or not at all, over what is at ``destination``. Raises OSError, sqlite3.Error."""
        with replacing(destination) as partial:
            self.execute("VACUUM INTO ?", (str(partial),))
        sync_directory(destination.parent)

    def close(self) -> None:
        """Fold the write-ahead log in and close."""
        self._connection.close()


def is_wallet_file(path: Path) -> bool:
    """Whether the file's header says that it is a wallet of ours, without opening it as a database."""
    return _header_number(path, 68) == APPLICATION_ID


def is_wallet_descriptor(descriptor: int) -> bool:
    """The same of a file that is open."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return False
    return _number_in(os.pread(descriptor, 100, 0), 68) == APPLICATION_ID


def _header_number(path: Path, offset: int) -> int | None:
    if not path.is_file():  # to open a FIFO would wait for whoever writes to it
        return None
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except OSError:
        return None
    return _number_in(header, offset)


def _number_in(header: bytes, offset: int) -> int | None:
    return int.from_bytes(header[offset : offset + 4], "big") if header[:16] == b"SQLite format 3\0" else None


def _connect(path: Path) -> sqlite3.Connection:
    try:
        _close_to_others(path)
        connection = sqlite3.connect(path, isolation_level=None, timeout=0.5)
    except (sqlite3.Error, OSError) as error:
        raise _unusable(path, error) from error
    try:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute("PRAGMA temp_store=MEMORY")  # what is written anew passes through no file of its own
    except sqlite3.Error as error:
        connection.close()
        raise _unusable(path, error) from error
    return connection


def _close_to_others(path: Path) -> None:
    """For the owner alone, whatever it was. By a descriptor: a confined process can't do it by name."""
    if path.exists() and stat.S_IMODE(path.stat().st_mode) == 0o600:
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _check(connection: sqlite3.Connection, path: Path, *, mixed: bool) -> None:
    """Raises `WalletFileError`. ``mixed``: SQLite has brought into it what lay beside it."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION_ID:
        raise WalletFileError(f"{path} is no wallet file of this program.", RpcCode.WALLET_NOT_FOUND)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise WalletFileError(
            f"{path} was written by a newer version of this program (its format is {version}, "
            f"this program reads up to {SCHEMA_VERSION}). Use that version, or restore an older backup."
        )
    problems = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
    if problems != ["ok"]:
        why = " ".join("; ".join(problems).split())  # SQLite's has lines
        again = ", and not beside what is left of another (-wal): that was brought into this file" if mixed else ""
        raise WalletFileError(f"{path} is corrupt ({why}). Restore it from a backup{again}.")


def _unusable(path: Path, error: Exception) -> WalletFileError:
    """What SQLite's refusal means. As in Core, what isn't even a database counts as not found."""
    code = getattr(error, "sqlite_errorcode", None)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        why = f"{path} is being used by another process. Is another wallet process running?"
        return WalletFileError(why, is_taken=True)
    if code == sqlite3.SQLITE_NOTADB:
        return WalletFileError(f"{path} is corrupt ({error}). Restore it from a backup.", RpcCode.WALLET_NOT_FOUND)
    if code == sqlite3.SQLITE_CORRUPT or isinstance(error, UnicodeDecodeError):
        return WalletFileError(f"{path} is corrupt ({error}). Restore it from a backup.")
    no_room = code is not None and code & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
    return WalletFileError(
        f"{path} can't be opened: {error}.", RpcCode.DATABASE_ERROR if no_room else RpcCode.WALLET_ERROR
    )
