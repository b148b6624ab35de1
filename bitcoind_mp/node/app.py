"""Puts a node together: chain, indexes, mempool, peers; the order of coming up and of going down.

What belongs here: which part is made when, and what it is given. Sockets, calls and signals are ``service.py``'s.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from bitcoind_mp import __version__
from bitcoind_mp.config import Config
from bitcoind_mp.interfaces.errors import ExitStatus
from bitcoind_mp.service.corelock import CoreLock

from .chain.clock import Clock
from .chain.indexes import Indexes, open_indexes
from .chain.loader import BlockLoader
from .chain.opening import open_chain
from .chain.room import has_room, no_room
from .chain.state import ChainState
from .kernel import verify_scripts
from .mempool.pool import Mempool
from .p2p.manager import Peers
from .settings import (
    block_limits,
    chain_params,
    kernel_options,
    mempool_policy,
    peers_config,
    trim_bounds,
    wants_filters,
)

log = logging.getLogger("bitcoind_mp.chain")

_MEMPOOL_PATIENCE = 5.0
"""Seconds that the start waits for the mempool to be read; a large one is read on behind a node that serves."""

_DISK_WORDS = ("isk space", "I/O error", "System error", "to write", "to close", "No space left")
"""Of the kernel's last words (``FatalError`` and ``flushError`` in Core's ``src``), those that blame the disk: what it
needs is room, and no other program."""


class Node:
    """One node, from its data directory's locks to its end.

    After `open` it has ``chain``, ``indexes``, ``mempool`` and ``peers``. ``started`` is the system's time at the
    start; ``block_limits`` bounds what is mined.

    Args:
        progress: told, in the loop, what the node is doing while it comes up or goes down.
        stop: called with a reason and an exit status where the node can't go on, or somebody asks it to stop.
    """

    chain: ChainState
    indexes: Indexes
    mempool: Mempool
    peers: Peers

    def __init__(
        self, config: Config, *, progress: Callable[[str], None], stop: Callable[[str, ExitStatus], None]
    ) -> None:
        self.config = config
        self.directory: Path = config.network_dir
        self.clock = Clock(config.get_int("mocktime"))
        self.started = time.time()
        self.block_limits = block_limits(config)
        self.request_stop = stop
        self._progress = progress
        self._lock: CoreLock | None = None
        self._closers = AsyncExitStack()
        self._importing: asyncio.Task[None] | None = None

    def claim(self) -> None:
        """Take the data directory for ourselves. Nothing in it was touched before.

        Raises:
            FatalError: TRY_AGAIN, Bitcoin Core has it.
        """
        self._lock = CoreLock(self.directory)

    async def open(self) -> None:
        """Come up, after `claim`; nobody is called or listened to before `go_online`.

        Raises:
            FatalError: with the exit status that says what may help.
        """
        log.info(
            "bitcoin-mp-node version %s on chain %s, data directory %s", __version__, self.config.chain, self.directory
        )
        policy, peers = mempool_policy(self.config), peers_config(self.config)
        if not has_room(self.directory):
            raise no_room(self.directory, "No room to open the chain: ")
        self.chain = await open_chain(
            chain_params(self.config),
            self.directory,
            self.clock,
            options=kernel_options(self.config),
            max_tip_age=self.config.get_int("maxtipage"),
            bounds=trim_bounds(self.config),
            patience=self.config.get_seconds("kernelpatience"),
            progress=self._progress,
            fail=self._failed,
        )
        self._on_close("Writing the chain to disk…", self.chain.close)
        log.info("Best block %s at height %d", self.chain.tip.hash.hex(), self.chain.height)
        self.indexes = open_indexes(
            self.chain,
            self.directory,
            transactions=self.config.get_bool("txindex"),
            filters=wants_filters(self.config),
        )
        self._on_close("Closing the indexes…", self.indexes.close)
        self.mempool = Mempool(self.chain, policy, verify=verify_scripts, directory=self.directory)
        self._on_close("Saving the mempool…", self.mempool.close)
        served = self.indexes.filters if self.config.get_bool("peerblockfilters") else None
        self.peers = Peers(self.chain, self.mempool, peers, self.directory, served)

    async def go_online(self) -> None:
        """Load what was given to load, read the mempool, listen and call peers.

        Raises:
            FatalError: an address can't be listened on.
        """
        self._progress("Loading mempool…")
        self._importing = asyncio.create_task(self._import(), name="import")
        self._importing.add_done_callback(self._imported)
        self._on_close("Stopping the import…", self._stop_importing)
        if not self.config.get_list("loadblock"):
            await asyncio.wait({self._importing}, timeout=_MEMPOOL_PATIENCE)
        self._on_close("Disconnecting peers…", self.peers.close)
        await self.peers.start()

    async def close(self) -> None:
        """Go down, in the opposite order; also after an `open` that failed. A part that can't be closed keeps none of
        the others from it; what it raised is raised in the end."""
        try:
            await self._closers.aclose()
        finally:
            if self._lock is not None:
                self._lock.release()

    def _on_close(self, what: str, close: Callable[[], Awaitable[None]]) -> None:
        async def closing() -> None:
            self._progress(what)
            await close()

        self._closers.push_async_callback(closing)

    @property
    def is_open(self) -> bool:
        """Whether there is a chain to be written to disk."""
        return hasattr(self, "chain")

    @property
    def may_take(self) -> float:
        """Seconds that the kernel may yet be silent before it is held to hang."""
        return self.chain.may_take if self.is_open else math.inf

    async def _import(self) -> None:
        """Blocks first, then the mempool, as Core does: its transactions may build on them."""
        files = self.config.get_paths("loadblock")
        for path in files:
            await BlockLoader(self.chain, Path(path)).run()
        if files and not self.chain.coins.available:
            await self.chain.settle()
        await self.mempool.load()

    async def _stop_importing(self) -> None:
        if self._importing is not None:
            self._importing.cancel()
            await asyncio.gather(self._importing, return_exceptions=True)

    def _imported(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("The import failed", exc_info=error)
            self.request_stop(f"the import failed: {error}", ExitStatus.SOFTWARE)

    def _failed(self, text: str) -> None:
        status = ExitStatus.OS_ERROR if any(word in text for word in _DISK_WORDS) else ExitStatus.SOFTWARE
        if status is ExitStatus.OS_ERROR and not has_room(self.directory):
            status = ExitStatus.DISK_FULL
        self.request_stop(f"the kernel can't go on: {text}", status)
