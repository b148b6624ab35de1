"""Which transactions changed since the supervisor was last told: one row a transaction, numbered anew at each change.

Kept in the wallet's file, in the same ledger transaction as the change itself, so that no kill loses one. What is told,
and when, is ``watch.py``'s.
"""

from .ledger import Ledger

#: The fact that names the last number that was acknowledged.
_TOLD = "changes_told"


class ChangeTable:
    """The changes of one wallet."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.at_load = self.newest
        """What was the highest number when the file was opened."""

    def note(self, txid: bytes) -> None:
        """That transaction came or changed. In a ledger transaction."""
        self._ledger.execute("INSERT OR REPLACE INTO changes (txid) VALUES (?)", (txid,))

    def after(self, number: int, count: int) -> list[tuple[int, bytes]]:
        """(number, txid) of the next ones, oldest first."""
        return self._ledger.execute(
            "SELECT number, txid FROM changes WHERE number > ? ORDER BY number LIMIT ?", (number, count)
        ).fetchall()

    @property
    def newest(self) -> int:
        """The highest number, 0 for none."""
        return int(self._ledger.execute("SELECT coalesce(max(number), 0) FROM changes").fetchone()[0])

    @property
    def told(self) -> int | None:
        """The last one acknowledged; None where nobody was ever told."""
        found: int | None = self._ledger.fact(_TOLD)
        return found

    def acknowledge(self, number: int) -> None:
        """All up to that one are told. Raises `RpcError` (-20) where that can't be written."""
        with self._ledger.transaction():
            self._ledger.set_fact(_TOLD, number)
