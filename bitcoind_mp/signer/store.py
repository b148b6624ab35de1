"""The signer's one file: sealed seeds, what was spent when, how far the audit log has come. SQL and nothing else."""

import os
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bitcoind_mp.config.state import which_file

from .audit import Head
from .clock import Reading, elapsed

#: "BmpS", in the SQLite header: the key store of a signer of ours.
APPLICATION_ID = 0x426D7053
SCHEMA_VERSION = 2
#: What version 2 added: which key set is meant where the owner names a wallet, and what else spent a coin.
_SECOND = (
    "CREATE TABLE names (wallet TEXT PRIMARY KEY, keyset TEXT NOT NULL) WITHOUT ROWID",
    "CREATE INDEX inputs_outpoint ON inputs (keyset, outpoint)",
)
_SCHEMA = """
CREATE TABLE keysets (
    id TEXT PRIMARY KEY, label TEXT NOT NULL, created INTEGER NOT NULL, public TEXT NOT NULL, master BLOB NOT NULL,
    seed BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE inputs (
    tx BLOB NOT NULL, keyset TEXT NOT NULL, outpoint BLOB NOT NULL, amount INTEGER NOT NULL,
    PRIMARY KEY (tx, keyset, outpoint)) WITHOUT ROWID;
CREATE TABLE spends (
    number INTEGER PRIMARY KEY, tx BLOB NOT NULL, keyset TEXT NOT NULL, time INTEGER NOT NULL, amount INTEGER NOT NULL);
CREATE INDEX spends_tx ON spends (tx, keyset);
CREATE INDEX spends_time ON spends (time);
CREATE TABLE audit (only INTEGER PRIMARY KEY CHECK (only = 1), count INTEGER NOT NULL, chain TEXT NOT NULL);
CREATE TABLE clock (
    only INTEGER PRIMARY KEY CHECK (only = 1), counted INTEGER NOT NULL, wall INTEGER NOT NULL,
    since_boot INTEGER NOT NULL, boot TEXT NOT NULL);
"""


class StoreError(Exception):
    """The key store can't be used; the message says why, for people, the cause what was in the way."""


@dataclass(frozen=True)
class KeySetRow:
    """A key set as it is stored: ``public`` as JSON; ``master``, the key that seals the seed, sealed under the
    passphrase; ``seed``, the extended private key, sealed."""

    id: str
    label: str
    created: int
    public: str
    master: bytes
    seed: bytes


