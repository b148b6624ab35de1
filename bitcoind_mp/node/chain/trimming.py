"""Keeps the journal and the coins view's overlay from growing: at a quiet moment the kernel is closed and reopened,
which writes everything to disk. It has no other way to be told so.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from .progress import InitialDownload
from .store import Store
from .tracker import Tracker
from .values import ChainFailed, DiskFull
from .worker import KernelThread

log = logging.getLogger("bitcoind_mp.chain")

_IMPATIENCE = 4
"""At so many times a bound there is no waiting for a quiet moment."""


@dataclass(frozen=True)
class Bounds:
    """When to trim.

    ``journal`` in bytes, beyond which only durable blocks are written to it besides; ``overlay`` in outputs: half a
    million are some 100 MB. A moment is quiet when the kernel has had nothing to do for ``quiet`` seconds.
    """

    journal: int = 64 << 20
    overlay: int = 500_000
    quiet: float = 3.0


class Trimmer:
    """Watches after each block whether there is something to trim, and waits for its moment. Lives in the loop."""

    def __init__(
        self, thread: KernelThread, store: Store, tracker: Tracker, download: InitialDownload, bounds: Bounds
    ) -> None:
        self.bounds = bounds
        self._thread = thread
        self._store = store
        self._tracker = tracker
        self._download = download
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self.problem = ""

    def look(self) -> None:
        """A block has been dealt with."""
        self._last = monotonic()
        if self._timer is None or self._excess() >= _IMPATIENCE:
            self._consider()

    async def close(self) -> None:
        """Stop waiting; a trim that has begun is finished first by the kernel's thread."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _consider(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        excess = self._excess()
        if excess < 1 or self._task is not None:
            return
        if excess >= _IMPATIENCE or (self._thread.idle and monotonic() - self._last >= self.bounds.quiet):
            self._task = asyncio.create_task(self._trim(), name="trim the journal")
        else:
            self._timer = asyncio.get_running_loop().call_later(self.bounds.quiet, self._consider)

    def _excess(self) -> float:
        """How many times over its bound the fullest of them is."""
        if not self._tracker.coins.available or self._store.unjournaled:
            return 1.0 if self._download.active else _IMPATIENCE
        return max(self._store.journal_size / self.bounds.journal, self._tracker.coins.changes / self.bounds.overlay)

    async def _trim(self) -> None:
        try:
            await self._thread.run("write to disk", self._store.reopen)
            self.problem = ""
        except (DiskFull, ChainFailed) as error:
            self.problem = f"The chain could not be written to disk: {error}."
            log.error("%s", self.problem)
        finally:
            self._task = None
