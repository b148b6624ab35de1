"""How the node is: for the supervisor's checks, its status line and the subscribers' topics."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bitcoind_mp.interfaces.health import Health, HealthCheck

from .app import Node
from .chain.contents import BlockContents
from .chain.header import BlockNode
from .chain.state import ChainState, Listener
from .mempool.entry import MempoolEntry, Removal

_LONG_FOR_A_BLOCK = 1.0
_PATIENCE = 60.0
"""Seconds that the peers which were named have to answer before it counts as a problem that none does."""


@dataclass(frozen=True)
class Standing:
    """Where the chain stands, and who there is to learn more from. ``downloading``: in initial download, and there is
    somewhere to download from, which regtest has not. ``named``: how many peers are to be called."""

    height: int
    headers: int
    downloading: bool
    peers: int
    named: int

    @classmethod
    def of(cls, node: Node) -> "Standing":
        """Of a node that is open."""
        chain, peers = node.chain, node.peers
        downloading = chain.initial_block_download and chain.params.name != "regtest"
        ready = sum(peer.ready for peer in peers.peers)
        return cls(chain.height, chain.best_header.height, downloading, ready, peers.calling.named)

    @property
    def is_alone(self) -> bool:
        """Whether it has everything to learn, and nobody to learn it from."""
        return self.downloading and not self.peers

    def __str__(self) -> str:
        """One line for a person."""
        behind = self.headers > self.height
        if not behind and not self.downloading:
            return f"synced at height {self.height}"
        text = f"downloading blocks: height {self.height} of {self.headers}" if behind else ""
        text = text or f"in initial download, height {self.height}"
        return f"{text}; {self._why_alone()}" if self.is_alone else text

    def problem(self, seconds: float) -> str:
        """What an operator has to see to, empty for nothing; ``seconds``: how long it has been up."""
        if not self.is_alone or (self.named and seconds < _PATIENCE):
            return ""
        return f"nobody to download the chain from: {self._why_alone()}"

    def _why_alone(self) -> str:
        if not self.named:
            return "no peers: name some with -addnode or -connect"
        return (
            f"no peers: none of the {self.named} that are named answers"
            if self.named > 1
            else ("no peers: the one that is named does not answer")
        )


class NodeHealth(HealthCheck):
    """Answered from the first moment on. ``doing`` is what the node does while it comes up or goes down; ``counters``
    gives the process's own figures."""

    def __init__(
        self,
        node: Node,
        counters: Callable[[], dict[str, int]],
        protections: Sequence[str] = (),
        unprotected: Sequence[str] = (),
    ) -> None:
        self._node = node
        self._process_counters = counters
        self._protections = list(protections)
        self._unprotected = list(unprotected)
        self.doing = "Starting"
        self._up_since: float | None = None

    async def check(self) -> Health:
        chain = getattr(self._node, "chain", None)
        return Health(
            status=(self.doing or str(Standing.of(self._node))) + (_busy(chain) if chain is not None else ""),
            problems=[
                *(chain.problems if chain is not None else []),
                *self._index_problems(),
                *([] if self.doing else self._network_problems()),
            ],
            counters={**self._process_counters(), **(self._counters() if not self.doing else {})},
            protections=self._protections,
            unprotected=self._unprotected,
        )

    def _index_problems(self) -> list[str]:
        indexes = getattr(self._node, "indexes", None)
        return [index.problem for index in indexes.all if index.problem] if indexes is not None else []

    def _network_problems(self) -> list[str]:
        now = asyncio.get_running_loop().time()
        if self._up_since is None:
            self._up_since = now
        problem = Standing.of(self._node).problem(now - self._up_since)
        return [problem] if problem else []

    def _counters(self) -> dict[str, int]:
        return {
            "height": self._node.chain.height,
            "peers": len(self._node.peers.peers),
            "mempool": len(self._node.mempool),
            "mempool_bytes": self._node.mempool.total_vsize,
            "headers": self._node.chain.best_header.height,
            "verified_millionths": int(self._node.chain.verification_progress * 1_000_000),
        }


def _busy(chain: ChainState) -> str:
    """What the kernel's thread has been at for longer than a block takes."""
    busy = chain.kernel_busy
    return f", kernel busy for {busy[1]:.0f} s ({busy[0]})" if busy is not None and busy[1] > _LONG_FOR_A_BLOCK else ""


class Changes(Listener):
    """Says that chain, mempool or peers changed, at most once a turn of the loop."""

    def __init__(self, node: Node, changed: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = changed
        self._due = False
        self._endings = [node.chain.subscribe(self).close, node.mempool.subscribe(self).close]
        node.peers.on_change = self._note

    def close(self) -> None:
        """Say nothing more."""
        for end in self._endings:
            end()
        self._endings.clear()

    def tip_changed(self, node: BlockNode) -> None:
        self._note()

    def header_added(self, node: BlockNode) -> None:
        self._note()

    def block_disconnected(self, node: BlockNode, contents: BlockContents) -> None:
        self._note()

    def added(self, entry: MempoolEntry) -> None:
        self._note()

    def returned(self, entry: MempoolEntry) -> None:
        self._note()

    def removed(self, entry: MempoolEntry, reason: Removal) -> None:
        self._note()

    def _note(self) -> None:
        if not self._due:
            self._due = True
            self._loop.call_soon(self._tell)

    def _tell(self) -> None:
        self._due = False
        if self._endings:
            self._changed()


def topics(node: Node) -> dict[str, dict[str, Any]]:
    """The state of each topic that the node tells (`interfaces.events`)."""
    chain = node.chain
    return {
        "tip": {
            "chain": chain.params.name,
            "height": chain.height,
            "headers": chain.best_header.height,
            "hash": chain.tip.hash.hex(),
            "time": chain.tip.time,
            "initialblockdownload": chain.initial_block_download,
            "peers": len(node.peers.peers),
        },
        "mempool": {"size": len(node.mempool), "bytes": node.mempool.total_vsize},
    }
