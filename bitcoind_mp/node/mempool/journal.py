"""What the mempool has accepted since ``mempool.dat`` was last written, so that a kill loses nothing.

The journal is a series of numbered files, ``mempool/journal-1`` and on. The first record after a start or a save
begins a new one; when ``mempool.dat`` has been written, the files before it go. A file is a mark of eight bytes and
then records: length, CRC-32 (both four bytes, little endian), and a kind with its fields. A record cut short is the end
of its file.
"""

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from zlib import crc32

from bitcoind_mp.config.state import sync_directory

_MARK = b"BMPMEMP1"
_RECORD = Struct("<II")
_TRANSACTION = Struct("<cqB")
_DELTA = Struct("<c32sq")
_MAX_RECORD = 5_000_000


@dataclass(frozen=True)
class AcceptedRecord:
    """A transaction came in: its bytes with witnesses, when (node's clock), whether peers are still to be told."""

    raw: bytes
    time: int
    unbroadcast: bool

    def pack(self) -> bytes:
        return _TRANSACTION.pack(b"T", self.time, self.unbroadcast) + self.raw


@dataclass(frozen=True)
class DeltaRecord:
    """``prioritisetransaction``: what it has added to that transaction in all."""

    txid: bytes
    total: int

    def pack(self) -> bytes:
        return _DELTA.pack(b"D", self.txid, self.total)


Record = AcceptedRecord | DeltaRecord


class Journal:
    """The journal in ``directory``, made if absent. `append` writes at once, `sync` waits for the disk.

    Raises:
        OSError: no room, no permission.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, exist_ok=True)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="mempool-journal")
        self._syncing: asyncio.Task[None] | None = None
        self._next_sync: asyncio.Task[None] | None = None
        self._file = -1
        self._unsynced: list[int] = []
        self._number = max((_number(path) for path in self._files()), default=0)
        self.appended = 0
        """Bytes since the last `rotate`."""
        self.syncs = 0
        """How often the disk was waited for."""

    def records(self) -> Iterator[Record]:
        """Everything in it, oldest first."""
        for path in self._files():
            yield from _records(path.read_bytes())

    def append(self, *records: Record) -> None:
        """Write records down together; they survive a kill of the process when this returns.

        Raises:
            OSError: no room; the journal is as it was.
        """
        data = b"".join(_RECORD.pack(len(body), crc32(body)) + body for body in (each.pack() for each in records))
        if self._file < 0:
            self._begin()
        try:
            written = 0
            while written < len(data):
                written += os.pwrite(self._file, data[written:], self._end + written)
        except OSError:
            os.ftruncate(self._file, self._end)
            raise
        self._end += len(data)
        self.appended += len(data)

    async def sync(self) -> None:
        """Wait until what was appended before this call survives a power cut. Callers that wait together share a sync.

        Raises:
            OSError: the disk failed.
        """
        if self._next_sync is None:
            self._next_sync = asyncio.create_task(self._sync_after(self._syncing))
        await asyncio.shield(self._next_sync)

    def rotate(self) -> list[Path]:
        """Begin a new file; the ones before it, for `drop`."""
        before = self._files()
        if self._file >= 0:
            # whoever waits for what was appended to it, waits still
            self._unsynced.append(self._file)
            self._file = -1
        self.appended = 0
        return before

    def drop(self, files: list[Path]) -> None:
        """Forget these, that the last `rotate` gave: ``mempool.dat`` has it all, on the disk itself."""
        for file in self._unsynced:
            os.close(file)
        self._unsynced = []
        for path in files:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Harmless twice."""
        self._writer.shutdown(wait=True)
        for file in (*self._unsynced, self._file):
            if file >= 0:
                os.close(file)
        self._unsynced, self._file = [], -1

    async def _sync_after(self, running: asyncio.Task[None] | None) -> None:
        """One fsync, begun when the one under way is over, for all that were appended by then."""
        if running is not None:
            await asyncio.wait([running])
        self._syncing, self._next_sync = self._next_sync, None
        self.syncs += 1
        files, self._unsynced = self._unsynced, []
        if self._file >= 0:
            files.append(os.dup(self._file))
        await asyncio.get_running_loop().run_in_executor(self._writer, _sync_and_close, files)

    def _begin(self) -> None:
        path = self._directory / f"journal-{self._number + 1}"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(file, _MARK, 0)
        except OSError:
            os.close(file)
            path.unlink()
            raise
        self._number += 1
        self._file, self._end = file, len(_MARK)
        sync_directory(self._directory)

    def _files(self) -> list[Path]:
        return sorted(self._directory.glob("journal-[0-9]*"), key=_number)


def _number(path: Path) -> int:
    digits = path.name.removeprefix("journal-")
    return int(digits) if digits.isdigit() else 0


def _records(data: bytes) -> Iterator[Record]:
    at = len(_MARK)
    if data[:at] != _MARK:
        return
    while at + _RECORD.size <= len(data):
        length, checksum = _RECORD.unpack_from(data, at)
        body = data[at + _RECORD.size : at + _RECORD.size + length]
        if not 0 < length <= _MAX_RECORD or len(body) != length or crc32(body) != checksum:
            return
        if body[:1] == b"T":
            _, time, unbroadcast = _TRANSACTION.unpack_from(body)
            yield AcceptedRecord(body[_TRANSACTION.size :], time, bool(unbroadcast))
        elif body[:1] == b"D":
            _, txid, total = _DELTA.unpack(body)
            yield DeltaRecord(txid, total)
        at += _RECORD.size + length


def _sync_and_close(files: list[int]) -> None:
    try:
        for file in files:
            os.fdatasync(file)
    finally:
        for file in files:
            os.close(file)
