"""What the signer does goes on record before it is done: in the audit log, and with what changes in the store.

What doesn't belong: what is recorded (``keysets.py``, ``vault.py``).
"""

import sqlite3
from collections.abc import Callable
from typing import Any

from bitcoind_mp.interfaces.errors import RpcCode, RpcError

from .audit import AuditDamaged, AuditLog, Head
from .clock import Reading
from .store import Store


class Record:
    """The log and the store as one. ``now`` reads the clocks."""

    def __init__(self, store: Store, log: AuditLog, now: Callable[[], Reading]) -> None:
        self.store = store
        self._log = log
        self._now = now

    def damage(self) -> str:
        """Why nothing is done, since nothing can go on record; empty where something can."""
        return self._log.damage() or self.store.damage()

    def counted(self) -> int:
        """The time that the daily limit counts by, in seconds since the store was made."""
        return self.store.now(self._now())

    def put(self, event: str, facts: dict[str, Any], change: Callable[[], None] = lambda: None) -> None:
        """Log an event and make the change that goes with it, both on disk when this returns. Raises `RpcError` -20."""
        try:
            head = self._log.append(event, **facts)
            try:
                self._keep(head, change)
            except sqlite3.Error:
                self._log.append("failed", of=head.count)
                raise
        except (OSError, sqlite3.Error, AuditDamaged) as error:
            why = getattr(error, "strerror", None) or str(error)
            do = "put the log back as it was" if isinstance(error, AuditDamaged) else "see to its disk"
            raise RpcError(
                RpcCode.DATABASE_ERROR,
                f"The signer can't keep its record ({why}), and does nothing that isn't on record: {do} and try again.",
            ) from error

    def _keep(self, head: Head, change: Callable[[], None]) -> None:
        reading = self._now()
        counted = self.store.now(reading)
        with self.store.transaction():
            change()
            self.store.set_audit_head(head)
            self.store.keep_clock(counted, reading)
