"""What the supervisor is told of the chain: each new tip, also those that came while nobody was there to be told."""

import asyncio
from collections.abc import Callable
from typing import Any

from bitcoind_mp.interfaces.chain import BlockRef
from bitcoind_mp.interfaces.errors import Disconnected
from bitcoind_mp.interfaces.notices import NodeWatcher
from bitcoind_mp.node.chain.contents import BlockContents
from bitcoind_mp.node.chain.state import ChainState
from bitcoind_mp.node.chain.values import Subscription
from bitcoind_mp.node.watch import ChainWatch


class Listener(NodeWatcher):
    """Writes down what it is told; ``open`` is cleared to make it a slow one."""

    def __init__(self) -> None:
        self.heights: list[int] = []
        self.hashes: list[str] = []
        self.missed = 0
        self.warned: list[list[str]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.is_gone = False
        self._moved = asyncio.Condition()

    async def tips(self, blocks: list[BlockRef], missed: int) -> None:
        await self.open.wait()
        if self.is_gone:
            raise Disconnected("gone")
        async with self._moved:
            self.heights += [block.height for block in blocks]
            self.hashes += [block.hash for block in blocks]
            self.missed += missed
            self._moved.notify_all()

    async def warnings(self, texts: list[str]) -> None:
        async with self._moved:
            self.warned.append(texts)
            self._moved.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20), self._moved:
            await self._moved.wait_for(condition)


async def mine(chain: Any, maker: Any, count: int, *, parent: Any = None, tag: bytes = b"", **more: Any) -> None:
    parent = parent or chain.tip
    previous, height = parent.hash, parent.height
    for _ in range(count):
        height += 1
        raw = maker.block(previous, height, tag=tag, time=chain.clock.now() - 5000 + height, **more)
        await chain.submit_block(raw, durable=False)
        previous = BlockContents(raw).block.header.hash


def attend(watcher: Any, gone: Callable[[], None]) -> None:
    watcher.gone = gone


def test_each_block_is_told_once_and_a_reorganisation_by_its_end(chain_at: Any, maker: Any, run: Any) -> None:
    async def body() -> None:
        async with chain_at() as chain:
            await mine(chain, maker, 1)
            watch, listener = ChainWatch(chain, attend), Listener()
            assert await watch.watch("", listener) == chain.tip.hash.hex()
            await mine(chain, maker, 3)
            await listener.until(lambda: len(listener.heights) == 3)
            await mine(chain, maker, 3, parent=chain.by_height(2), tag=b"fork")
            await listener.until(lambda: len(listener.heights) == 4)
            assert listener.heights == [2, 3, 4, 5]
            assert listener.hashes[-1] == chain.tip.hash.hex()
            watch.close()

    run(body())


def test_blocks_that_came_meanwhile_are_told_first(chain_at: Any, maker: Any, run: Any) -> None:
    async def body() -> None:
        async with chain_at() as chain:
            await mine(chain, maker, 4)
            watch, listener = ChainWatch(chain, attend), Listener()
            await watch.watch(chain.by_height(2).hash.hex(), listener)
            await listener.until(lambda: len(listener.heights) == 2)
            stale = chain.tip.hash.hex()
            await mine(chain, maker, 3, parent=chain.by_height(2), tag=b"fork")
            again = Listener()
            await watch.watch(stale, again)
            await again.until(lambda: len(again.heights) == 3)
            assert (listener.heights[:2], again.heights) == ([3, 4], [3, 4, 5])
            unknown = Listener()
            await watch.watch("11" * 32, unknown)
            await mine(chain, maker, 1)
            await unknown.until(lambda: len(unknown.heights) == 1)
            assert unknown.heights == [6]
            watch.close()

    run(body())


def test_nothing_is_told_in_the_initial_download(chain_at: Any, maker: Any, run: Any) -> None:
    async def body() -> None:
        async with chain_at() as chain:
            watch, listener = ChainWatch(chain, attend), Listener()
            assert await watch.watch("", listener) == ""
            raw = maker.block(chain.tip.hash, 1)  # of 2020
            await chain.submit_block(raw, durable=False)
            assert chain.initial_block_download
            await mine(chain, maker, 1)
            await listener.until(lambda: bool(listener.heights))
            assert listener.heights == [2]
            watch.close()

    run(body())


def test_a_watcher_that_is_far_behind_is_told_how_many_it_missed(chain_at: Any, maker: Any, run: Any) -> None:
    async def body() -> None:
        async with chain_at() as chain:
            await mine(chain, maker, 1)
            watch, listener = ChainWatch(chain, attend), Listener()
            listener.open.clear()
            await watch.watch("", listener)
            await mine(chain, maker, 1)
            for _ in range(1500):
                watch.tip_changed(chain.tip)
            listener.open.set()
            await listener.until(lambda: len(listener.heights) + listener.missed == 1501)
            assert listener.missed >= 450
            watch.close()

    run(body())


def test_rules_that_the_kernel_does_not_know_are_a_warning(chain_at: Any, maker: Any, run: Any) -> None:
    """Three of regtest's periods of 144 blocks: started, locked in, active."""

    async def body() -> None:
        async with chain_at() as chain:
            watch, listener = ChainWatch(chain, attend), Listener()
            await watch.watch("", listener)
            await mine(chain, maker, 144)
            await mine(chain, maker, 288, version=0x20000000 | 1 << 27)
            await listener.until(lambda: bool(listener.warned))
            assert listener.warned == [["Unknown new rules activated (versionbit 27)"]]
            watch.close()

    run(body())


class Warning(ChainState):
    """Nothing but what the kernel warns of."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    @property
    def warnings(self) -> list[str]:
        return list(self.texts)

    def subscribe(self, listener: Any) -> Subscription:
        return Subscription(lambda: None)

    @property
    def initial_block_download(self) -> bool:
        return True


def test_warnings_are_told_as_they_are_now(run: Any) -> None:
    async def body() -> None:
        chain = Warning()
        watch, listener = ChainWatch(chain, attend), Listener()
        await watch.watch("", listener)
        chain.texts = ["Unknown new rules activated (versionbit 28)"]
        watch.warned()
        await listener.until(lambda: bool(listener.warned))
        chain.texts = []
        watch.warned()
        await listener.until(lambda: len(listener.warned) == 2)
        assert listener.warned == [["Unknown new rules activated (versionbit 28)"], []]
        watch.close()

    run(body())
