"""Which transactions changed since the supervisor was last told: one row a transaction, numbered anew at each change.

Kept in the wallet's file, in the same ledger transaction as the change itself, so that no kill loses one. What is told,
and when, is ``watch.py``'s.
"""

from bitcoind_mp.wallet.storage.ledger import Ledger

#: The fact that names the last number that was acknowledged.
_TOLD = "changes_told"


class ChangeTable:
    """The changes of one wallet. Until somebody first listens they are in memory alone, since the file was opened: a
    wallet that nobody hears of writes nothing more. Numbers are in memory always: an index in the file would cost each
    commit a page more."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._numbers: dict[bytes, int] = {}
        self.newest = 0
        """The highest number, 0 for none. It never comes down: a row goes only where a newer one comes."""
        self.reload()
        self.at_load = self.newest
        """What that was when the file was opened."""

    def reload(self) -> None:
        """Read what the ledger holds. What only memory has stays: of what was undone too much may be told, never too
        little."""
        self._is_kept = self.told is not None
        if self._numbers and not self._is_kept:
            return
        self._numbers = {txid: number for number, txid in self._ledger.execute("SELECT number, txid FROM changes")}
        self.newest = max(self._numbers.values(), default=0)

    def note(self, txid: bytes) -> None:
        """That transaction came or changed. In a ledger transaction."""
        old = self._numbers.pop(txid, None)
        self.newest += 1
        self._numbers[txid] = self.newest
        if self._is_kept:
            if old is not None:
                self._ledger.execute("DELETE FROM changes WHERE number = ?", (old,))
            self._ledger.execute("INSERT INTO changes VALUES (?, ?)", (self.newest, txid))

    def after(self, number: int, count: int) -> list[tuple[int, bytes]]:
        """(number, txid) of the next ones, oldest first."""
        return self._ledger.execute(
            "SELECT number, txid FROM changes WHERE number > ? ORDER BY number LIMIT ?", (number, count)
        ).fetchall()

    @property
    def told(self) -> int | None:
        """The last one acknowledged; None where nobody was ever told."""
        found: int | None = self._ledger.fact(_TOLD)
        return found

    def acknowledge(self, number: int) -> None:
        """All up to that one are told. Raises `RpcError` (-20) where that can't be written."""
        with self._ledger.transaction():
            if not self._is_kept:
                rows = [(at, txid) for txid, at in self._numbers.items()]
                self._ledger.executemany("INSERT OR REPLACE INTO changes VALUES (?, ?)", rows)
            self._ledger.set_fact(_TOLD, number)
        self._is_kept = True
