"""One follower's stream of blocks and mempool transactions: where it is, and what it gets next.

Knows chain, mempool and a `Follower`; that the follower may be at the other end of a socket is ``feed.py``'s affair.

Nothing queues up behind a slow follower: blocks are read when their turn comes, by where the follower stands, and of
the mempool only what it has been told and what it lacks is kept, by txid.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from bitcoind_mp.interfaces.chain import BlockData, BlockRef, Follower, MempoolTransaction

from .backlog import Backlog, Window
from .chain.header import BlockNode
from .chain.state import ChainState
from .mempool.entry import MempoolEntry, Removal
from .mempool.pool import Mempool

log = logging.getLogger("bitcoind_mp.feed")

_NOBODY = "00" * 32
_LARGEST_BLOCK = 4_000_000
"""Bytes (``MAX_BLOCK_SERIALIZED_SIZE`` in Core's ``src/consensus/consensus.h``)."""


def block_ref(node: BlockNode) -> BlockRef:
    """The block by name, as interfaces have it."""
    return BlockRef(node.hash.hex(), node.height, node.time, node.median_time)


class Stream:
    """Brings one follower from where it stands to the tip, and keeps it there.

    Args:
        number: the stream's, told with each call.
        cursor: the follower's newest block; None for a follower that has none, which gets genesis first.
        lost: the follower's newest block where the chain doesn't know it; it is told off first. ``cursor`` is then
            the newest block that both have.
        stop_height: the height after which the stream ends.
        read: the raw block.
        backlog: what all followers share.
        give_up: called where this one keeps the others from going on; the stream is to end then.
    """

    def __init__(
        self,
        number: int,
        chain: ChainState,
        mempool: Mempool,
        follower: Follower,
        *,
        cursor: BlockNode | None,
        lost: str | None,
        stop_height: int | None,
        read: Callable[[BlockNode], Awaitable[bytes]],
        backlog: Backlog,
        give_up: Callable[[], None],
    ) -> None:
        self.number = number
        self._chain = chain
        self._mempool = mempool
        self._follower = follower
        self._cursor = cursor
        self._lost = lost
        self._stop_height = stop_height
        self._read = read
        self._moved = asyncio.Event()
        self._window = Window(self._moved.set, backlog, give_up)
        self._synced = False
        self._mempool_told = False
        self._told: set[bytes] = set()
        self._untold: dict[bytes, Removal | None] = {}
        self._clock_was_set = False

    # --- what happens ---------------------------------------------------------------------------------------

    def wake(self) -> None:
        """The chain moved."""
        self._moved.set()

    def clock_set(self) -> None:
        """A test put the clock."""
        self._clock_was_set = True
        self._moved.set()

    def transaction_added(self, entry: MempoolEntry) -> None:
        if not self._synced:
            return
        if entry.txid in self._told:
            self._untold.pop(entry.txid, None)
        else:
            self._untold[entry.txid] = None
            self._moved.set()

    def transaction_removed(self, entry: MempoolEntry, reason: Removal) -> None:
        if not self._synced:
            return
        if entry.txid not in self._told:
            self._untold.pop(entry.txid, None)
        elif reason is Removal.BLOCK:
            self._told.discard(entry.txid)
            self._untold.pop(entry.txid, None)
        else:
            self._untold[entry.txid] = reason
            self._moved.set()

    # --- the stream itself ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until the follower fails (what it raised is raised), the task is cancelled or the stop height is reached."""
        try:
            if self._lost is not None:
                assert self._cursor is not None
                lost = BlockRef(self._lost, self._cursor.height + 1, 0, 0)
                self._window.send(self._follower.block_disconnected(self.number, lost, block_ref(self._cursor)))
            while not (self._stop_height is not None and self._synced):
                self._moved.clear()
                self._window.check()
                if not await self._step():
                    await self._moved.wait()
            await self._window.drain()
        finally:
            self._window.cancel()

    async def _step(self) -> bool:
        """Send one thing; False if there is nothing to send now."""
        if self._clock_was_set:
            await self._tell_clock()
            return True
        if self._cursor is not None and not self._chain.contains(self._cursor):
            await self._disconnect(self._cursor)
            return True
        following = self._chain.genesis if self._cursor is None else self._chain.next(self._cursor)
        if following is not None and not self._is_beyond(following):
            await self._connect(following)
            return True
        if not self._synced:
            await self._tell_synced()
            return True
        if self._untold:
            await self._tell_transaction()
            return True
        if not self._mempool_told and self._stop_height is None:
            await self._window.admit(0)
            self._mempool_told = True
            self._window.send(self._follower.mempool_told(self.number))
            return True
        return False

    async def _tell_clock(self) -> None:
        await self._window.admit(0)
        self._clock_was_set = False
        clock = self._chain.clock
        self._window.send(self._follower.clock_set(self.number, clock.now(), bool(clock.mock)))

    def _is_beyond(self, node: BlockNode) -> bool:
        return self._stop_height is not None and node.height > self._stop_height

    async def _disconnect(self, node: BlockNode) -> None:
        await self._window.admit(0)
        assert node.previous is not None
        self._cursor = node.previous
        self._window.send(self._follower.block_disconnected(self.number, block_ref(node), block_ref(node.previous)))

    async def _connect(self, node: BlockNode) -> None:
        async with self._window.room(_LARGEST_BLOCK):
            raw = await self._read(node)
            if not self._chain.contains(node):
                return  # a reorganisation while it was read
            self._cursor = node
            previous = node.previous.hash.hex() if node.previous is not None else _NOBODY
            data = BlockData(block_ref(node), previous, raw.hex())
            self._window.send(self._follower.block_connected(self.number, data), len(raw))

    async def _tell_synced(self) -> None:
        await self._window.admit(0)
        assert self._cursor is not None
        if self._chain.next(self._cursor) is not None and self._stop_height is None:
            return  # a block came while we waited
        self._synced = True
        if self._stop_height is None:
            self._untold = dict.fromkeys(entry.txid for entry in self._mempool.entries())
        self._window.send(self._follower.synced(self.number, block_ref(self._cursor)))

    async def _tell_transaction(self) -> None:
        first = self._mempool.entry(next(iter(self._untold)))
        async with self._window.room(len(first.raw) if first is not None else 0):
            if not self._untold:
                return
            txid = next(iter(self._untold))
            reason = self._untold.pop(txid)
            if reason is not None:
                self._told.discard(txid)
                self._window.send(self._follower.transaction_removed(self.number, txid.hex(), reason.value))
                return
            entry = self._mempool.entry(txid)
            if entry is not None:
                self._told.add(txid)
                told = MempoolTransaction(txid.hex(), entry.raw.hex(), entry.fee, entry.time)
                self._window.send(self._follower.transaction_added(self.number, told), len(entry.raw))
