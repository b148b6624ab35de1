"""The data directory, open: the kernel, the journal of what it hasn't written yet, and the copy of its coins.

Everything here blocks and belongs to the kernel's thread. What the blocks mean is the loop's business (``tracker.py``).
"""

import contextlib
import errno
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import plyvel
from btclib.exceptions import BTClibValueError
from btclib.hashes import hash256

from bitcoind_mp.node.kernel import Kernel
from bitcoind_mp.node.kernel_values import (
    Connected,
    Failed,
    Indexed,
    KernelError,
    KernelEvent,
    KernelOptions,
    NotABlock,
    Verdict,
)

from .blockfiles import BlockFiles
from .blockindex import read_block_index
from .coindb import CoinDatabase, copy_coins
from .contents import count_transactions
from .header import target_of
from .headers import HeaderTree
from .journal import Journal
from .params import ChainParams
from .room import has_room
from .tree import build_tree, without_collection
from .values import BlockDecodeError, ChainFailed, DiskFull, MarkFailed

log = logging.getLogger("bitcoind_mp.chain")

JOURNAL = "block-journal.dat"
COPIES = "coins-base"
_INDEX_COPY = "block-index"
_NO_PARENT = "prev-blk-not-found"
_FORMER = ("coins-base-*", "block-index-base")
"""Where copies were before they had a directory of their own."""


@dataclass(frozen=True)
class Stored:
    """A block that was stored, before anything else is told of it."""

    hash: bytes
    tx_count: int
    size: int


@dataclass(frozen=True)
class Rebased:
    """A newer copy of the coins, made at the tip that all events before this one lead to."""

    coins: CoinDatabase


StoreEvent = KernelEvent | Stored | Rebased


@dataclass(frozen=True)
class Opened:
    """What was found in the data directory. ``bytes_used`` by block and undo files."""

    tree: HeaderTree
    bytes_used: int
    coins: CoinDatabase
    files: BlockFiles


