"""Callers can't tell local from remote: values, refusals, absences, order of callbacks, the end of a subscription."""

import asyncio
from typing import Any

import pytest

from bitcoind_mp.interfaces.chain import (
    BlockData,
    BlockRef,
    Chain,
    ChainStatus,
    CoinValue,
    FeeEstimate,
    FeePolicy,
    Follower,
    MempoolPackage,
    MempoolTransaction,
)
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.events import Events, EventSink
from bitcoind_mp.interfaces.health import Health, HealthCheck
from bitcoind_mp.ipc.declared.signature import declared
from bitcoind_mp.ipc.events import Publisher


def block(height: int) -> BlockRef:
    return BlockRef(f"{height:064x}", height, 1_300_000_000 + height, 1_300_000_000)


class SmallChain(Chain):
    """A chain of so many blocks, kept in memory. Each follower is fed by a task of its own."""

    def __init__(self, height: int) -> None:
        self.blocks = [block(n) for n in range(height + 1)]
        self.feeds: dict[int, asyncio.Task[None]] = {}

    async def status(self) -> ChainStatus:
        return ChainStatus("regtest", self.blocks[-1], len(self.blocks) - 1, False, 1_300_001_000)

    async def find_block(self, hash: str) -> BlockRef | None:
        return next((one for one in self.blocks if one.hash == hash), None)

    async def block(self, hash: str) -> BlockData | None:
        found = await self.find_block(hash)
        return None if found is None else BlockData(found, "00" * 32, "ab" * 100)

    async def block_at(self, height: int) -> BlockRef | None:
        return self.blocks[height] if height < len(self.blocks) else None

    async def find_by_time(self, time: int, min_height: int) -> BlockRef | None:
        return next((one for one in self.blocks[min_height:] if one.time >= time), None)

    async def locator(self, hash: str) -> list[str]:
        return [hash, self.blocks[0].hash]

    async def follow(self, locator: list[str], follower: Follower, stop_height: int | None = None) -> int:
        number = len(self.feeds) + 1
        self.feeds[number] = asyncio.ensure_future(self._feed(number, follower, stop_height))
        return number

    async def _feed(self, number: int, follower: Follower, stop_height: int | None) -> None:
        last = len(self.blocks) - 1 if stop_height is None else stop_height
        for one in self.blocks[: last + 1]:
            await follower.block_connected(number, BlockData(one, "00" * 32, "ab" * 100))
        await follower.synced(number, self.blocks[last])
        await follower.transaction_added(number, MempoolTransaction("aa" * 32, "00", 141, 5))
        await follower.transaction_removed(number, "aa" * 32, "expiry")
        await follower.block_disconnected(number, self.blocks[last], self.blocks[last - 1])

    async def unfollow(self, stream: int) -> None:
        self.feeds.pop(stream).cancel()

    async def broadcast(self, raw: str, max_fee_rate: int | None) -> str:
        if max_fee_rate is not None and max_fee_rate < 10:
            raise RpcError(RpcCode.VERIFY_ERROR, "Fee exceeds maximum configured by user", {"limit": max_fee_rate})
        return "bb" * 32

    async def test_accept(self, raws: list[str]) -> list[dict[str, Any]]:
        return [{"txid": raw, "allowed": True} for raw in raws]

    async def fee_policy(self) -> FeePolicy:
        return FeePolicy(1000, 1000, 1000, 3000)

    async def estimate_fee(self, target: int, conservative: bool) -> FeeEstimate:
        return FeeEstimate(None, target, ["Insufficient data or no feerate found"])

    async def coins(self, outpoints: list[tuple[str, int]]) -> list[CoinValue | None]:
        return [CoinValue(5, "51", n, False) if n else None for _, n in outpoints]

    async def transaction(self, txid: str) -> str | None:
        return None

    async def packages(self, txids: list[str]) -> list[MempoolPackage | None]:
        return [MempoolPackage(txid, 100, 5, 5, 1, 100, 5, 1, 100, 5, 1, True) for txid in txids]

    async def bump_fees(self, outpoints: list[tuple[str, int]], rate: int) -> list[int]:
        return [n * rate for _, n in outpoints]

    async def combined_bump_fee(self, outpoints: list[tuple[str, int]], rate: int) -> int:
        return sum(n * rate for _, n in outpoints)

    async def mempool_spender(self, outpoints: list[tuple[str, int]]) -> list[str | None]:
        return [txid if n else None for txid, n in outpoints]


