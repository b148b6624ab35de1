"""The mempool over restarts: the journal written as things happen, and ``mempool.dat`` at a save.

What belongs here: what is written when, and reading it back. What doesn't: the two formats (``journal.py``,
``dump.py``).
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from btclib.exceptions import BTClibException
from btclib.obfuscation import KEY_SIZE
from btclib.tx import Tx

from .dump import Dump, DumpDamaged, read_dump, write_dump
from .journal import AcceptedRecord, DeltaRecord, Journal
from .plan import Plan
from .rejected import Rejected
from .rules import Incoming
from .store import Store

log = logging.getLogger(__name__)

#: Bytes of journal after which `mempool.dat` is written anew.
_JOURNAL_LIMIT = 32_000_000


@dataclass(frozen=True)
class _Saved:
    """A transaction from disk."""

    tx: Tx
    time: int
    unbroadcast: bool


class Persistence:
    """Disk for one mempool. ``directory`` is the network's; the dump is in it, the journal below it."""

    def __init__(self, directory: Path, store: Store) -> None:
        self.path = directory / "mempool.dat"
        self._store = store
        self._journal = Journal(directory / "mempool")
        self._saving = asyncio.Lock()

    @property
    def overgrown(self) -> bool:
        """Whether it is time to save."""
        return self._journal.appended > _JOURNAL_LIMIT

    def record(self, plan: Plan) -> None:
        """Write down what is about to come in.

        Raises:
            OSError: no room.
        """
        incoming = [candidate.incoming for candidate in plan.candidates]
        records = [AcceptedRecord(each.raw, each.time, each.unbroadcast) for each in incoming if not each.on_disk]
        if records:
            self._journal.append(*records)

    def record_delta(self, txid: bytes, total: int) -> None:
        """Write down a fee delta. Raises OSError."""
        self._journal.append(DeltaRecord(txid, total))

    async def sync(self) -> None:
        """Wait for the disk. Raises OSError."""
        await self._journal.sync()

    async def save(self) -> Path:
        """Write the dump, and let go of the journal before it.

        Raises:
            OSError: no room; nothing is lost.
        """
        async with self._saving:
            before = self._journal.rotate()
            entries = [
                (entry.raw, entry.time, self._store.deltas.get(entry.txid, 0))
                for chunk in self._store.clusters.chunks()
                for entry in chunk.entries
            ]
            deltas = {txid: delta for txid, delta in self._store.deltas.items() if txid not in self._store.entries}
            unbroadcast = list(self._store.unbroadcast)
            await asyncio.to_thread(write_dump, self.path, entries, deltas, unbroadcast, os.urandom(KEY_SIZE))
            self._journal.drop(before)
        return self.path

    async def load(self, accept: Callable[[Incoming], Awaitable[None]], oldest: int) -> bool:
        """Give what is on disk to ``accept``, parents first, but what came before ``oldest``; whether any was in the
        journal. Those it refuses are left out."""
        dump, records = await asyncio.to_thread(self._read)
        for txid, delta in dump.deltas.items():
            self._store.set_delta(txid, delta)
        for entry in dump.entries:
            if entry.delta:
                self._store.set_delta(entry.tx.id, entry.delta)
        for record in records:
            if isinstance(record, DeltaRecord):
                self._store.set_delta(record.txid, record.total)
        unbroadcast = set(dump.unbroadcast)
        saved = [_Saved(entry.tx, entry.time, entry.tx.id in unbroadcast) for entry in dump.entries]
        await self._bring_in([*saved, *_transactions(records)], accept, oldest)
        return bool(records)

    async def _bring_in(
        self, saved: Sequence[_Saved], accept: Callable[[Incoming], Awaitable[None]], oldest: int
    ) -> None:
        tried = failed = 0
        for each in saved:
            if each.time > oldest:
                tried += 1
                incoming = Incoming.of(each.tx, each.time, unbroadcast=each.unbroadcast, on_disk=True)
                try:
                    await accept(incoming)
                except Rejected as rejected:
                    failed += incoming.txid not in self._store.entries
                    log.debug("%s from disk is not taken back: %s", incoming.txid.hex(), rejected)
        if saved:
            log.info("Mempool from disk: %d transactions, %d refused, %d expired", tried, failed, len(saved) - tried)

    def _read(self) -> tuple[Dump, list[AcceptedRecord | DeltaRecord]]:
        dump = Dump()
        if self.path.exists():
            try:
                dump = read_dump(self.path)
            except (DumpDamaged, OSError) as error:
                log.warning("The mempool can't be read: %s; going on without it", error)
        return dump, list(self._journal.records())

    def close(self) -> None:
        """Harmless twice."""
        self._journal.close()


def _transactions(records: Sequence[AcceptedRecord | DeltaRecord]) -> Iterator[_Saved]:
    for record in records:
        if isinstance(record, AcceptedRecord):
            try:
                yield _Saved(Tx.parse(record.raw, check_validity=False), record.time, record.unbroadcast)
            except BTClibException as error:
                log.warning("a transaction in the mempool journal cannot be read: %s", error)
