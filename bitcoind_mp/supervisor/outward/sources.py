"""Where notices of blocks and transactions come from: a connection of its own to each worker that can tell.

Made while the unit serves, and again after each process; what was told last is where the next one goes on. What a
worker says is checked here: it may have been broken into.
"""

import asyncio
import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from bitcoind_mp.interfaces.chain import BlockRef
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.init import Hello
from bitcoind_mp.interfaces.notices import (
    MISSED,
    TIP,
    TRANSACTION,
    NodeWatch,
    NodeWatcher,
    TransactionChange,
    WalletWatch,
    WalletWatcher,
)
from bitcoind_mp.ipc.client import connect
from bitcoind_mp.ipc.limits import MAX_FROM_WORKER
from bitcoind_mp.ipc.proxy import proxy
from bitcoind_mp.ipc.session import Session
from bitcoind_mp.supervisor.manager import Manager
from bitcoind_mp.supervisor.said import said
from bitcoind_mp.supervisor.supervised import Supervised
from bitcoind_mp.supervisor.units.states import SERVING

from .board import Board

log = logging.getLogger("bitcoind_mp.supervisor")

#: Seconds that a worker has to take up the connection: one that restarts leaves it in the queue meanwhile.
_PATIENCE = 30.0
#: Seconds until the next attempt; twice as long each time, up to the second.
_RETRY, _LONGEST_RETRY = 0.1, 5.0
_HASH = re.compile(r"[0-9a-f]{64}\Z")
#: Warnings that are taken note of, and characters of each.
_MOST_WARNINGS, _LONGEST_WARNING = 20, 500


class Source(ABC):
    """One worker. Nothing is asked of it before `begin`."""

    def __init__(self, manager: Manager, supervised: Supervised, path: Path, hello: Hello) -> None:
        self._manager = manager
        self._supervised = supervised
        self._path = path
        self._hello = hello
        self._task: asyncio.Task[None] | None = None
        self._has_complained = False
        self._is_asked = asyncio.Event()

    def begin(self) -> None:
        """Listen to it from now on."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep())
            self._task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """It keeps on until it is cancelled: any other end is a mistake of ours, and nothing is told any more."""
        if not task.cancelled():
            log.error("%s is not listened to any more", self._supervised.name, exc_info=task.exception())

    async def asked(self) -> None:
        """Wait until it has been asked, where it serves: from then on nothing is missed, whatever ends meanwhile."""
        if self._supervised.unit.state in SERVING:
            await self._is_asked.wait()

    async def close(self) -> None:
        """Listen no longer."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @abstractmethod
    async def _watch(self, session: Session) -> None:
        """Ask it to tell."""

    def _complain(self, what: str) -> None:
        """It tells what it shouldn't. Said once for each connection: it may do so without end."""
        if not self._has_complained:
            self._has_complained = True
            log.warning("%s told of %s", self._supervised.name, what)

    def _gone(self) -> None:  # noqa: B027 (most have nothing to do then)
        """The connection has ended."""

    async def _keep(self) -> None:
        pause = _RETRY
        while True:
            pid = (await self._manager.until_unit(self._supervised, lambda unit: unit.state in SERVING)).pid
            try:
                session = await connect(self._path, hello=self._hello, deadline=_PATIENCE, limit=MAX_FROM_WORKER)
                self._has_complained = False
                try:
                    await self._watch(session)
                    self._is_asked.set()
                    pause = _RETRY
                    await asyncio.shield(session.closed)
                finally:
                    session.abort()
            except (OSError, RpcError) as error:
                log.debug("%s does not tell what happens: %s", self._supervised.name, said(str(error)))
                if isinstance(error, RpcError) and error.code == RpcCode.METHOD_NOT_FOUND:  # its next process may
                    self._is_asked.set()
                    await self._manager.until_unit(self._supervised, lambda unit, old=pid: unit.pid != old)  # type: ignore[misc]
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_RETRY)
            self._gone()


class NodeSource(Source, NodeWatcher):
    """New tips; ``warned`` is told what the kernel warns of."""

    def __init__(
        self,
        manager: Manager,
        supervised: Supervised,
        path: Path,
        hello: Hello,
        *,
        board: Board,
        warned: Callable[[list[str]], None],
    ) -> None:
        super().__init__(manager, supervised, path, hello)
        self._board = board
        self._warned = warned
        self._last = ""

    async def tips(self, blocks: list[BlockRef], missed: int) -> None:
        if missed > 0:
            self._board.post(MISSED, source=self._supervised.name, count=missed)
        for block in blocks:
            if not _HASH.match(block.hash):
                self._complain("a block whose hash is none")
                continue
            self._last = block.hash
            self._board.post(TIP, hash=block.hash, height=block.height, block_time=block.time)

    async def warnings(self, texts: list[str]) -> None:
        self._warned([said(text, _LONGEST_WARNING) for text in texts[:_MOST_WARNINGS]])

    async def _watch(self, session: Session) -> None:
        tip = await proxy(NodeWatch, session).watch(self._last, self)  # type: ignore[type-abstract]
        self._last = self._last or (tip if _HASH.match(tip) else "")

    def _gone(self) -> None:
        self._warned([])


class WalletSource(Source, WalletWatcher):
    """Changed transactions, each acknowledged when what was due on it is done. ``fresh``: nobody was listening before,
    so that what came until now is nobody's business."""

    def __init__(
        self, manager: Manager, supervised: Supervised, path: Path, hello: Hello, *, board: Board, fresh: bool
    ) -> None:
        super().__init__(manager, supervised, path, hello)
        self._board = board
        self._fresh = fresh

    async def transactions(self, wallet: str, changes: list[TransactionChange]) -> None:
        own, under_way = self._supervised.plan.wallet, []
        if own is not None and wallet != own:
            self._complain("another wallet's transactions")
            return
        for change in changes:
            if not _HASH.match(change.txid) or (change.block and not _HASH.match(change.block)):
                self._complain("a transaction whose hash is none")
                continue
            under_way += self._board.post(
                TRANSACTION,
                wallet=wallet,
                txid=change.txid,
                block=change.block or None,
                height=change.height,
                number=change.number,
            )
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _watch(self, session: Session) -> None:
        await proxy(WalletWatch, session).watch(self._fresh, self)  # type: ignore[type-abstract]
        self._fresh = False
