"""Finding what concerns a wallet in a raw block or transaction, without parsing all of it. Pure.

A walk over the serialised bytes by offsets (the format is ``src/primitives/transaction.h``'s): each spent outpoint and
each output script is looked up in a set or dictionary, and only a transaction with a hit is cut out.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass

_HEADER_SIZE = 80
_OUTPOINT_SIZE = 36


@dataclass(frozen=True, slots=True)
class Found:
    """A transaction that concerns us: its place in the block and its bytes."""

    position: int
    raw: bytes


def wire_outpoint(txid: bytes, n: int) -> bytes:
    """An outpoint as inputs spell it: the txid (given in the order it is printed) reversed, and the number."""
    return txid[::-1] + n.to_bytes(4, "little")


def scan_block(raw: bytes, scripts: Container[bytes], outpoints: Container[bytes]) -> Iterator[Found]:
    """The transactions of a serialised block that pay one of ``scripts`` or spend one of ``outpoints`` (wire form).

    Lazy: a script or outpoint added while the caller works on one transaction is found in those after it.
    """
    count, at = _compact_size(raw, _HEADER_SIZE)
    for position in range(count):
        end, hit = _walk(raw, at, scripts, outpoints)
        if hit:
            yield Found(position, raw[at:end])
        at = end


def concerns(raw: bytes, scripts: Container[bytes], outpoints: Container[bytes]) -> bool:
    """Whether one serialised transaction pays or spends any of these."""
    return _walk(raw, 0, scripts, outpoints)[1]


def _compact_size(raw: bytes, at: int) -> tuple[int, int]:
    first = raw[at]
    if first < 0xFD:
        return first, at + 1
    size = 1 << (first - 0xFC)
    return int.from_bytes(raw[at + 1 : at + 1 + size], "little"), at + 1 + size


def _walk(raw: bytes, at: int, scripts: Container[bytes], outpoints: Container[bytes]) -> tuple[int, bool]:
    """Where the transaction at ``at`` ends, and whether it has a hit. Inlined sizes: this is the hot loop."""
    hit = False
    at += 4
    witness = raw[at] == 0 and raw[at + 1] != 0
    if witness:
        at += 2
    inputs, at = _compact_size(raw, at)
    for _ in range(inputs):
        if raw[at : at + _OUTPOINT_SIZE] in outpoints:
            hit = True
        at += _OUTPOINT_SIZE
        size = raw[at]
        if size < 0xFD:
            at += size + 5
        else:
            size, at = _compact_size(raw, at)
            at += size + 4
    outputs, at = _compact_size(raw, at)
    for _ in range(outputs):
        at += 8
        size = raw[at]
        if size < 0xFD:
            at += 1
        else:
            size, at = _compact_size(raw, at)
        end = at + size
        if raw[at:end] in scripts:
            hit = True
        at = end
    if witness:
        for _ in range(inputs):
            items, at = _compact_size(raw, at)
            for _ in range(items):
                size = raw[at]
                if size < 0xFD:
                    at += size + 1
                else:
                    size, at = _compact_size(raw, at)
                    at += size
    return at + 4, hit
