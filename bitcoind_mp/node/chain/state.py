"""The chain as the rest of the node sees it: what is known at once, in the loop, and what takes the kernel's thread.

`ChainState` is the one object that mempool, peers, RPC, the block feed and the indexes share. Everything that
isn't ``async`` answers at once from memory and belongs to the loop's thread. Block hashes and txids are ``bytes``
in display order throughout.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from btclib.hashes import hash256
from btclib.tx.coin import Coin

from bitcoind_mp.node.kernel_values import Verdict

from .blockfiles import BlockFiles
from .clock import Clock
from .coins import CoinsUnavailable, CoinsView
from .coinstats import CoinStats, coin_stats
from .contents import BlockContents
from .header import BlockNode
from .headers import HeaderTree
from .params import ChainParams
from .progress import InitialDownload, verification_progress
from .store import Store
from .tracker import Tracker
from .trimming import Bounds, Trimmer
from .values import (
    BlockDecodeError,
    BlockOutcome,
    BlockUnavailable,
    ChainFailed,
    DiskFull,
    HeadersOutcome,
    Listener,
    Subscription,
)
from .worker import KernelThread

__all__ = [
    "LONG_CALLS",
    "BlockContents",
    "BlockDecodeError",
    "BlockNode",
    "BlockOutcome",
    "BlockUnavailable",
    "ChainFailed",
    "ChainState",
    "Clock",
    "CoinStats",
    "CoinsUnavailable",
    "DiskFull",
    "HeadersOutcome",
    "Listener",
    "Subscription",
]

T = TypeVar("T")

log = logging.getLogger("bitcoind_mp.chain")

LONG_CALLS = ("open", "replay blocks", "write to disk", "invalidate block", "reconsider block", "prefer block", "close")
"""The calls of the kernel that may well take minutes, as `ChainState.kernel_busy` names them."""
_LONG_AFTER = 600.0
"""Seconds after which one of `LONG_CALLS` is reported as one that doesn't come back; others, after the thread's
patience."""
_HEADER = 80
_READERS = 4
"""Threads that read block files. asyncio's own may all be held for minutes, by a peer's name that isn't found or by
figures about all coins."""


class ChainState:
    """The block chain of one data directory. Made by `open_chain` of ``opening.py``.

    ``params`` are the network's constants, ``clock`` the node's mockable clock, ``headers`` the tree of all headers,
    ``coins`` the unspent outputs at the tip.
    """

    def __init__(
        self,
        params: ChainParams,
        clock: Clock,
        thread: KernelThread,
        store: Store,
        tracker: Tracker,
        files: BlockFiles,
        download: InitialDownload,
        bytes_used: int,
        bounds: Bounds,
    ) -> None:
        self.params = params
        self.clock = clock
        self.headers: HeaderTree = tracker.tree
        self.coins: CoinsView = tracker.coins
        self._thread = thread
        self._store = store
        self._tracker = tracker
        self._files = files
        self._download = download
        self._bytes_used = bytes_used
        self._trimmer = Trimmer(thread, store, tracker, download, bounds)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="read blocks")

    # --- at once --------------------------------------------------------------------------------------------

    @property
    def tip(self) -> BlockNode:
        """The best valid block."""
        return self.headers.tip

    @property
    def height(self) -> int:
        """The tip's height."""
        return self.headers.tip.height

    @property
    def best_header(self) -> BlockNode:
        """The header with the most work, its block here or not."""
        return self.headers.best_header

    @property
    def genesis(self) -> BlockNode:
        return self.headers.genesis

    def by_hash(self, hash: bytes) -> BlockNode | None:
        """Any known header's node, on any fork."""
        return self.headers.by_hash(hash)

    def by_height(self, height: int) -> BlockNode | None:
        """The best chain's block at that height."""
        return self.headers.by_height(height)

    def contains(self, node: BlockNode) -> bool:
        """Whether the node is in the best chain."""
        return self.headers.contains(node)

    def next(self, node: BlockNode) -> BlockNode | None:
        """The successor in the best chain; None for the tip and for what isn't in it."""
        return self.headers.next(node)

    def ancestor(self, node: BlockNode, height: int) -> BlockNode | None:
        """The node's ancestor on its own branch."""
        return self.headers.ancestor(node, height)

    def fork_point(self, locator: list[bytes]) -> BlockNode:
        """The newest block of the best chain that the locator's owner has; genesis if none."""
        return self.headers.fork_point(locator)

    def locator(self, node: BlockNode | None = None) -> list[bytes]:
        """A locator for the node, by default the tip."""
        return self.headers.locator(node)

    def tips(self) -> list[tuple[BlockNode, int, str]]:
        """(end of branch, its length, Core's word for its state), highest first: see `HeaderTree.tips`."""
        return self.headers.tips()

    @property
    def initial_block_download(self) -> bool:
        """Whether the tip is too old or has too little work; once False it stays so (``IsInitialBlockDownload``)."""
        return self._download.active

    @property
    def verification_progress(self) -> float:
        """An estimate, 0 to 1, of how much of all transactions the chain holds (``GuessVerificationProgress``)."""
        return verification_progress(self.headers, self.tip, self.params, self.clock.now())

    @property
    def size_on_disk(self) -> int:
        """Bytes in the block and undo files."""
        return self._bytes_used + self._tracker.stored_bytes

    @property
    def warnings(self) -> list[str]:
        """What the kernel warns of (``getblockchaininfo``'s and ``getnetworkinfo``'s ``warnings``)."""
        return list(self._tracker.warnings.values())

    @property
    def problems(self) -> list[str]:
        """Sentences for the health check: a kernel thread that doesn't come back, a full disk, a fatal error."""
        found = [self._store.failed] if self._store.failed else []
        if self._trimmer.problem:
            found.append(self._trimmer.problem)
        busy = self._thread.busy
        if busy is not None and busy[1] > (_LONG_AFTER if busy[0] in LONG_CALLS else self._thread.patience):
            found.append(f"The kernel has been busy with one call ({busy[0]}) for {busy[1]:.0f} seconds.")
        return found

    @property
    def kernel_busy(self) -> tuple[str, float] | None:
        """What the kernel's thread does now, and for how many seconds."""
        return self._thread.busy

    @property
    def may_take(self) -> float:
        """Seconds that the kernel's thread may yet be silent until it is held to hang, 0 where it is; infinite where
        it does nothing, or opens or writes to disk."""
        busy = self._thread.busy
        if busy is None or busy[0] in LONG_CALLS:
            return math.inf
        return max(0.0, self._thread.patience - self._thread.silent)

    def subscribe(self, listener: Listener) -> Subscription:
        """Tell ``listener`` of every change from here on, until the handle is closed."""
        return self._tracker.subscribe(listener)

    # --- on the kernel's thread -----------------------------------------------------------------------------

    async def submit_block(self, raw: bytes, *, durable: bool = True) -> BlockOutcome:
        """Give the kernel a block and wait for its verdict. All listeners have been told when this returns.

        ``durable``: the block is on disk for good (fsync) before this returns; without it it survives a kill of
        the process but maybe not a power cut, and in a bulk load neither. Peers' old blocks go without.

        Raises:
            BlockDecodeError: not a block.
            DiskFull: there is no room; nothing changed.
            ChainFailed: the kernel has given up.
        """
        if len(raw) <= _HEADER:
            raise BlockDecodeError
        hash = hash256(raw[:_HEADER])[::-1]
        known = self.by_hash(hash)
        parent = self.by_hash(raw[35:3:-1])
        worth_keeping = parent is not None and (known is None or not known.has_data)
        journal = worth_keeping and (durable or self._store.journal_size < self._trimmer.bounds.journal)
        verdict = await self._thread.run(
            "process block", lambda: self._store.submit(raw, hash, journal=journal, durable=durable)
        )
        self._trimmer.look()
        return _outcome(hash, verdict)

    async def submit_headers(self, headers: list[bytes]) -> HeadersOutcome:
        """Give the kernel headers of 80 bytes each, parents first."""
        named = [(hash256(header)[::-1], header) for header in headers]
        start = 0
        for hash, _ in named:
            node = self.by_hash(hash)
            if node is None or node.failed:
                break
            start += 1
        wanted = named[start:]
        if not wanted:
            return HeadersOutcome(self.by_hash(named[-1][0]) if named else None, 0)
        before = len(self.headers)
        taken, refused = await self._thread.run("process headers", lambda: self._store.submit_headers(wanted))
        last = start + taken - 1
        return HeadersOutcome(
            last=self.by_hash(named[last][0]) if last >= 0 else None,
            new=len(self.headers) - before,
            reason=refused.reason if refused is not None else None,
            refused=start + taken if refused is not None else None,
        )

    async def invalidate(self, node: BlockNode) -> None:
        """Treat the block as if it broke a rule. All listeners have been told when this returns, and it is on disk.

        Raises:
            DiskFull, ChainFailed, MarkFailed
        """
        await self._thread.run(
            "invalidate block", lambda: self._store.mark(lambda kernel: kernel.invalidate(node.hash))
        )

    async def reconsider(self, node: BlockNode) -> None:
        """Undo `invalidate` for the block, its ancestors and what builds on it; a rule that one of them really breaks
        is found again. Raises as it does."""
        await self._thread.run(
            "reconsider block", lambda: self._store.mark(lambda kernel: kernel.reconsider(node.hash))
        )

    async def prefer(self, node: BlockNode) -> None:
        """Treat the block as if it had come before any other of its work. Raises as `invalidate`."""
        await self._thread.run("prefer block", lambda: self._store.mark(lambda kernel: kernel.prefer(node.hash)))

    async def read_block(self, node: BlockNode) -> bytes:
        """The raw block with witnesses.

        Raises:
            BlockUnavailable: the block itself isn't here.
        """
        if not node.has_data:
            raise BlockUnavailable("Block not available (not fully downloaded)")
        raw = await self._off_the_loop(self._files.read, node.hash, node.position)
        if raw is None:
            raw = await self._thread.run("read block", lambda: self._store.kernel.read_block(node.hash))
        if raw is None:
            raise BlockUnavailable("Block not found on disk")
        return raw

    async def read_part(self, node: BlockNode, offset: int, size: int) -> bytes:
        """``size`` bytes of the raw block from ``offset`` on.

        Raises:
            BlockUnavailable: the block itself isn't here.
        """
        part = await self._off_the_loop(self._files.read_range, node.hash, node.position, offset, size)
        return part if part is not None else (await self.read_block(node))[offset : offset + size]

    async def read_undo(self, node: BlockNode) -> list[list[Coin]]:
        """The coins that the block's transactions spent, one list for each but the coinbase, in input order.

        Raises:
            BlockUnavailable: the block was never connected here.
        """
        spent = None
        if node.has_undo or node.height == 0:
            spent = await self._thread.run("read undo data", lambda: self._store.kernel.read_undo(node.hash))
        if spent is None:
            raise BlockUnavailable("Undo data expected but can't be read. This could be due to disk corruption.")
        return spent

    async def coin_stats(self, hash_type: str, progress: Callable[[str], None] = lambda text: None) -> CoinStats:
        """Figures about all coins at the tip (``gettxoutsetinfo``), read off the loop. Cancelling stops it.

        ``hash_type``: ``hash_serialized_3``, ``muhash`` or ``none``.
        """
        if not self.coins.available:
            await self.settle()
        return await coin_stats(self.coins, self.tip, hash_type, progress)

    async def _off_the_loop(self, read: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, read, *arguments)

    async def aside(self, what: str, call: Callable[[], T]) -> T:
        """Run a blocking call on the kernel's thread, where it waits its turn with the blocks."""
        return await self._thread.run(what, call)

    async def settle(self) -> None:
        """Have the kernel write everything to disk now and copy the coins anew: `coins` is available afterwards.

        Raises:
            DiskFull, ChainFailed
        """
        await self._thread.run("write to disk", self._store.reopen)

    def interrupt(self) -> None:
        """Cut a long call of the kernel short; `close` must follow."""
        self._store.interrupt()

    async def close(self) -> None:
        """Write everything to disk and let the data directory go."""
        await self._trimmer.close()
        await self._thread.run("close", self._store.close)
        self.coins.close()
        self._readers.shutdown()
        await self._thread.close()


def _outcome(hash: bytes, verdict: Verdict) -> BlockOutcome:
    """BIP22's word, as ``submitblock`` finds it (Core's ``src/rpc/mining.cpp``)."""
    reason: str | None
    if verdict.ok and not verdict.new:
        reason = "duplicate"
    elif not verdict.checked:
        reason = "inconclusive"
    elif verdict.ok:
        reason = None
    else:
        reason = verdict.reason or "rejected"
    return BlockOutcome(hash, verdict.ok, verdict.new, reason, verdict.detail)
