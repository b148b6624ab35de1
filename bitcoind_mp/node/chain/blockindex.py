"""The kernel's block index (``blocks/index``), read from a copy before the kernel opens it.

The kernel itself can tell neither the forks it knows nor where a block is in the files.
Formats: ``CDiskBlockIndex`` (Core's ``src/chain.h``), ``CBlockFileInfo`` and ``BlockTreeDB`` (``src/kernel``,
``src/node/blockstorage.cpp``).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import plyvel

from .snapshot import remove, snapshot

_BLOCK = b"b"
_FILE = b"f"
_LAST_FILE = b"l"
_HAVE_DATA = 8
_HAVE_UNDO = 16
_FAILED = 32 | 64
_VALIDITY = 7
_HEADER_SIZE = 80


class IndexedBlock(NamedTuple):
    """One header of the index. ``position``: file number and offset of the raw block; None without the block."""

    hash: bytes
    header: bytes
    height: int
    validity: int
    failed: bool
    tx_count: int
    position: tuple[int, int] | None
    has_undo: bool


@dataclass(frozen=True)
class BlockIndex:
    """All of it, lowest first. ``end``: the file that was being written, and how far; ``bytes_used`` in all files."""

    blocks: list[IndexedBlock]
    end: tuple[int, int]
    bytes_used: int


def read_block_index(directory: Path, scratch: Path) -> BlockIndex:
    """Read ``blocks/index`` of the data directory through a copy in ``scratch``, which is removed again."""
    if not snapshot(directory / "blocks" / "index", scratch):
        return BlockIndex([], (0, 0), 0)
    try:
        database = plyvel.DB(str(scratch), bloom_filter_bits=10, max_open_files=64)
        try:
            blocks = [_parse(key[:0:-1], value) for key, value in database.iterator(prefix=_BLOCK)]
            last = database.get(_LAST_FILE)
            number = int.from_bytes(last, "little") if last else 0
            sizes = [_file_sizes(value) for _, value in database.iterator(prefix=_FILE)]
            info = database.get(_FILE + number.to_bytes(4, "little"))
        finally:
            database.close()
    finally:
        remove(scratch)
    blocks.sort(key=lambda block: block.height)
    return BlockIndex(blocks, (number, _file_sizes(info)[0] if info else 0), sum(map(sum, sizes)))


def _parse(hash: bytes, value: bytes) -> IndexedBlock:
    _, at = _varint(value, 0)
    height, at = _varint(value, at)
    status, at = _varint(value, at)
    tx_count, at = _varint(value, at)
    number = offset = 0
    if status & (_HAVE_DATA | _HAVE_UNDO):
        number, at = _varint(value, at)
    if status & _HAVE_DATA:
        offset, at = _varint(value, at)
    if status & _HAVE_UNDO:
        _, at = _varint(value, at)
    return IndexedBlock(
        hash,
        value[at : at + _HEADER_SIZE],
        height,
        status & _VALIDITY,
        status & _FAILED != 0,
        tx_count,
        (number, offset) if status & _HAVE_DATA else None,
        status & _HAVE_UNDO != 0,
    )


def _file_sizes(value: bytes) -> tuple[int, int]:
    """Bytes of blocks and bytes of undo data in a file."""
    _, at = _varint(value, 0)
    size, at = _varint(value, at)
    undo_size, at = _varint(value, at)
    return size, undo_size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Core's ``VARINT`` at ``at``, and where it ends: `btclib.compressor.parse_varint` without a stream, for there
    may be a million headers with five of them each."""
    number = 0
    while True:
        byte = data[at]
        at += 1
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            return number, at
        number += 1
