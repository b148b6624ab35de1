"""Keeping one wallet on the node's feed: from where it stands, again after each loss, from the right block when new.

What doesn't belong: the connection itself (``upstream.py``), applying what is told (``sync.py``).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from bitcoind_mp.interfaces.chain import BlockRef, Chain, ChainStatus
from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcCode, RpcError
from bitcoind_mp.wallet.storage.tables import BlockRow
from bitcoind_mp.wallet.wallet import Wallet

from .rescan import TIMESTAMP_WINDOW, Rescanner
from .sync import LiveFollower

log = logging.getLogger("bitcoind_mp.wallet")

#: Seconds before a stream that failed is asked for again; twice as long each time, up to the second.
_RETRY, _LONGEST_RETRY = 1.0, 8.0
#: How long a command waits for a block that the node has and the wallet not yet, in seconds.
_SETTLE = 10.0


class Attachment:
    """One wallet's life on the feed. ``connected`` waits for the node; ``lost`` says when that connection ended."""

    def __init__(
        self,
        wallet: Wallet,
        connected: Callable[[], Awaitable["asyncio.Future[None]"]],
        observe_clock: Callable[[ChainStatus], None],
    ) -> None:
        self.wallet = wallet
        self.rescanner = Rescanner(wallet)
        self._connected = connected
        self._observe_clock = observe_clock
        self._follower: LiveFollower | None = None
        self._task: asyncio.Task[None] | None = None
        self._checking: asyncio.Task[None] | None = None
        self._after: asyncio.Task[None] | None = None
        self._has_far_to_go = False
        self._handed_over = asyncio.Event()
        self._tries = 0
        self._told = ""
        self._is_done = False
        self.target = -1
        """The highest block of the node's that we know of."""
        self.problem = ""
        """Why it isn't being followed, for people; empty while all is well."""

    def start(self) -> None:
        """Begin to follow; returns at once."""
        self.wallet.on_move(self._offer_again)
        self._task = asyncio.get_running_loop().create_task(self._keep(), name=f"follow {self.wallet.name}")

    async def stop(self) -> None:
        """Follow no longer."""
        await self.rescanner.stop()
        await _ended(self._task)
        await _ended(self._checking)  # these two may be there since then
        await _ended(self._after)

    @property
    def is_live(self) -> bool:
        """Whether it has reached the tip and hears of each block as it is found."""
        return self._follower is not None and self._follower.is_synced and not self._follower.failed.done()

    @property
    def is_caught_up(self) -> bool:
        """Whether it is live, and what was put off until then is done too."""
        return self.is_live and self._is_done

    @property
    def done(self) -> tuple[int, float]:
        """How far it has come: its height, and the part (0 to 1) of a scan of older blocks, 1 while none runs. It gets
        on as long as this changes."""
        scanning = self.wallet.scanning
        return self.wallet.height, scanning[1] if scanning is not None else 1.0

    async def until_live(self, deadline: float) -> bool:
        """Wait until it has caught up, or the node is away; False where that takes longer (seconds)."""
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline):
                while not self.is_live and not self.wallet.node_gone.is_set() and not self.problem:
                    await self.wallet.moved()
        return self.is_live or self.wallet.node_gone.is_set()

    async def caught_up(self) -> None:
        """Wait until what was put off until the tip was reached is done too."""
        await self._handed_over.wait()
        if self._after is not None:
            await asyncio.wait([self._after])

    async def settle(self) -> None:
        """Wait until the wallet knows the block that is the node's newest now (``BlockUntilSyncedToCurrentChain``).

        While the node is away it doesn't wait: answers are as of `Wallet.height`. Nor does it wait again for a wallet
        that turned out to have far to go.
        """
        if not self.is_live and not self._has_far_to_go:
            with suppress(RpcError, Disconnected, CallTimeout):
                await self.wallet.chain.status()  # a node that went away just now is waited for a moment
            self._has_far_to_go = not await self.until_live(_SETTLE)
        if not self.is_live:
            return
        self._has_far_to_go = False
        with suppress(TimeoutError):
            await asyncio.wait_for(self._handed_over.wait(), _SETTLE)
        with suppress(RpcError, Disconnected, CallTimeout):
            went_up = True
            while went_up:  # so that one above the tip is on its way down, and not past a tip that grew meanwhile
                stood = self.wallet.height
                status = await self.wallet.chain.status()
                went_up = self.wallet.height > max(stood, status.tip.height)
            self._observe_clock(status)
            await self.wallet.reach(bytes.fromhex(status.tip.hash), status.tip.height, _SETTLE)

    async def _keep(self) -> None:
        while True:
            lost = await self._connected()
            try:
                await self._follow(lost)
            except (RpcError, Disconnected, CallTimeout) as error:
                self._note(str(error))
                self._tries += 1
                await asyncio.sleep(0 if lost.done() else min(_RETRY * 2 ** (self._tries - 1), _LONGEST_RETRY))
            finally:
                self._follower = None

    async def _follow(self, lost: "asyncio.Future[None]") -> None:
        """One stream, until its connection ends or the wallet fails to keep up."""
        wallet = self.wallet
        status = await wallet.chain.status()
        self._observe_clock(status)
        if wallet.progress.tip is None:
            wallet.start_at(await first_blocks(wallet.chain, wallet.birth_time, status.tip))
        self._handed_over.clear()
        self._is_done = False
        self.target = status.tip.height
        follower = self._follower = LiveFollower(wallet, self._synced)
        try:
            await self._live_by(follower, lost)
        finally:
            follower.is_over = True
        if follower.failed.done():
            raise follower.failed.result()

    async def _live_by(self, follower: LiveFollower, lost: "asyncio.Future[None]") -> None:
        """Until it has failed, or the connection is lost."""
        wallet = self.wallet
        stream = await wallet.chain.follow(wallet.progress.locator(), follower)
        self._note("")
        ended: asyncio.Future[Any] = asyncio.ensure_future(asyncio.shield(lost))
        failed: asyncio.Future[Any] = follower.failed
        try:
            await asyncio.wait([ended, failed], return_when=asyncio.FIRST_COMPLETED)
        finally:
            follower.is_over = True
            ended.cancel()
            if not lost.done():
                with suppress(RpcError, Disconnected, CallTimeout):
                    await wallet.chain.unfollow(stream)

    async def _synced(self, follower: LiveFollower) -> None:
        """The tip is reached: see to what waited for it. The feed goes on only when our unconfirmed transactions'
        states are known; the rest is done beside it."""
        wallet = self.wallet
        wallet.stale_since = None
        self._checking = asyncio.get_running_loop().create_task(wallet.outbox.look())
        try:
            await self._checking
        except (Disconnected, CallTimeout) as error:
            raise RpcError(RpcCode.CLIENT_NOT_CONNECTED, str(error)) from error
        except asyncio.CancelledError:
            follower.require()  # it was stopped meanwhile
            raise
        self._tries, self._told = 0, ""
        wallet.log("synced at height %d", wallet.height)
        wallet.touch()
        wallet.changed()
        if self._after is None or self._after.done():
            self._after = asyncio.get_running_loop().create_task(self._catch_up())

    async def _catch_up(self) -> None:
        """Hand over what the node doesn't have, and scan what a kill or a lost node kept from being scanned."""
        with suppress(Disconnected, CallTimeout):
            try:
                await self.wallet.outbox.resubmit()
                self._handed_over.set()
                if not self.rescanner.is_busy:
                    await self.rescanner.scan_wanted()
            except RpcError as error:
                self.wallet.log("catching up: %s", error)
            finally:
                self._handed_over.set()
        self._is_done = True
        self.wallet.touch()
        self.wallet.changed()

    def _offer_again(self) -> None:
        """A block came: what the node could not take for want of room, say, it may take now."""
        if self.wallet.outbox.is_put_off and self.is_live and (self._after is None or self._after.done()):
            self._after = asyncio.get_running_loop().create_task(self._catch_up())

    def _note(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            if problem and problem != self._told:
                log.warning("[%s] %s", self.wallet.name, problem)
                self._told = problem
            self.wallet.touch()
            self.wallet.changed()


async def _ended(task: "asyncio.Task[None] | None") -> None:
    if task is not None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def first_blocks(chain: Chain, birth: int | None, tip: BlockRef) -> list[BlockRow]:
    """Where a new wallet starts, oldest first: the last block that is too old to concern it, and a few before it, ever
    further apart, should that one leave the chain."""
    found = None if birth is None else await chain.find_by_time(birth - TIMESTAMP_WINDOW, 0)
    height = tip.height if found is None else max(found.height - 1, 0)
    heights = {0, height}
    step = 1
    while height - step > 0:
        heights.add(height - step)
        step *= 2
    blocks = [await chain.block_at(wanted) for wanted in sorted(heights)]
    return [BlockRow.of(block) for block in blocks if block is not None]
