"""When the wallet process is ready: its wallets have reached the node's tip, or there is no tip to be reached for now.

It serves callers long before; this is for whoever waits for it to be in order (READY=1). It never waits for ever: not
for a node that isn't there, and not for one that gives no blocks. What doesn't belong: following the chain.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from .chain.follow import Attachment
from .wallets.manager import Wallets

_LOOK_EVERY = 1.0


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds: for a node of which nothing is heard, where nobody listens or somebody says that it
    is stopped (``absent``), and where callers are kept in the queue, as while it is being started (``silent``); for one
    that said that it is coming up, since it last did (``busy``); for a wallet that gets no further (``stalled``), and
    for one that says that it can't follow (``failing``)."""

    absent: float = 1.0
    silent: float = 10.0
    busy: float = 20.0
    stalled: float = 30.0
    failing: float = 3.0


class Seen(Protocol):
    """What is known of the node: since when it has been away (None: it is there), when it last said that it is coming
    up, and whether it certainly is not there."""

    @property
    def away_since(self) -> int | None: ...
    @property
    def busy_at(self) -> float | None: ...
    @property
    def is_refused(self) -> bool: ...


_USUAL = Patience()


class Readiness:
    """Waits for the wallets that are loaded. ``got_on`` is called, now and then, while one gets further or the node
    says that it is coming up: busy, and not hung."""

    def __init__(self, wallets: Wallets, node: Seen, got_on: Callable[[], None], patience: Patience = _USUAL) -> None:
        self._wallets = wallets
        self._node = node
        self._patience = patience
        self._got_on = got_on
        self._woken = asyncio.Event()
        self._now = asyncio.get_running_loop().time
        self._done: list[tuple[int, float]] = []
        self._since = self._now()
        self._told = float("-inf")

    def changed(self) -> None:
        """Something of wallets or node is otherwise: look again."""
        self._woken.set()

    async def wait(self) -> None:
        """Return when there is nothing more to wait for."""
        self._since = self._now()
        while not self._is_over():
            self._woken.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), _LOOK_EVERY)

    def _is_over(self) -> bool:
        behind = [each for each in map(self._wallets.attachment, self._wallets) if not each.is_caught_up]
        if not behind:
            return True
        self._note(behind)
        return self._now() - self._since >= self._limit(behind)

    def _note(self, behind: list[Attachment]) -> None:
        """Has anybody got further since the last look?"""
        done = [each.done for each in behind]
        busy_at = self._node.busy_at
        if done != self._done or (busy_at is not None and busy_at > self._since):
            self._done = done
            self._since = self._now()
            if self._since - self._told >= _LOOK_EVERY:
                self._told = self._since
                self._got_on()

    def _limit(self, behind: list[Attachment]) -> float:
        """How long it may take until there is something new."""
        patience = self._patience
        if self._node.away_since is None:
            return patience.failing if all(each.problem for each in behind) else patience.stalled
        if self._node.busy_at is not None:
            return patience.busy
        return patience.absent if self._node.is_refused else patience.silent
