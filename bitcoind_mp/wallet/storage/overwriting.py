"""What a backup may be written over: nothing, an empty file, an earlier backup of the same wallet.

Bitcoin Core writes over any SQLite file. A backup may be all that is left of a wallet, so here nothing is written over
that holds a key or a descriptor which the new file doesn't.
"""

import sqlite3
import stat
import time
from pathlib import Path
from urllib.parse import quote

from .ledger import is_wallet_file

_HELD = (
    "SELECT text FROM descriptors",
    "SELECT public FROM secrets",
    "SELECT value FROM facts WHERE name = 'signer_keyset'",
)
#: What these are must be tables with pages of their own: a view's or a virtual table's rows are what its maker likes.
_TABLES = (
    "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND rootpage > 0 "
    "AND name IN ('descriptors', 'secrets', 'facts')"
)
#: Characters that are read, of all together, and seconds that it may take: whoever wrote the file may be broken into.
_MOST_HELD, _PATIENCE = 64 << 20, 30.0


def require_lasting(directory: Path, mounts: Path = Path("/proc/self/mountinfo")) -> None:
    """That it isn't the service's own /tmp or /var/tmp (PrivateTmp= of systemd.exec(5)): nobody else sees what is
    there, and it is removed when the service stops. ``directory`` with its links resolved. Raises OSError."""
    for line in mounts.read_text(errors="surrogateescape").splitlines():
        root, place = line.split()[3:5]
        if "/systemd-private-" in root and directory.is_relative_to(place):
            why = f"{place} is this service's own here (PrivateTmp=), and removed when it stops: name another directory"
            raise PermissionError(1, why, str(directory))


def require_free(path: Path) -> None:
    """That it is no file of anything but a wallet, nor a wallet that is in use. Raises OSError."""
    if not path.exists():
        return
    if path.is_dir():
        raise IsADirectoryError(21, "That is a directory: name a file in it", str(path))
    if stat.S_ISREG(path.stat().st_mode) and path.stat().st_size == 0:
        return
    if not is_wallet_file(path):
        raise FileExistsError(17, "That is no wallet file, and is not written over", str(path))
    if path.with_name(path.name + "-wal").exists():
        why = "That wallet is in use, or was when its process was killed: name another file"
        raise FileExistsError(17, why, str(path))


def require_heir(copy: Path, earlier: Path, shown: Path) -> None:
    """That all keys and descriptors of the wallet file ``earlier`` are in ``copy`` too. ``shown``: what a person calls
    the earlier one. Both are files that nobody has open. Raises OSError."""
    try:
        lost = any(before - after for before, after in zip(_held_by(earlier), _held_by(copy), strict=True))
    except (sqlite3.Error, UnicodeDecodeError) as error:
        why = f"That looks like a wallet and can't be read ({error}); it is not written over, name another file"
        raise FileExistsError(17, why, str(shown)) from error
    if lost:
        why = "That has keys or descriptors that this wallet has not; it is not written over, name another file"
        raise FileExistsError(17, why, str(shown))


def _held_by(path: Path) -> list[set[tuple[str]]]:
    # As it lies there: not a byte beside it is made for looking into it.
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)
    end = time.monotonic() + _PATIENCE
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_HELD)
        connection.set_progress_handler(lambda: time.monotonic() > end, 100_000)
        if connection.execute(_TABLES).fetchone() != (3,):
            raise sqlite3.DatabaseError("it has not the tables of a wallet")
        return [_rows(connection.execute(held)) for held in _HELD]
    finally:
        connection.close()


def _rows(found: sqlite3.Cursor) -> set[tuple[str]]:
    rows: set[tuple[str]] = set()
    size = 0
    for row in found:
        size += 100 + len(str(row[0]))
        if size > _MOST_HELD:
            raise sqlite3.DatabaseError("it has more in it than a wallet")
        rows.add(row)
    return rows