class Store:
    """One network's data directory.

    Args:
        directory: the network's directory (``<datadir>/regtest``), which exists and whose locks are held.
        emit: called on this thread with what happens, in order.
    """

    def __init__(
        self, params: ChainParams, directory: Path, emit: Callable[[StoreEvent], None], options: KernelOptions
    ) -> None:
        self._options = options
        self._params = params
        self._directory = directory
        self._emit = emit
        self._kernel: Kernel | None = None
        self._journal: Journal | None = None
        self._files: BlockFiles | None = None
        self._copies = 0
        self._unjournaled = False
        self._replayed = False
        self.failed = ""

    def open(self) -> Opened:
        """Read the index, copy the coins, open the kernel.

        Raises:
            KernelError: the kernel can't open it.
            IndexDamaged, JournalDamaged, OSError, plyvel.Error: neither can we.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        discard_copies(self._directory)
        (self._directory / COPIES).mkdir(mode=0o700, exist_ok=True)
        self._journal = Journal(self._directory / JOURNAL)
        self._replayed = not self._journal.size
        if self._options.wipe_index or self._options.wipe_coins:
            log.info("Rebuilding from the block files what was wiped")
            Kernel(self._params.name, self._directory, lambda event: None, self._options).close()
            self._options = KernelOptions(self._options.threads)
        coins = self._copy_coins()
        if coins.interrupted:
            coins.close()
            log.info("The last write of the coins was cut short: the kernel repairs it")
            Kernel(self._params.name, self._directory, lambda event: None).close()
            coins = self._copy_coins()
        with without_collection():
            index = read_block_index(self._directory, self._directory / COPIES / _INDEX_COPY)
            tree = build_tree(self._params, index, coins.best_block)
        files = self._files = BlockFiles(self._directory / "blocks", self._params.magic, index.end)
        self._kernel = Kernel(self._params.name, self._directory, self._on_event, self._options)
        return Opened(tree, index.bytes_used, coins, files)

    def replay(self, progress: Callable[[int], None]) -> int:
        """Give the kernel the journal's blocks again; how many there were. Harmless however often.

        They are in the order they came, and a header may have come long before its block: the kernel, which has
        forgotten it, is given a child after its parent.
        """
        count = 0
        early: dict[bytes, list[bytes]] = {}
        for written in self._open_journal.blocks():
            ready = [written]
            while ready:
                raw = ready.pop()
                hash = hash256(raw[:80])[::-1]
                if self._process(raw, hash).reason == _NO_PARENT:
                    early.setdefault(raw[35:3:-1], []).append(raw)
                else:
                    ready += early.pop(hash, [])
            count += 1
            progress(count)
        self._replayed = True
        return count

    def submit(self, raw: bytes, hash: bytes, *, journal: bool, durable: bool) -> Verdict:
        """Write a block to the journal, then give it to the kernel.

        Raises:
            BlockDecodeError, DiskFull, ChainFailed: and nothing has changed.
        """
        self._require_room(len(raw))
        before = None
        if journal and _has_work(hash, raw):
            try:
                before = self._open_journal.append(raw, durable=durable)
            except OSError as error:
                raise DiskFull(errno.ENOSPC, f"The block could not be written down: {error.strerror}") from error
        try:
            verdict = self._process(raw, hash)
        except NotABlock:
            if before is not None:
                self._open_journal.undo(before)
            raise BlockDecodeError from None
        if before is not None and not (verdict.new and verdict.ok):
            self._open_journal.undo(before)
        if verdict.new:
            self._unjournaled = self._unjournaled or before is None
            if durable and self._unjournaled:
                self.reopen()
        return verdict

    def submit_headers(self, headers: list[tuple[bytes, bytes]]) -> tuple[int, Verdict | None]:
        """Give the kernel headers; how many it took, and its verdict on the one it refused."""
        taken: list[tuple[bytes, bytes]] = []
        refused = None
        for hash, header in headers:
            self._require_well()
            verdict = self._open_kernel.process_header(header, hash)
            if not verdict.ok:
                refused = verdict
                break
            taken.append((hash, header))
        if taken:
            self._emit(Indexed(taken))
        return len(taken), refused

    def mark(self, act: Callable[[Kernel], None]) -> None:
        """Have the kernel change what it holds against a block, and write that to disk: the journal has no words for
        it.

        Raises:
            DiskFull, ChainFailed, MarkFailed
        """
        self._require_room(0)
        try:
            act(self._open_kernel)
        except KernelError as error:
            self._require_well()
            raise MarkFailed(str(error)) from error
        self._require_well()
        self.reopen()

    @property
    def kernel(self) -> Kernel:
        """For reading."""
        return self._open_kernel

    @property
    def journal_size(self) -> int:
        """Bytes of blocks that only the journal keeps from being forgotten."""
        return self._journal.size if self._journal is not None else 0

    @property
    def unjournaled(self) -> bool:
        """Whether there are blocks that neither the kernel has written nor the journal holds."""
        return self._unjournaled

    def reopen(self) -> None:
        """Have the kernel write everything to disk, empty the journal, and copy the coins anew.

        Raises:
            DiskFull: and nothing has changed.
            ChainFailed: the kernel has given up.
        """
        self._require_room(0)
        try:
            self._flush()
            self._require_well()
            coins = self._copy_coins()
            self._kernel = Kernel(self._params.name, self._directory, self._on_event, self._options)
        except (KernelError, OSError, plyvel.Error) as error:
            self.failed = str(error)
            self._emit(Failed(self.failed))
            raise ChainFailed(self.failed) from error
        self._emit(Rebased(coins))

    def close(self) -> None:
        """Write everything to disk and let go. The journal is emptied if that went well; and not by a process that was
        told to stop before the kernel had the blocks in it."""
        if self._kernel is not None:
            self._flush()
        if self._journal is not None:
            self._journal.close()
        with contextlib.suppress(OSError):  # it isn't empty, or a confined process may not
            (self._directory / COPIES).rmdir()

    def interrupt(self) -> None:
        """Cut a long call of the kernel short, from any thread; `close` must follow."""
        if self._kernel is not None:
            self._kernel.interrupt()

    def _flush(self) -> None:
        kernel, self._kernel = self._open_kernel, None
        kernel.close()
        if not self.failed and self._replayed:
            self._open_journal.clear()
            self._unjournaled = False

    def _process(self, raw: bytes, hash: bytes) -> Verdict:
        self._require_well()
        verdict = self._open_kernel.process_block(raw, hash)
        if verdict.indexed:
            self._emit(Indexed([(hash, raw[:80])]))
        if verdict.new:
            self._emit(Stored(hash, count_transactions(raw), len(raw)))
        self._require_well()
        return verdict

    def _on_event(self, event: KernelEvent) -> None:
        if isinstance(event, Failed):
            self.failed = event.text
        if isinstance(event, Connected) and event.raw is not None and self._size(event.hash) != len(event.raw):
            event = replace(event, raw=None)  # something followed the block, which the kernel passed over
        self._emit(event)

    def _size(self, hash: bytes) -> int | None:
        return self._files.size(hash) if self._files is not None else None

    def _copy_coins(self) -> CoinDatabase:
        self._copies += 1
        return copy_coins(self._directory, self._directory / COPIES / str(self._copies))

    def _require_well(self) -> None:
        if self.failed:
            raise ChainFailed(self.failed)

    def _require_room(self, size: int) -> None:
        """Refuse a block before the kernel, which couldn't go on afterwards, runs out of room for it."""
        self._require_well()
        if not has_room(self._directory, 2 * size):
            raise DiskFull(errno.ENOSPC, f"Disk space is too low for another block, in {self._directory}")

    @property
    def _open_kernel(self) -> Kernel:
        if self._kernel is None:
            raise ChainFailed(self.failed or "the chain is closed")
        return self._kernel

    @property
    def _open_journal(self) -> Journal:
        assert self._journal is not None
        return self._journal


def discard_copies(directory: Path) -> None:
    """Remove what a process that was killed left behind."""
    for pattern in (f"{COPIES}/*", *_FORMER):
        for leftover in directory.glob(pattern):
            CoinDatabase.discard(leftover)


def _has_work(hash: bytes, raw: bytes) -> bool:
    """Whether the block's hash meets the target it states. One that doesn't isn't worth a write."""
    try:
        return int.from_bytes(hash) <= target_of(int.from_bytes(raw[72:76], "little"))
    except BTClibValueError:
        return False
