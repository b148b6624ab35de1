"""Bitcoin Core's wallet files: told apart from ours and from what is no wallet, and not opened. How to bring what they
hold here is said in one place."""

import sqlite3
from contextlib import closing
from pathlib import Path

#: Core's file name in a wallet's directory.
CORE_FILE_NAME = "wallet.dat"
#: What to do with one.
HOW_TO_BRING_IT = (
    "To bring it here, run 'listdescriptors true' on it in Bitcoin Core; here, make a blank wallet under another name "
    "and give that list to importdescriptors."
)
#: The only table of Core's SQLite wallets (``src/wallet/sqlite.cpp``).
_TABLES = [("main",)]
#: A Berkeley DB B-tree, 12 bytes into the file, in either byte order (``IsBDBFile``, ``src/wallet/db.cpp``).
_BERKELEY = (bytes.fromhex("00053162"), bytes.fromhex("62310500"))


def is_core_file(path: Path) -> bool:
    """Whether it is a wallet of Bitcoin Core, of today's format or the legacy one. Nothing is written to it."""
    if not path.is_file():  # to open a FIFO would wait for whoever writes to it
        return False
    try:
        with path.open("rb") as file:
            if file.read(16)[12:] in _BERKELEY:
                return True
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    except (OSError, sqlite3.Error):
        return False
    return bool(found == _TABLES)
