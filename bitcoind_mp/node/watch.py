"""Telling the supervisor of each new tip and of what the kernel warns of, each once and in order.

When a tip is worth telling is Core's rule: once a block, or a reorganisation, and not in the initial download
(``NotifyBlockTip`` for -blocknotify, ``src/init.cpp``). That the supervisor is at the other end of a socket is not
known here.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcError
from bitcoind_mp.interfaces.notices import NodeWatch, NodeWatcher

from .chain.header import BlockNode
from .chain.state import ChainState, Listener
from .streams import block_ref

log = logging.getLogger("bitcoind_mp.chain")

#: Tips that may wait for a watcher, and blocks that are told one by one of those that it doesn't know. Above that the
#: oldest are counted and not told.
_MOST_WAITING = 1000
_AT_ONCE = 50
#: Be patient with a watcher, and call the function when its other side is gone.
Attend = Callable[[Any, Callable[[], None]], object]


class ChainWatch(NodeWatch, Listener):
    """`node.watch`: a task for each watcher, usually one."""

    def __init__(self, chain: ChainState, attend: Attend) -> None:
        self._chain = chain
        self._attend = attend
        self._watching: dict[asyncio.Task[None], _Untold] = {}
        self._subscription = chain.subscribe(self)

    def tip_changed(self, node: BlockNode) -> None:
        if not self._chain.initial_block_download:
            for untold in self._watching.values():
                untold.add(node)

    def warned(self) -> None:
        for untold in self._watching.values():
            untold.woken.set()

    async def watch(self, after: str, watcher: NodeWatcher) -> str:
        untold = _Untold()
        for node in self._since(after):
            untold.add(node)
        task = asyncio.get_running_loop().create_task(self._tell(watcher, untold))
        self._watching[task] = untold
        task.add_done_callback(self._ended)
        self._attend(watcher, lambda: _cancel(task))
        return "" if self._chain.initial_block_download else self._chain.tip.hash.hex()

    def close(self) -> None:
        """Tell nobody any more."""
        self._subscription.close()
        for task in list(self._watching):
            task.cancel()

    def _since(self, after: str) -> list[BlockNode]:
        """The best chain's blocks from the fork with that one on, oldest first. None of a block that isn't known here
        (yet): where that was told, this chain is one that was made anew."""
        fork = self._chain.by_hash(bytes.fromhex(after)) if after else None
        while fork is not None and not self._chain.contains(fork):
            fork = self._chain.ancestor(fork, fork.height - 1)
        found: list[BlockNode] = []
        if fork is not None and not self._chain.initial_block_download:
            node: BlockNode | None = self._chain.tip
            while node is not None and node is not fork:
                found.append(node)
                node = self._chain.ancestor(node, node.height - 1)
        return found[::-1]

    def _ended(self, task: "asyncio.Task[None]") -> None:
        del self._watching[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("telling the supervisor of blocks failed", exc_info=error)

    async def _tell(self, watcher: NodeWatcher, untold: "_Untold") -> None:
        warnings: list[str] = []
        try:
            while True:
                await untold.woken.wait()
                untold.woken.clear()
                if warnings != self._chain.warnings:
                    warnings = self._chain.warnings
                    await watcher.warnings(warnings)
                while untold.tips:
                    missed, untold.missed = untold.missed, 0
                    blocks = [untold.tips.popleft() for _ in range(min(len(untold.tips), _AT_ONCE))]
                    await watcher.tips([block_ref(node) for node in blocks], missed)
        except (Disconnected, CallTimeout, RpcError) as error:
            log.info("the supervisor does not take what happens here any more: %s", error)


class _Untold:
    """What waits for one watcher."""

    def __init__(self) -> None:
        self.tips: deque[BlockNode] = deque()
        self.missed = 0
        self.woken = asyncio.Event()
        self.woken.set()

    def add(self, node: BlockNode) -> None:
        if len(self.tips) >= _MOST_WAITING:
            self.tips.popleft()
            self.missed += 1
        self.tips.append(node)
        self.woken.set()


def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
