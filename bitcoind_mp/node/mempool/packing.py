"""How ``fee_estimates.dat`` holds its numbers: doubles, and vectors of them, as Bitcoin Core writes them.

What belongs here: bytes. What doesn't: what the numbers mean (``confirmations.py``, ``estimator.py``).
"""

from collections.abc import Sequence
from struct import Struct

from btclib import var_int

_DOUBLE = Struct("<d")
#: The longest target of any horizon, in blocks: one week. No count in the file is larger.
MAX_CONFIRMS = 1008


class EstimatesDamaged(ValueError):
    """Bytes that are no fee estimates."""


def pack_double(value: float) -> bytes:
    """Eight bytes."""
    return _DOUBLE.pack(value)


def pack_row(row: Sequence[float]) -> bytes:
    """A vector of doubles."""
    return var_int.serialize(len(row)) + b"".join(map(_DOUBLE.pack, row))


def pack_rows(rows: Sequence[Sequence[float]]) -> bytes:
    """A vector of vectors."""
    return var_int.serialize(len(rows)) + b"".join(map(pack_row, rows))


class Reader:
    """Walks over the bytes of a file. Every method raises `EstimatesDamaged` at the end of them."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        part = self._data[self._at : self._at + size]
        if len(part) != size:
            raise EstimatesDamaged("the file is cut short")
        self._at += size
        return part

    def unsigned(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def double(self) -> float:
        value: float = _DOUBLE.unpack(self.take(8))[0]
        return value

    def size(self) -> int:
        """A count; none here is above 1008."""
        first = self.take(1)[0]
        count = int.from_bytes(self.take(2), "little") if first == 0xFD else first
        if first > 0xFD or count > MAX_CONFIRMS:
            raise EstimatesDamaged("a count out of range")
        return count

    def row(self, size: int | None = None) -> list[float]:
        """A vector of doubles, of that size where it is known."""
        count = self.size()
        if size is not None and count != size:
            raise EstimatesDamaged("wrong number of buckets")
        return [self.double() for _ in range(count)]

    def rows(self, size: int) -> list[list[float]]:
        return [self.row(size) for _ in range(self.size())]
