"""Bytes read as Core reads them, and its words for those that can't be."""

from collections.abc import Callable
from typing import Any

import pytest

from bitcoind_mp.render.stream import Stream, StreamFault


def test_values_are_read_one_after_the_other() -> None:
    stream = Stream(bytes.fromhex("02abcd" + "fdfd00" + "03" + "02beef"))
    assert stream.vector() == b"\xab\xcd"
    assert stream.compact_size() == 253
    assert (stream.at, stream.left) == (6, 4)
    assert stream.sized(Stream.vector) == b"\xbe\xef"
    assert not stream.left


@pytest.mark.parametrize(
    "raw, read, fault",
    [
        ("", lambda s: s.read(1), "SpanReader::read(): end of data"),
        ("03abcd", Stream.vector, "SpanReader::read(): end of data"),
        ("fdfc00", Stream.compact_size, "non-canonical ReadCompactSize()"),
        ("feffff0000", Stream.compact_size, "non-canonical ReadCompactSize()"),
        ("ffffffffff00000000", Stream.compact_size, "non-canonical ReadCompactSize()"),
        ("fe01000002", Stream.compact_size, "ReadCompactSize(): size too large"),
        ("0402beef", lambda s: s.sized(Stream.vector), "Size of value was not the stated size"),
        ("02000000", lambda s: s.transaction(witness=True), "SpanReader::read(): end of data"),
    ],
)
def test_a_fault_has_cores_words(raw: str, read: Callable[[Stream], Any], fault: str) -> None:
    with pytest.raises(StreamFault) as caught:
        read(Stream(bytes.fromhex(raw)))
    assert str(caught.value) == fault


def test_the_largest_size_is_read() -> None:
    assert Stream(bytes.fromhex("fe00000002")).compact_size() == 0x02000000
