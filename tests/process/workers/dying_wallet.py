"""The wallet process, with a SIGKILL at a chosen commit, rename or reply of its life: ``DIE_AT=commit:3:before``.

What is counted lies outside of our code: SQLite's COMMIT statements, the system's renames, writes to connections.
"""

import os
import signal
import sqlite3
import sys
from asyncio import selector_events
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

WHAT, NUMBER, WHEN = (os.environ.get("DIE_AT") or "never:0:before").split(":")
counts = {"commit": 0, "rename": 0, "reply": 0}


def reached(what: str, when: str) -> None:
    """Die if this is the moment; each moment is counted before it."""
    if when == "before":
        counts[what] += 1
    if what == WHAT and counts[what] == int(NUMBER) and when == WHEN:
        os.kill(os.getpid(), signal.SIGKILL)


class Connection(sqlite3.Connection):
    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql != "COMMIT":
            return super().execute(sql, *values)
        reached("commit", "before")
        cursor = super().execute(sql, *values)
        reached("commit", "after")
        return cursor


connect = sqlite3.connect
sqlite3.connect = lambda *args, **named: connect(*args, **{**named, "factory": Connection})  # type: ignore[assignment]

rename = os.rename
replace = os.replace


def counted(function: Any) -> Any:
    def call(*args: Any, **named: Any) -> None:
        reached("rename", "before")
        function(*args, **named)
        reached("rename", "after")

    return call


os.rename, os.replace = counted(rename), counted(replace)

write = selector_events._SelectorSocketTransport.write  # type: ignore[attr-defined]


def counted_write(self: Any, data: bytes) -> None:
    own = self.get_extra_info("sockname")
    is_reply = isinstance(own, str) and own.endswith("wallet.sock")
    if is_reply:
        reached("reply", "before")
    write(self, data)
    if is_reply:
        reached("reply", "after")


selector_events._SelectorSocketTransport.write = counted_write  # type: ignore[attr-defined]

if __name__ == "__main__":
    from bitcoind_mp.wallet.__main__ import main

    main()
