"""Scanning older blocks again: following from an older locator, beside the live stream, as often as one likes.

What is to be scanned is noted in the ledger before it begins and struck out when it is done, so a kill or a lost node
only delays it. What doesn't belong: the effects of a block.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcCode, RpcError
from bitcoind_mp.wallet.wallet import Wallet

from .sync import RescanFollower

#: Blocks may state times this many seconds before a payment was known (``TIMESTAMP_WINDOW``).
TIMESTAMP_WINDOW = 2 * 60 * 60
_BUSY = "Wallet is currently rescanning. Abort existing rescan or wait."


@dataclass(frozen=True)
class Scanned:
    """What was scanned: first and last height; ``stop`` is below ``start`` where there was nothing to scan."""

    start: int
    stop: int
    aborted: bool = False


class Rescanner:
    """Scans one wallet's older blocks, one scan at a time."""

    def __init__(self, wallet: Wallet) -> None:
        self._wallet = wallet
        self._task: asyncio.Task[Scanned] | None = None
        self._reserved = False
        self._aborted = False
        self._follower: RescanFollower | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a scan runs, or somebody has reserved the next."""
        return self._reserved or (self._task is not None and not self._task.done())

    def require_idle(self) -> None:
        """Raises `RpcError` (-4) where a scan runs, or somebody has reserved the next."""
        if self.is_busy:
            raise RpcError(RpcCode.WALLET_ERROR, _BUSY)

    def reserve(self) -> None:
        """Keep others from scanning until `release`. Raises `RpcError` (-4) where one runs."""
        self.require_idle()
        self._reserved = True

    def release(self) -> None:
        """Let others scan."""
        self._reserved = False

    def abort(self) -> bool:
        """Stop the scan that runs; False where none does, or that one is being stopped already."""
        if self._task is None or self._task.done() or self._aborted:
            return False
        self._aborted = True
        if self._follower is not None and not self._follower.done.done():
            self._follower.done.set_result(self._follower.scanned)
        return True

    async def stop(self) -> None:
        """End the scan that runs, for the next process, or the next load, to go on with."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def finished(self) -> None:
        """Wait for the end of the scan that runs, however it ends."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def scan(self, start: int, stop: int | None = None) -> Scanned:
        """Scan the blocks from height ``start`` to ``stop`` (None: the wallet's newest). It goes on when the caller is
        cancelled. Raises `RpcError`, `Disconnected`, `CallTimeout`."""
        with self._wallet.ledger.transaction():
            self._wallet.progress.rescan_at(start)
        return await self._run(start, stop)

    async def scan_wanted(self) -> Scanned:
        """Scan what the ledger says is to be scanned, if anything."""
        wallet = self._wallet
        since, height = wallet.progress.rescan_wanted
        if since is not None:
            found = await wallet.chain.find_by_time(since - TIMESTAMP_WINDOW, 0)
            height = min(found.height if found else wallet.height + 1, wallet.height + 1 if height is None else height)
        if height is None:
            return Scanned(0, -1)
        return await self.scan(height)

    async def _run(self, start: int, stop: int | None) -> Scanned:
        if self._task is not None and not self._task.done():
            raise RpcError(RpcCode.WALLET_ERROR, _BUSY)
        self._aborted = False
        self._task = asyncio.get_running_loop().create_task(self._scan(start, stop), name="rescan")
        # A caller that goes away leaves it running; its outcome is looked at so that nobody complains of it.
        self._task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._task)

    async def _scan(self, start: int, stop: int | None) -> Scanned:
        wallet = self._wallet
        last = wallet.height if stop is None else min(stop, wallet.height)
        began = time.monotonic()
        wallet.scanning = (began, 0.0)
        wallet.changed()
        try:
            with wallet.relock.held():
                scanned = await self._follow(start, last, with_mempool=stop is None)
            if not self._aborted and scanned < last:
                raise RpcError(
                    RpcCode.MISC_ERROR,
                    "Rescan failed. Potentially corrupted data files or a lost connection to the node.",
                )
            with wallet.ledger.transaction():
                wallet.progress.rescan_at(None)
        finally:
            self._follower = None
            wallet.scanning = None
            wallet.changed()
        wallet.log("scanned blocks %d to %d in %.1f s", start, scanned, time.monotonic() - began)
        return Scanned(start, scanned, self._aborted)

    async def _follow(self, start: int, last: int, *, with_mempool: bool) -> int:
        wallet, chain = self._wallet, self._wallet.chain
        before = await chain.block_at(start - 1) if start else None
        began = time.monotonic()

        def progress(part: float) -> None:
            wallet.scanning = (began, part)
            wallet.got_on()

        follower = RescanFollower(
            wallet, start, last, before.time if before else 0, progress, with_mempool=with_mempool
        )
        self._follower = follower
        stream = await chain.follow([before.hash] if before else [], follower, None if with_mempool else last)
        try:
            return await self._until_done(follower)
        finally:
            follower.done.cancel()  # where it isn't done: what is on its way still is not applied
            with suppress(RpcError, Disconnected, CallTimeout):
                await chain.unfollow(stream)

    async def _until_done(self, follower: RescanFollower) -> int:
        """Wait for the end of the stream, or of the connection under it."""
        gone: asyncio.Future[Any] = asyncio.ensure_future(self._wallet.node_gone.wait())
        done: asyncio.Future[Any] = follower.done
        try:
            await asyncio.wait([done, gone], return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
        return follower.done.result() if follower.done.done() else follower.scanned
