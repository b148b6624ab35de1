"""Bytes read as Core's ``SpanReader`` and its serialisation read them, refused in its words (``src/serialize.h``)."""

from collections.abc import Callable
from io import BytesIO
from typing import TypeVar

from btclib.exceptions import BTClibValueError
from btclib.tx.tx import Tx

T = TypeVar("T")
_MAX_SIZE = 0x02000000


class StreamFault(Exception):
    """What is wrong, without the suffix that the C++ library gives it: `IOSTREAM` after it makes Core's message."""


IOSTREAM = ": iostream error"


class Stream:
    """The bytes, from the first to the last."""

    def __init__(self, raw: bytes) -> None:
        self._stream = BytesIO(raw)
        self._size = len(raw)

    @property
    def at(self) -> int:
        """How many bytes have been read."""
        return self._stream.tell()

    @property
    def left(self) -> int:
        """How many have not."""
        return self._size - self._stream.tell()

    def read(self, count: int) -> bytes:
        if count > self.left:
            raise StreamFault("SpanReader::read(): end of data")
        return self._stream.read(count)

    def compact_size(self) -> int:
        first = self.read(1)[0]
        width = {253: 2, 254: 4, 255: 8}.get(first, 0)
        size = int.from_bytes(self.read(width), "little") if width else first
        if width and size < {2: 253, 4: 0x10000, 8: 0x100000000}[width]:
            raise StreamFault("non-canonical ReadCompactSize()")
        if size > _MAX_SIZE:
            raise StreamFault("ReadCompactSize(): size too large")
        return size

    def vector(self) -> bytes:
        """Bytes whose number is stated before them."""
        return self.read(self.compact_size())

    def sized(self, parse: Callable[["Stream"], T]) -> T:
        """A value whose length is stated before it (``UnserializeFromVector``)."""
        size = self.compact_size()
        before = self.left
        value = parse(self)
        if before - self.left != size:
            raise StreamFault("Size of value was not the stated size")
        return value

    def transaction(self, *, witness: bool) -> Tx:
        parse = Tx.parse if witness else Tx.parse_without_witness
        try:
            return parse(self._stream, check_validity=False)
        except BTClibValueError as error:
            words = str(error)
            if "superfluous" in words:
                raise StreamFault("Superfluous witness record") from error
            if "var_int too big" in words:
                raise StreamFault("ReadCompactSize(): size too large") from error
            if "non-canonical var_int" in words:
                raise StreamFault("non-canonical ReadCompactSize()") from error
            if "unknown transaction optional data" in words:
                raise StreamFault("Unknown transaction optional data") from error
            raise StreamFault("SpanReader::read(): end of data") from error
