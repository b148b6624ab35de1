"""A node between a wallet and the real node that gives each block only when the test lets it, and may be coming up."""

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

from bitcoind_mp import __version__
from bitcoind_mp.interfaces.chain import BlockData, BlockRef, Chain, Follower, MempoolTransaction
from bitcoind_mp.interfaces.init import PROTOCOL_VERSION, Hello
from bitcoind_mp.ipc.client import connect
from bitcoind_mp.ipc.proxy import proxy
from bitcoind_mp.ipc.serve.server import Server
from bitcoind_mp.ipc.wire.credentials import own_user
from bitcoind_mp.ipc.wire.unix import bind_listener
from bitcoind_mp.wallet.chain.node_link import chain_through


class Gated(Follower):
    """Passes all on to ``follower``, blocks one by one as the gate lets them."""

    def __init__(self, follower: Follower, gate: asyncio.Semaphore) -> None:
        self._follower = follower
        self._gate = gate

    async def block_connected(self, stream: int, data: BlockData) -> None:
        await self._gate.acquire()
        await self._follower.block_connected(stream, data)

    async def block_disconnected(self, stream: int, block: BlockRef, previous: BlockRef) -> None:
        await self._follower.block_disconnected(stream, block, previous)

    async def synced(self, stream: int, tip: BlockRef) -> None:
        await self._follower.synced(stream, tip)

    async def transaction_added(self, stream: int, transaction: MempoolTransaction) -> None:
        await self._follower.transaction_added(stream, transaction)

    async def transaction_removed(self, stream: int, txid: str, reason: str) -> None:
        await self._follower.transaction_removed(stream, txid, reason)

    async def mempool_told(self, stream: int) -> None:
        await self._follower.mempool_told(stream)

    async def clock_set(self, stream: int, clock: int, stands: bool) -> None:
        await self._follower.clock_set(stream, clock, stands)


def gated(chain: Chain, gate: asyncio.Semaphore) -> Chain:
    """That chain, with a gate before each block it gives."""

    async def present() -> Chain:
        return chain

    through: Any = type(chain_through(present))

    class Slow(through):  # type: ignore[misc]
        async def follow(self, locator: list[str], follower: Follower, stop_height: int | None = None) -> int:
            return await chain.follow(locator, Gated(follower, gate), stop_height)

    made: Chain = Slow()
    return made


class SlowNode:
    """In a thread of its own, from `start` to `close`. ``path`` is its socket, ``real`` the real node's."""

    def __init__(self, path: Path, real: Path) -> None:
        self.path = path
        self._real = real
        self._loop = asyncio.new_event_loop()
        self._gate = asyncio.Semaphore(0)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: Server | None = None

    def start(self, warmup: str = "") -> "SlowNode":
        """Serve; with ``warmup``, as a node that is coming up until `come_up`."""
        self._thread.start()
        self._run(self._serve(warmup))
        if not warmup:
            self.come_up()
        return self

    def come_up(self) -> None:
        """Have the chain to give."""
        self._run(self._add_chain())

    def let(self, blocks: int) -> None:
        """So many more blocks may pass."""
        self._loop.call_soon_threadsafe(lambda: [self._gate.release() for _ in range(blocks)])

    def close(self) -> None:
        if self._server is not None:
            self._run(self._server.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)

    def _run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _serve(self, warmup: str) -> None:
        self._server = Server([_Nothing()], hello=_hello("node"), access=own_user(""), warmup=warmup)
        await self._server.serve(bind_listener(self.path))

    async def _add_chain(self) -> None:
        assert self._server is not None
        session = await connect(self._real, hello=_hello("wallet"))
        chain: Chain = proxy(Chain, session)  # type: ignore[type-abstract]
        self._server.add(gated(chain, self._gate))
        self._server.warmup = ""


class _Nothing:
    """A server wants to serve something."""


def _hello(role: str) -> Hello:
    return Hello(role, PROTOCOL_VERSION, "regtest", __version__, os.getpid())
