"""The ``blk?????.dat`` files: raw blocks read straight from disk, on any thread.

The kernel hands out blocks only by a slow detour. Where a block is, the index said at start; what was written since
is found by following the files from where they ended then. A process that was killed leaves records beyond that end,
which the kernel, having forgotten them, overwrites: so every record is checked when it is read.
"""

import threading
from collections import OrderedDict
from pathlib import Path

from btclib.hashes import hash256
from btclib.obfuscation import KEY_SIZE, obfuscate

Position = tuple[int, int]
_HEADER = 80
_PREFIX = 8
"""Four bytes of magic, four of length."""
_MAX_BLOCK = 4_000_000
_REMEMBERED = 10_000
"""Of the blocks written since the start, where so many of the newest are; each block's node knows it from then on."""


class BlockFiles:
    """Reads blocks of the directory ``blocks/``.

    Args:
        directory: ``blocks/``.
        magic: the network's.
        end: the file and offset after the newest block that the index knew of.
    """

    def __init__(self, directory: Path, magic: bytes, end: Position) -> None:
        self._directory = directory
        self._magic = magic
        self._start = end
        self._ends: dict[int, int] = {end[0]: end[1]}
        self._found: OrderedDict[bytes, tuple[Position, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._key: bytes | None = None

    def read(self, hash: bytes, position: Position | None) -> bytes | None:
        """The raw block of that hash (display order); ``position`` is what the index said, None where it didn't.

        None if it isn't in the files.
        """
        if position is not None:
            raw = self._read_at(hash, position)
            if raw is not None:
                return raw
        position = self.locate(hash)
        return self._read_at(hash, position) if position is not None else None

    def locate(self, hash: bytes) -> Position | None:
        """Where a block written since the start is."""
        with self._lock:
            for attempt in (self._follow, self._follow_anew):
                found = self._found.get(hash)
                if found is not None and self._is_there(hash, found[0]):
                    return found[0]
                attempt()
            found = self._found.get(hash)
            return found[0] if found is not None else None

    def size(self, hash: bytes) -> int | None:
        """The size of a block written since the start, as it was stored; None if it isn't there."""
        if self.locate(hash) is None:
            return None
        with self._lock:
            found = self._found.get(hash)
            return found[1] if found is not None else None

    def read_range(self, hash: bytes, position: Position | None, offset: int, size: int) -> bytes | None:
        """``size`` bytes of the block from ``offset`` on, without reading all of it."""
        if position is None or not self._is_there(hash, position):
            position = self.locate(hash)
        return self._bytes(position[0], position[1] + offset, size) if position is not None else None

    def _read_at(self, hash: bytes, position: Position) -> bytes | None:
        number, offset = position
        prefix = self._bytes(number, offset - _PREFIX, _PREFIX)
        size = int.from_bytes(prefix[4:], "little")
        if prefix[:4] != self._magic or not _HEADER <= size <= _MAX_BLOCK:
            return None
        raw = self._bytes(number, offset, size)
        return raw if len(raw) == size and hash256(raw[:_HEADER])[::-1] == hash else None

    def _is_there(self, hash: bytes, position: Position) -> bool:
        return hash256(self._bytes(position[0], position[1], _HEADER))[::-1] == hash

    def _follow(self) -> None:
        """Note every record written since the last look."""
        for number in sorted(self._ends):
            self._follow_file(number)
        while self._path(max(self._ends) + 1).exists():
            self._ends[max(self._ends) + 1] = 0
            self._follow_file(max(self._ends))

    def _follow_anew(self) -> None:
        """The same from the start: what was noted has been overwritten since."""
        self._found.clear()
        self._ends = {self._start[0]: self._start[1]}
        self._follow()

    def _follow_file(self, number: int) -> None:
        at = self._ends[number]
        while True:
            head = self._bytes(number, at, _PREFIX + _HEADER)
            size = int.from_bytes(head[4:_PREFIX], "little")
            if len(head) < _PREFIX + _HEADER or head[:4] != self._magic or not _HEADER <= size <= _MAX_BLOCK:
                break
            hash = hash256(head[_PREFIX:])[::-1]
            self._found[hash] = ((number, at + _PREFIX), size)
            self._found.move_to_end(hash)
            if len(self._found) > _REMEMBERED:
                self._found.popitem(last=False)
            at += _PREFIX + size
        self._ends[number] = at

    def _path(self, number: int) -> Path:
        return self._directory / f"blk{number:05d}.dat"

    def _bytes(self, number: int, offset: int, size: int) -> bytes:
        """Plain bytes of a file, fewer at its end."""
        try:
            with self._path(number).open("rb", buffering=0) as file:
                file.seek(offset)
                data = file.read(size)
        except FileNotFoundError:
            return b""
        key = self._obfuscation_key()
        return obfuscate(data, key, offset) if any(key) else data

    def _obfuscation_key(self) -> bytes:
        if self._key is None:
            try:
                self._key = (self._directory / "xor.dat").read_bytes()[:KEY_SIZE]
            except FileNotFoundError:
                return bytes(KEY_SIZE)
        return self._key