class Listening(Follower):
    """Writes down what it is told, slowly."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.busy = False
        self.last = asyncio.Event()

    async def _tell(self, *facts: Any) -> None:
        assert not self.busy, "told of two things at once"
        self.busy = True
        await asyncio.sleep(0)
        self.busy = False
        self.told.append(facts)

    async def block_connected(self, stream: int, data: BlockData) -> None:
        assert isinstance(data, BlockData) and isinstance(data.block, BlockRef)
        await self._tell("connected", stream, data.block.height)

    async def block_disconnected(self, stream: int, block: BlockRef, previous: BlockRef) -> None:
        await self._tell("disconnected", stream, block.height, previous.height)
        self.last.set()

    async def synced(self, stream: int, tip: BlockRef) -> None:
        await self._tell("synced", stream, tip)

    async def transaction_added(self, stream: int, transaction: MempoolTransaction) -> None:
        await self._tell("added", stream, transaction)

    async def transaction_removed(self, stream: int, txid: str, reason: str) -> None:
        await self._tell("removed", stream, txid, reason)

    async def clock_set(self, stream: int, clock: int, stands: bool) -> None:
        await self._tell("clock", stream, clock, stands)


def test_values_come_as_they_are(reach: Any) -> None:
    async def main() -> None:
        async with reach(Chain, SmallChain(5)) as chain:
            assert await chain.status() == ChainStatus("regtest", block(5), 5, False, 1_300_001_000)
            assert await chain.find_block(block(3).hash) == block(3)
            assert await chain.find_block("00") is None
            assert await chain.block(block(3).hash) == BlockData(block(3), "00" * 32, "ab" * 100)
            assert await chain.block("00") is None
            assert await chain.block_at(height=2) == block(2)
            assert await chain.block_at(99) is None
            assert await chain.find_by_time(1_300_000_003, 0) == block(3)
            assert await chain.locator("aa") == ["aa", block(0).hash]
            assert await chain.broadcast("00", None) == "bb" * 32
            assert await chain.test_accept(["aa"]) == [{"txid": "aa", "allowed": True}]
            assert await chain.fee_policy() == FeePolicy(1000, 1000, 1000, 3000)
            assert await chain.estimate_fee(6, conservative=True) == FeeEstimate(
                None, 6, ["Insufficient data or no feerate found"]
            )
            assert await chain.coins([("aa", 0), ("bb", 7)]) == [None, CoinValue(5, "51", 7, False)]
            assert await chain.transaction("aa") is None
            (package,) = await chain.packages(["aa"])
            assert isinstance(package, MempoolPackage) and package.replaceable is True
            assert await chain.bump_fees([("aa", 2)], 10) == [20]
            assert await chain.combined_bump_fee([("aa", 2), ("bb", 1)], 10) == 30
            assert await chain.mempool_spender([("aa", 0), ("bb", 1)]) == [None, "bb"]

    asyncio.run(main())


def test_a_refusal_comes_as_it_is(reach: Any) -> None:
    async def main() -> None:
        async with reach(Chain, SmallChain(1)) as chain:
            with pytest.raises(RpcError) as caught:
                await chain.broadcast("00", 5)
            assert caught.value.code == RpcCode.VERIFY_ERROR
            assert caught.value.message == "Fee exceeds maximum configured by user"
            assert caught.value.data == {"limit": 5}

    asyncio.run(main())


def test_a_wrong_call_is_a_type_error(reach: Any) -> None:
    async def main() -> None:
        async with reach(Chain, SmallChain(1)) as chain:
            with pytest.raises(TypeError):
                await chain.block_at()
            with pytest.raises(TypeError):
                await chain.block_at(1, 2)
            with pytest.raises(TypeError):
                await chain.block_at(depth=1)

    asyncio.run(main())


def test_a_follower_is_told_everything_in_order(reach: Any) -> None:
    async def main() -> None:
        async with reach(Chain, SmallChain(20)) as chain:
            follower = Listening()
            stream = await chain.follow([], follower)
            await asyncio.wait_for(follower.last.wait(), 10)
            assert follower.told == [
                *(("connected", stream, height) for height in range(21)),
                ("synced", stream, block(20)),
                ("added", stream, MempoolTransaction("aa" * 32, "00", 141, 5)),
                ("removed", stream, "aa" * 32, "expiry"),
                ("disconnected", stream, 20, 19),
            ]
            other = Listening()
            second = await chain.follow([], other, stop_height=2)
            await asyncio.wait_for(other.last.wait(), 10)
            assert second != stream and other.told[3] == ("synced", second, block(2))
            await chain.unfollow(second)

    asyncio.run(main())


def test_calls_made_together_each_get_their_answer(reach: Any) -> None:
    async def main() -> None:
        async with reach(Chain, SmallChain(50)) as chain:
            found = await asyncio.gather(*(chain.block_at(height) for height in range(50)))
            assert [one.height for one in found] == list(range(50))

    asyncio.run(main())


class Collecting(EventSink):
    def __init__(self) -> None:
        self.told: dict[str, Any] = {}
        self.news = asyncio.Event()

    async def changed(self, topic: str, state: dict[str, Any]) -> None:
        self.told[topic] = state
        self.news.set()

    async def until(self, topic: str, state: dict[str, Any]) -> None:
        while self.told.get(topic) != state:
            self.news.clear()
            await asyncio.wait_for(self.news.wait(), 10)


def test_a_subscriber_learns_the_newest_state(reach: Any) -> None:
    async def main() -> None:
        publisher = Publisher(["tip", "mempool"], interval=0.001)
        publisher.publish("tip", {"height": 1, "parts": [1, {"a": None}]})
        async with reach(Events, publisher) as events:
            sink = Collecting()
            assert await events.subscribe(["tip", "nosuch"], sink) == ["tip"]
            await sink.until("tip", {"height": 1, "parts": [1, {"a": None}]})
            for height in range(2, 30):
                publisher.publish("tip", {"height": height})
            await sink.until("tip", {"height": 29})
            assert "mempool" not in sink.told
        publisher.close()

    asyncio.run(main())


def test_health(reach: Any) -> None:
    class Worker(HealthCheck):
        async def check(self) -> Health:
            return Health("synced at height 112", ["The disk is nearly full."], {"open_files": 12})

    async def main() -> None:
        async with reach(HealthCheck, Worker()) as worker:
            assert await worker.check() == Health(
                "synced at height 112", ["The disk is nearly full."], {"open_files": 12}
            )

    asyncio.run(main())


def test_every_method_of_the_chain_was_called_above() -> None:
    """The list of the interface's methods, so that one added there is missed here."""
    assert sorted(declared(Chain)) == [
        "block", "block_at", "broadcast", "bump_fees", "coins", "combined_bump_fee", "estimate_fee", "fee_policy",
        "find_block", "find_by_time", "follow", "locator", "mempool_spender", "packages", "status", "test_accept",
        "transaction", "unfollow",
    ]  # fmt: skip
