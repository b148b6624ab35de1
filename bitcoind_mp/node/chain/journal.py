"""The blocks accepted since the kernel last wrote everything to disk.

The kernel keeps the newest blocks' effects, and its index of them, in memory for up to an hour: after a kill it has
forgotten them. So each block is written here *before* the kernel gets it, and all are given to the kernel again at
the next start. A block that it remembers is harmless, and so is one that it refuses.

The file is a mark of eight bytes and then records: length, CRC-32 (both four bytes, little endian), the raw block.
A record cut short by a crash or a full disk is the end.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from zlib import crc32

from bitcoind_mp.config.state import sync_directory

_MARK = b"BMPBLKS1"
_RECORD = Struct("<II")
_MAX_BLOCK = 4_000_000


class JournalDamaged(RuntimeError):
    """The file isn't a journal of ours."""


class Journal:
    """The journal at ``path``, made if absent. Belongs to the kernel's thread.

    Raises:
        JournalDamaged: the file is something else, or from a newer version.
        OSError: no room, no permission.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._file).st_size
        if self._size < len(_MARK):
            self._start_anew()
        elif os.pread(self._file, len(_MARK), 0) != _MARK:
            os.close(self._file)
            raise JournalDamaged(f"{path} is not a block journal that this version can read")

    @property
    def size(self) -> int:
        """Bytes of records."""
        return self._size - len(_MARK)

    def blocks(self) -> Iterator[bytes]:
        """The raw blocks, oldest first. What follows the last whole record is cut off."""
        at = len(_MARK)
        while True:
            head = os.pread(self._file, _RECORD.size, at)
            if len(head) < _RECORD.size:
                break
            length, checksum = _RECORD.unpack(head)
            raw = os.pread(self._file, length, at + _RECORD.size) if length <= _MAX_BLOCK else b""
            if len(raw) != length or not raw or crc32(raw) != checksum:
                break
            yield raw
            at += _RECORD.size + length
        if at != self._size:
            self._cut(at)

    def append(self, raw: bytes, *, durable: bool) -> int:
        """Write a block down; with ``durable`` it is on the disk itself when this returns.

        Returns what `undo` takes. Raises OSError, and leaves the journal as it was, where there is no room.
        """
        before = self._size
        record = _RECORD.pack(len(raw), crc32(raw)) + raw
        try:
            written = os.pwrite(self._file, record, before)
            if written < len(record):
                written += os.pwrite(self._file, record[written:], before + written)
            if written < len(record):
                raise OSError(28, "No space left on device", str(self._path))
            if durable:
                os.fdatasync(self._file)
        except OSError:
            self._cut(before)
            raise
        self._size = before + len(record)
        return before

    def undo(self, before: int) -> None:
        """Take the last block out again: the kernel refused it."""
        self._cut(before)

    def clear(self) -> None:
        """Forget all: the kernel has written everything to disk."""
        self._cut(len(_MARK))
        os.fdatasync(self._file)

    def close(self) -> None:
        """Harmless twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _start_anew(self) -> None:
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, _MARK, 0)
        os.fsync(self._file)
        self._size = len(_MARK)
        sync_directory(self._path.parent)

    def _cut(self, size: int) -> None:
        os.ftruncate(self._file, size)
        self._size = size
