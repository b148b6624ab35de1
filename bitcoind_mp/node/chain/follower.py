"""An index that follows the best chain: catches up in the background, then block by block, in a database of its own.

What is indexed is ``txindex.py``'s and ``filterindex.py``'s business. One write is one block: its entries and, with
them, the note that it is done. A process that is killed finds itself at some earlier block, which is no harm; a
chain that went another way meanwhile is followed back to the fork first.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import plyvel
from btclib.exceptions import BTClibException

from .contents import BlockContents
from .header import BlockNode
from .state import ChainState
from .values import BlockUnavailable, ChainFailed, Listener

log = logging.getLogger("bitcoind_mp.chain")

_BEST = b"B"
_PARENT = b"P"
_REPORT_EVERY = 10_000
_RETRY = 2.0

Entry = tuple[bytes, bytes]


@dataclass(frozen=True)
class IndexState:
    """For ``getindexinfo``: the index's name there, whether it is at the tip, and its best block's height."""

    name: str
    synced: bool
    best_height: int


class ChainIndex(Listener, ABC):
    """One index.

    Args:
        name: Core's name for it.
        directory: its database's, made if absent.
    """

    def __init__(self, chain: ChainState, name: str, directory: Path) -> None:
        self.problem = ""
        """Why it doesn't get on, for people; empty while all is well."""
        self._chain = chain
        self._name = name
        self._directory = directory
        self._database: plyvel.DB | None = None
        self._best: BlockNode | None = None
        self._synced = False
        try:
            self._reopen()
        except (plyvel.Error, OSError) as error:
            self.problem = f"{name} can't be opened: {_words(error)}"
            log.error("%s", self.problem)
        self._moved = asyncio.Event()
        self._reached = asyncio.Condition()
        self._subscription = chain.subscribe(self)
        self._task = asyncio.create_task(self._follow(), name=f"index {name}")

    @property
    def state(self) -> IndexState:
        return IndexState(self._name, self._synced, self._best.height if self._best is not None else 0)

    async def caught_up(self) -> None:
        """Wait until the index has what was the tip at the call. Returns at once during the first catching up
        (``BlockUntilSyncedToCurrentChain``), and while the index can't be written."""
        tip = self._chain.tip
        if not self._synced:
            return
        async with self._reached:
            await self._reached.wait_for(lambda: self._has(tip) or not self._chain.contains(tip) or not self._synced)

    async def first_caught_up(self) -> None:
        """Wait until the index has been at the tip once."""
        async with self._reached:
            await self._reached.wait_for(lambda: self._synced)

    async def close(self) -> None:
        """Stop following and close the database."""
        self._subscription.close()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        if self._database is not None:
            self._database.close()

    def block_connected(self, node: BlockNode, contents: BlockContents) -> None:
        self._moved.set()

    def block_disconnected(self, node: BlockNode, contents: BlockContents) -> None:
        self._moved.set()

    @abstractmethod
    async def _entries(self, node: BlockNode) -> list[Entry]:
        """What to store for a block, whose parent's entries are stored. May raise BlockUnavailable."""

    async def _follow(self) -> None:
        while True:
            self._moved.clear()
            try:
                if self.problem:
                    self._reopen()
                for node in self._missing():
                    await self._add(node)
                    if node.height % _REPORT_EVERY == 0:
                        log.info("%s is at height %d", self._name, node.height)
            except (BlockUnavailable, ChainFailed, BTClibException, plyvel.Error, OSError) as error:
                await self._stuck(f"{self._name} stays at height {self.state.best_height}: {_words(error)}")
                await asyncio.sleep(_RETRY)
                continue
            self.problem = ""
            if not self._synced:
                self._synced = True
                await self._tell()
            await self._moved.wait()

    def _reopen(self) -> None:
        """LevelDB goes on behind a record that it wrote by half, and finds neither when it next opens: begin anew."""
        if self._database is not None:
            self._database.close()
            self._database = None
        self._directory.mkdir(parents=True, exist_ok=True)
        place = str(self._directory)
        self._database = plyvel.DB(place, create_if_missing=True, bloom_filter_bits=10, max_open_files=64)
        self._best = self._last_known()

    def _get(self, key: bytes) -> bytes | None:
        """A value; None for an unknown key, and while the database can't be opened."""
        return self._database.get(key) if self._database is not None else None

    async def _stuck(self, problem: str) -> None:
        if problem != self.problem:
            log.error("%s", problem)
        self.problem = problem
        self._synced = False
        await self._tell()

    def _has(self, node: BlockNode) -> bool:
        return self._best is not None and self._chain.ancestor(self._best, node.height) is node

    def _missing(self) -> Iterator[BlockNode]:
        """The best chain's blocks that aren't indexed, as long as there are any."""
        while True:
            node = self._chain.genesis if self._best is None else self._chain.next(self._best)
            while node is None and self._best is not None and not self._chain.contains(self._best):
                self._best = self._best.previous
                node = self._chain.next(self._best) if self._best is not None else None
            if node is None:
                return
            yield node

    async def _add(self, node: BlockNode) -> None:
        entries = await self._entries(node)
        assert self._database is not None
        with self._database.write_batch() as batch:
            for key, value in entries:
                batch.put(key, value)
            batch.put(_PARENT + node.hash, node.previous_hash)
            batch.put(_BEST, node.hash)
        self._best = node
        await self._tell()

    async def _tell(self) -> None:
        async with self._reached:
            self._reached.notify_all()

    def _last_known(self) -> BlockNode | None:
        """The newest block that was indexed and that the chain (still) knows."""
        hash = self._get(_BEST)
        while hash is not None:
            node = self._chain.by_hash(hash)
            if node is not None:
                return node
            hash = self._get(_PARENT + hash)
        return None


def _words(error: Exception) -> str:
    """What it says; plyvel's errors do so in bytes."""
    return error.args[0].decode(errors="replace") if isinstance(error, plyvel.Error) else str(error)
