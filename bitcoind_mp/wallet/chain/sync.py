"""The receiving ends of block feeds: one that a wallet lives by, one that scans older blocks again.

What doesn't belong: which stream is asked for and when (``upstream.py``, ``rescan.py``), what a block does to a
wallet (``intake.py``).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from bitcoind_mp.interfaces.chain import BlockData, BlockRef, Follower, MempoolTransaction
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.wallet.wallet import Wallet

log = logging.getLogger("bitcoind_mp.wallet")


class LiveFollower(Follower):
    """Brings one wallet up to the tip and keeps it there. ``failed`` is set when the wallet couldn't keep what it was
    told (a full disk): the stream is to be asked for again. ``on_synced`` is awaited when the tip is reached."""

    def __init__(self, wallet: Wallet, on_synced: Callable[["LiveFollower"], Awaitable[None]]) -> None:
        self._wallet = wallet
        self._on_synced = on_synced
        self.is_synced = False
        self.is_over = False
        """Nobody follows by it any more, and the wallet may be closed: what is on its way still is not applied."""
        self.failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    async def block_connected(self, stream: int, data: BlockData) -> None:
        self._apply(lambda: self._wallet.connect_block(bytes.fromhex(data.raw), data.block, self.is_synced))

    async def block_disconnected(self, stream: int, block: BlockRef, previous: BlockRef) -> None:
        self._apply(lambda: self._wallet.rewind_to(previous))

    async def synced(self, stream: int, tip: BlockRef) -> None:
        def reached() -> None:
            if self._wallet.block.hex() != tip.hash:
                self._wallet.rewind_to(tip)
            self._wallet.save_position()
            self._wallet.history.mempool_unknown()

        self._apply(reached)
        self.is_synced = True
        await self._on_synced(self)

    async def transaction_added(self, stream: int, transaction: MempoolTransaction) -> None:
        self._apply(lambda: self._wallet.mempool_added(bytes.fromhex(transaction.raw), transaction.time))

    async def transaction_removed(self, stream: int, txid: str, reason: str) -> None:
        self._apply(lambda: self._wallet.mempool_removed(bytes.fromhex(txid), reason))

    async def clock_set(self, stream: int, clock: int, stands: bool) -> None:
        self.require()
        self._wallet.clock_set(clock, stands=stands)

    def require(self) -> None:
        """Raises RpcError once it is over."""
        if self.is_over:
            raise RpcError(RpcCode.CLIENT_NOT_CONNECTED, "This stream is followed no longer.")

    def _apply(self, change: Callable[[], None]) -> None:
        """Apply in order, nothing after a failure: the file then stands where the next stream goes on."""
        self.require()
        if self.failed.done():
            raise RpcError(RpcCode.DATABASE_ERROR, "This stream has failed.")
        try:
            change()
        except RpcError as error:
            self.failed.set_result(error)
            raise


class RescanFollower(Follower):
    """Looks through the blocks of ``first`` to ``last`` again, and where the stream goes to the tip through the
    mempool. ``done`` gets the height of the last block scanned."""

    def __init__(
        self,
        wallet: Wallet,
        first: int,
        last: int,
        max_time: int,
        progress: Callable[[float], None],
        *,
        with_mempool: bool,
    ) -> None:
        self._wallet = wallet
        self._first = first
        self._last = last
        self._max_time = max_time
        self._with_mempool = with_mempool
        self._progress = progress
        self.scanned = first - 1
        self.done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def block_connected(self, stream: int, data: BlockData) -> None:
        height = data.block.height
        if self.done.done() or not self._first <= height <= min(self._last, self._wallet.height):
            return
        if self._wallet.progress.hash_at(height) not in (None, bytes.fromhex(data.block.hash)):
            return  # a block that left the chain while it was on its way; the live stream tells of its successor
        self._max_time = max(self._max_time, data.block.time)
        try:
            self._wallet.rescan_block(bytes.fromhex(data.raw), data.block, self._max_time, height + 1)
        except RpcError as error:
            self.done.set_exception(error)
            raise
        self.scanned = height
        self._progress((height + 1 - self._first) / max(1, self._last + 1 - self._first))

    async def block_disconnected(self, stream: int, block: BlockRef, previous: BlockRef) -> None:
        """The live stream undoes it."""

    async def synced(self, stream: int, tip: BlockRef) -> None:
        if not self._with_mempool:
            self._finish()

    async def transaction_added(self, stream: int, transaction: MempoolTransaction) -> None:
        if self._with_mempool and not self.done.done():
            self._wallet.mempool_added(bytes.fromhex(transaction.raw), transaction.time)

    async def transaction_removed(self, stream: int, txid: str, reason: str) -> None:
        """The live stream tells of it."""

    async def mempool_told(self, stream: int) -> None:
        self._finish()

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(self.scanned)
