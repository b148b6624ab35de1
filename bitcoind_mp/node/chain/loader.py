"""``-loadblock=FILE``: blocks from a file of the operator's, read and given to the kernel behind a node that serves.

Two formats: that of the ``blk*.dat`` files (the network's magic, the length, the block; Core's ``contrib/linearize``
writes it), and one block in hexadecimal a line. Reading is the kernel thread's work: it can do nothing else while
there is no next block, and a file that doesn't come (a FIFO, a dead network mount) never holds up the loop.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .state import ChainState
from .values import BlockDecodeError, BlockOutcome

log = logging.getLogger("bitcoind_mp.chain")

_BATCH = 4 << 20
"""Bytes of blocks read at a time."""
_CHUNK = 1 << 16
_HEADER = 80
_MAX_BLOCK = 4_000_000
_ORPHANS = 256 << 20
"""Bytes of blocks kept that came before their parents."""
_REPORT_EVERY = 1000


@dataclass(frozen=True)
class Batch:
    """The next blocks of a file; whether there may be ``more``, and the ``error`` that ended it."""

    blocks: list[bytes]
    more: bool = True
    error: Exception | None = None


class BlockLoader:
    """Loads one file."""

    def __init__(self, chain: ChainState, path: Path) -> None:
        self._chain = chain
        self._path = path
        self._orphans: dict[bytes, list[bytes]] = {}
        self._orphan_bytes = 0
        self.loaded = 0
        """Blocks that were new."""

    async def run(self) -> None:
        """Load all of it. What is wrong with the file is logged, as Core does: the node goes on without."""
        log.info("Importing blocks file %s…", self._path)
        try:
            blocks = await self._chain.aside(
                "open a file of blocks", lambda: read_blocks(self._path, self._chain.params.magic)
            )
            batch = Batch([])
            while batch.more:
                batch = await self._chain.aside("read blocks to load", lambda: _take(blocks))
                for raw in batch.blocks:
                    await self._load(raw)
            if batch.error is not None:
                raise batch.error
        except (OSError, ValueError) as error:
            log.warning("Could not import all of the blocks file %s: %s", self._path, error)
        log.info("Loaded %d blocks from %s: height %d", self.loaded, self._path, self._chain.height)

    async def _load(self, raw: bytes) -> None:
        waiting = [raw]
        while waiting:
            raw = waiting.pop()
            outcome = await self._submit(raw)
            if outcome is None:
                continue
            if outcome.reason == "prev-blk-not-found":
                self._keep(raw)
                continue
            if outcome.new:
                self.loaded += 1
                if self.loaded % _REPORT_EVERY == 0:
                    log.info("Loaded %d blocks: height %d", self.loaded, self._chain.height)
            children = self._orphans.pop(outcome.hash, [])
            self._orphan_bytes -= sum(map(len, children))
            waiting.extend(children)

    async def _submit(self, raw: bytes) -> BlockOutcome | None:
        try:
            outcome = await self._chain.submit_block(raw, durable=False)
        except BlockDecodeError:
            log.warning("Something in the blocks file %s is no block", self._path)
            return None
        if not outcome.accepted and outcome.reason != "prev-blk-not-found":
            log.warning("Block %s of the blocks file is refused: %s", outcome.hash.hex(), outcome.reason)
        return outcome

    def _keep(self, raw: bytes) -> None:
        if self._orphan_bytes + len(raw) <= _ORPHANS:
            self._orphans.setdefault(raw[35:3:-1], []).append(raw)
            self._orphan_bytes += len(raw)


def read_blocks(path: Path, magic: bytes) -> Iterator[bytes]:
    """The raw blocks of a file in either format; ``magic`` is the network's. Raises OSError, ValueError."""
    return _read_all(path.open("rb"), magic)


def _read_all(file: BinaryIO, magic: bytes) -> Iterator[bytes]:
    with file:
        start = file.read(1)
        is_hex = start in b"0123456789abcdefABCDEF" and start != magic[:1]
        yield from _hex_blocks(start, file) if is_hex else _framed_blocks(start, file, magic)


def _hex_blocks(start: bytes, file: BinaryIO) -> Iterator[bytes]:
    for line in file:
        text = (start + line).strip()
        start = b""
        if text:
            yield bytes.fromhex(text.decode("ascii"))


def _framed_blocks(start: bytes, file: BinaryIO, magic: bytes) -> Iterator[bytes]:
    """Whatever stands between two blocks (a file's unused end is zeros) is passed over."""
    buffer = start
    while True:
        at = buffer.find(magic)
        if at < 0:
            more = file.read(_CHUNK)
            if not more:
                return
            buffer = buffer[1 - len(magic) :] + more
            continue
        buffer = _at_least(buffer[at + len(magic) :], 4, file)
        size = int.from_bytes(buffer[:4], "little")
        if _HEADER < size <= _MAX_BLOCK:
            buffer = _at_least(buffer[4:], size, file)
            if len(buffer) < size:
                raise ValueError("the last block is cut short")
            yield buffer[:size]
            buffer = buffer[size:]


def _at_least(buffer: bytes, size: int, file: BinaryIO) -> bytes:
    return buffer + file.read(size - len(buffer)) if len(buffer) < size else buffer


def _take(blocks: Iterator[bytes]) -> Batch:
    batch: list[bytes] = []
    size = 0
    try:
        for raw in blocks:
            batch.append(raw)
            size += len(raw)
            if size >= _BATCH:
                return Batch(batch)
    except (OSError, ValueError) as error:
        return Batch(batch, more=False, error=error)
    return Batch(batch, more=False)