class Store:
    """An open key store. Each change is on disk when its transaction ends. Raises sqlite3.Error where it can't be
    written."""

    def __init__(self, path: Path) -> None:
        """Open it, made if absent. Raises `StoreError`."""
        self._path: Path | None = None
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # for its owner alone
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=0.5)
            for pragma in ("locking_mode=EXCLUSIVE", "secure_delete=ON", "journal_mode=DELETE", "synchronous=EXTRA"):
                self._connection.execute(f"PRAGMA {pragma}")
            self._prepare(path)
            self._path, self._identity = path, which_file(path)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{path} can't be used: {error}.") from error

    def _prepare(self, path: Path) -> None:
        with self.transaction():
            application, version = (
                self._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
            )
            tables = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if not tables:
                for statement in filter(str.strip, (*_SCHEMA.split(";"), *_SECOND)):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
                self._connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            elif application != APPLICATION_ID:
                raise StoreError(f"{path} is no key store of this program.")
            elif version < SCHEMA_VERSION:
                for statement in _SECOND:
                    self._connection.execute(statement)
                self._connection.execute("INSERT OR REPLACE INTO names SELECT label, id FROM keysets ORDER BY created")
                self._connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            elif version > SCHEMA_VERSION:
                raise StoreError(f"{path} was written by a newer version of this program: use that one.")
        problems = [row[0] for row in self._connection.execute("PRAGMA integrity_check(3)")]
        if problems != ["ok"]:
            raise StoreError(f"{path} is corrupt ({'; '.join(problems)}). Restore it from a backup.")

    def damage(self) -> str:
        """Why nothing may be written any more, empty where it may: keys in a file without a name are lost with us."""
        if self._path is None or which_file(self._path) == self._identity:
            return ""
        return f"{self._path} was removed or replaced while it is in use: put the one before back"

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, on disk when it returns."""
        if why := self.damage():
            raise sqlite3.OperationalError(why)
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    # --- key sets -------------------------------------------------------------------------------------------

    def keysets(self) -> list[KeySetRow]:
        """Every one, the oldest first."""
        rows = self._connection.execute(
            "SELECT id, label, created, public, master, seed FROM keysets ORDER BY created, id"
        )
        return [KeySetRow(*row) for row in rows]

    def put(self, row: KeySetRow) -> None:
        """Keep one, over what has its id. In a transaction."""
        self._connection.execute(
            "INSERT OR REPLACE INTO keysets VALUES (?, ?, ?, ?, ?, ?)",
            (row.id, row.label, row.created, row.public, row.master, row.seed),
        )

    def names(self) -> dict[str, str]:
        """Which key set each wallet's name stands for."""
        return dict(self._connection.execute("SELECT wallet, keyset FROM names").fetchall())

    def name(self, wallet: str, keyset: str | None) -> None:
        """From now on that name stands for those keys; None: for none. In a transaction."""
        if keyset is None:
            self._connection.execute("DELETE FROM names WHERE wallet = ?", (wallet,))
        else:
            self._connection.execute("INSERT OR REPLACE INTO names VALUES (?, ?)", (wallet, keyset))

    # --- what was spent -------------------------------------------------------------------------------------

    def signed_inputs(self, tx: bytes, keyset: str) -> dict[bytes, int]:
        """The inputs of that transaction that were signed for: outpoint to amount."""
        rows = self._connection.execute("SELECT outpoint, amount FROM inputs WHERE tx = ? AND keyset = ?", (tx, keyset))
        return dict(rows.fetchall())

    def spent_by(self, tx: bytes, keyset: str) -> int:
        """What was counted for that transaction, in satoshis."""
        found: int = self._connection.execute(
            "SELECT coalesce(sum(amount), 0) FROM spends WHERE tx = ? AND keyset = ?", (tx, keyset)
        ).fetchone()[0]
        return found

    def replaced(self, tx: bytes, keyset: str, outpoints: Collection[bytes]) -> list[bytes]:
        """Other transactions that can't confirm beside one that spends these: all that was signed of them is among."""
        wanted = set(outpoints)
        found = {
            row[0]
            for outpoint in wanted
            for row in self._connection.execute(
                "SELECT tx FROM inputs WHERE keyset = ? AND outpoint = ? AND tx != ?", (keyset, outpoint, tx)
            )
        }
        return [other for other in found if self.signed_inputs(other, keyset).keys() <= wanted]

    def spent_by_since(self, tx: bytes, keyset: str, time: int) -> int:
        """What was counted for that transaction after that time, in satoshis."""
        found: int = self._connection.execute(
            "SELECT coalesce(sum(amount), 0) FROM spends WHERE tx = ? AND keyset = ? AND time > ?", (tx, keyset, time)
        ).fetchone()[0]
        return found

    def spent_since(self, time: int) -> int:
        """What was counted after that time by all key sets, in satoshis."""
        found: int = self._connection.execute(
            "SELECT coalesce(sum(amount), 0) FROM spends WHERE time > ?", (time,)
        ).fetchone()[0]
        return found

    def count(
        self, tx: bytes, keyset: str, inputs: dict[bytes, int], amount: int, time: int, replaced: Collection[bytes] = ()
    ) -> None:
        """Record that these inputs are signed for, and ``amount`` spent, in all. What was counted for those that it
        replaces is its own from now on. In a transaction."""
        self._connection.executemany(
            "INSERT OR REPLACE INTO inputs VALUES (?, ?, ?, ?)",
            [(tx, keyset, outpoint, value) for outpoint, value in inputs.items()],
        )
        for other in replaced:
            self._connection.execute(
                "UPDATE spends SET tx = ?, time = ? WHERE tx = ? AND keyset = ?", (tx, time, other, keyset)
            )
        more = amount - self.spent_by(tx, keyset)
        if more > 0:
            self._connection.execute(
                "INSERT INTO spends (tx, keyset, time, amount) VALUES (?, ?, ?, ?)", (tx, keyset, time, more)
            )

    # --- how far log and clock have come --------------------------------------------------------------------

    def audit_head(self) -> Head:
        """How far the audit log had come when this was last told."""
        row = self._connection.execute("SELECT count, chain FROM audit").fetchone()
        return Head() if row is None else Head(*row)

    def set_audit_head(self, head: Head) -> None:
        """In a transaction."""
        self._connection.execute("INSERT OR REPLACE INTO audit VALUES (1, ?, ?)", (head.count, head.chain))

    def now(self, reading: Reading) -> int:
        """Seconds counted since the store was made (`clock.elapsed`)."""
        row = self._connection.execute("SELECT counted, wall, since_boot, boot FROM clock").fetchone()
        return 0 if row is None else int(row[0]) + elapsed(Reading(*row[1:]), reading)

    def keep_clock(self, counted: int, reading: Reading) -> None:
        """In a transaction."""
        self._connection.execute(
            "INSERT OR REPLACE INTO clock VALUES (1, ?, ?, ?, ?)",
            (counted, reading.wall, reading.since_boot, reading.boot),
        )
