"""The block feed over a real chain and a real mempool; each test on the object itself and on a proxy over a socket."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest

from bitcoind_mp.interfaces.chain import Chain, Follower
from bitcoind_mp.interfaces.errors import Disconnected, RpcError
from bitcoind_mp.interfaces.init import PROTOCOL_VERSION, Hello
from bitcoind_mp.ipc.client import attach
from bitcoind_mp.ipc.proxy import proxy
from bitcoind_mp.ipc.serve.server import Server
from bitcoind_mp.node.broadcast import Broadcaster
from bitcoind_mp.node.chain.contents import BlockContents
from bitcoind_mp.node.feed import Feed
from bitcoind_mp.node.kernel import verify_scripts
from bitcoind_mp.node.mempool.policy import MempoolPolicy
from bitcoind_mp.node.mempool.pool import Mempool

ANYONE = b"\x61" * 8 + b"\x51"


class Notebook(Follower):
    """Writes down what it is told; ``open`` is cleared to make it a slow one."""

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []
        self.raws: dict[str, str] = {}
        self.open = asyncio.Event()
        self.open.set()
        self.begun = 0
        self._moved = asyncio.Condition()

    async def block_connected(self, stream, data) -> None:
        self.begun += 1
        await self.open.wait()
        self.raws[data.block.hash] = data.raw
        await self._note("+", data.block.height)

    async def block_disconnected(self, stream, block, previous) -> None:
        await self.open.wait()
        assert previous.height == block.height - 1
        await self._note("-", block.height)

    async def synced(self, stream, tip) -> None:
        await self.open.wait()
        await self._note("synced", tip.height)

    async def transaction_added(self, stream, transaction) -> None:
        await self.open.wait()
        await self._note("tx", transaction.txid)

    async def transaction_removed(self, stream, txid, reason) -> None:
        await self.open.wait()
        await self._note(reason, txid)

    async def clock_set(self, stream, clock, stands) -> None:
        await self._note("clock", (clock, stands))

    async def _note(self, what: str, which: object) -> None:
        async with self._moved:
            self.told.append((what, which))
            self._moved.notify_all()

    def has(self, *run: tuple[str, object]) -> bool:
        """Whether it was told these, one right after the other."""
        return any(tuple(self.told[at : at + len(run)]) == run for at in range(len(self.told)))

    async def until(self, *run: tuple[str, object]) -> None:
        """Wait until it has been told these."""
        async with asyncio.timeout(10), self._moved:
            await self._moved.wait_for(lambda: self.has(*run))


class World:
    """A chain, its mempool, and the feed as a wallet has it (``remote``)."""

    def __init__(self, chain, maker) -> None:
        self.chain, self.maker = chain, maker
        policy = MempoolPolicy(require_standard=False, min_relay_fee=0, incremental_relay_fee=0)
        self.mempool = Mempool(chain, policy, verify=verify_scripts, directory=None)
        self.feed = Feed(chain, self.mempool, Broadcaster(chain, self.mempool, lambda entry: None))
        self.remote: Chain = self.feed
        self.session = self.server = None

    async def connect(self) -> None:
        """From here on ``remote`` is a proxy."""
        ours, theirs = socket.socketpair()
        self.server = Server([self.feed], hello=Hello("node", PROTOCOL_VERSION, "regtest", "0", 1))
        await self.server.adopt(ours)
        self.session = await attach(theirs, hello=Hello("wallet", PROTOCOL_VERSION, "regtest", "0", 2))
        self.remote = proxy(Chain, self.session)

    async def close(self) -> None:
        await self.feed.close()
        if self.session is not None:
            await self.session.close()
            await self.server.close(1)
        await self.mempool.close()

    async def mine(self, count: int = 1, *transactions, tag: bytes = b"", parent=None) -> list[bytes]:
        parent = parent or self.chain.tip
        blocks = []
        previous, height = parent.hash, parent.height
        for _ in range(count):
            height += 1
            raw = self.maker.block(previous, height, *transactions, tag=tag)
            await self.chain.submit_block(raw, durable=False)
            previous, transactions = BlockContents(raw).block.header.hash, ()
            blocks.append(raw)
        return blocks


@pytest.fixture(params=["itself", "proxy"])
def world(request, chain_at, maker):
    @asynccontextmanager
    async def opened():
        async with chain_at() as chain:
            world = World(chain, maker)
            await world.mempool.load()
            if request.param == "proxy":
                await world.connect()
            try:
                yield world
            finally:
                await world.close()

    return opened


def test_it_starts_with_genesis_and_goes_on_live(world, run) -> None:
    async def body():
        async with world() as w:
            blocks = await w.mine(3)
            notebook = Notebook()
            await w.remote.follow([], notebook)
            await notebook.until(("+", 0), ("+", 1), ("+", 2), ("+", 3), ("synced", 3))
            await w.mine(1)
            await notebook.until(("synced", 3), ("+", 4))
            assert notebook.raws[w.chain.by_height(2).hash.hex()] == blocks[1].hex()

    run(body())


def test_a_clock_that_is_set_is_told_before_what_comes_after(world, run) -> None:
    async def body():
        async with world() as w:
            notebook = Notebook()
            await w.remote.follow([], notebook)
            await notebook.until(("synced", 0))
            stands = w.chain.clock.now() + 7
            w.chain.clock.set_mock(stands)
            await w.mine(1)
            await notebook.until(("clock", (stands, True)), ("+", 1))

    run(body())


def test_it_resumes_at_the_locator(world, run) -> None:
    async def body():
        async with world() as w:
            await w.mine(20)
            locator = await w.remote.locator(w.chain.by_height(17).hash.hex())
            notebook = Notebook()
            await w.remote.follow(locator, notebook)
            await notebook.until(("synced", 20))
            assert notebook.told == [("+", 18), ("+", 19), ("+", 20), ("synced", 20)]
            again = Notebook()
            await w.remote.follow([w.chain.tip.hash.hex()], again)
            await again.until(("synced", 20))
            assert again.told == [("synced", 20)]

    run(body())


def test_a_follower_on_a_stale_branch_is_taken_back_to_the_fork(world, run) -> None:
    async def body():
        async with world() as w:
            await w.mine(5)
            stale = w.chain.tip
            locator = [hash.hex() for hash in w.chain.locator()]
            await w.mine(4, tag=b"fork", parent=w.chain.by_height(3))
            notebook = Notebook()
            await w.remote.follow(locator, notebook)
            await notebook.until(("synced", 7))
            assert notebook.told == [("-", 5), ("-", 4), *(("+", height) for height in range(4, 8)), ("synced", 7)]
            assert not w.chain.contains(stale)

    run(body())


def test_a_follower_with_a_block_that_nobody_knows_is_told_it_off(world, run) -> None:
    async def body():
        async with world() as w:
            await w.mine(3)
            notebook = Notebook()
            await w.remote.follow(["ab" * 32, w.chain.by_height(2).hash.hex()], notebook)
            await notebook.until(("synced", 3))
            assert notebook.told == [("-", 3), ("+", 3), ("synced", 3)]

    run(body())


def test_a_reorganisation_is_told_live(world, run) -> None:
    async def body():
        async with world() as w:
            await w.mine(4)
            notebook = Notebook()
            await w.remote.follow([w.chain.tip.hash.hex()], notebook)
            await notebook.until(("synced", 4))
            await w.mine(3, tag=b"fork", parent=w.chain.by_height(2))
            await notebook.until(("-", 4), ("-", 3), ("+", 3), ("+", 4), ("+", 5))

    run(body())


def test_a_stream_with_a_stop_height_ends_there(world, run) -> None:
    async def body():
        async with world() as w:
            await w.mine(9)
            notebook = Notebook()
            await w.remote.follow([w.chain.by_height(2).hash.hex()], notebook, 5)
            await notebook.until(("+", 3), ("+", 4), ("+", 5), ("synced", 5))
            while w.feed.streams:  # noqa: ASYNC110 (nobody is told)
                await asyncio.sleep(0)
            await w.mine(1)
            assert notebook.told[-1] == ("synced", 5)

    run(body())


def test_the_mempool_is_told_once_after_synced_and_then_as_it_changes(world, run) -> None:
    async def body():
        async with world() as w:
            blocks = await w.mine(103)
            coins = [BlockContents(raw).transactions[0].id for raw in blocks[:3]]
            parent = w.maker.spend(coins[0], 0, 49_0000_0000)
            child = w.maker.spend(parent.id, 0, 48_0000_0000)
            for tx in (parent, child):
                assert await w.remote.broadcast(tx.serialize(True).hex(), None) == tx.id.hex()
            notebook = Notebook()
            await w.remote.follow([w.chain.tip.hash.hex()], notebook)
            await notebook.until(("synced", 103), ("tx", parent.id.hex()), ("tx", child.id.hex()))
            first = w.maker.spend(coins[1], 0, 49_0000_0000)
            await w.remote.broadcast(first.serialize(True).hex(), None)
            await notebook.until(("tx", first.id.hex()))
            second = w.maker.spend(coins[1], 0, 40_0000_0000)
            await w.remote.broadcast(second.serialize(True).hex(), None)
            await notebook.until(("replaced", first.id.hex()), ("tx", second.id.hex()))
            await w.mine(1, parent, child)
            await notebook.until(("+", 104))
            await w.mine(1, w.maker.spend(coins[1], 0, 1))
            await notebook.until(("+", 105), ("conflict", second.id.hex()))

    run(body())


def test_a_slow_follower_holds_up_nobody_and_gets_everything(world, run) -> None:
    async def body():
        async with world() as w:
            await w.mine(2)
            slow, quick = Notebook(), Notebook()
            slow.open.clear()
            await w.remote.follow([], slow)
            await w.remote.follow([], quick)
            await quick.until(("synced", 2))
            await w.mine(150)
            await quick.until(("+", 152))
            assert slow.begun <= 16, "no more than the window"
            slow.open.set()
            await slow.until(("+", 152))
            heights = [which for what, which in slow.told if what == "+"]
            assert heights == list(range(153))

    run(body())


def test_a_slow_follower_is_not_told_of_what_came_and_went(world, run) -> None:
    async def body():
        async with world() as w:
            blocks = await w.mine(101)
            coinbase = BlockContents(blocks[0]).transactions[0].id
            slow = Notebook()
            await w.remote.follow([w.chain.tip.hash.hex()], slow)
            await slow.until(("synced", 101))
            slow.open.clear()
            await w.mine(70)
            tx = w.maker.spend(coinbase, 0, 1_0000_0000)
            await w.remote.broadcast(tx.serialize(True).hex(), None)
            await w.mine(1, tx)
            slow.open.set()
            await slow.until(("+", 172))
            assert not any(what == "tx" for what, _ in slow.told)

    run(body())


def test_unfollow_ends_a_stream_and_no_other(world, run) -> None:
    async def body():
        async with world() as w:
            ended, other = Notebook(), Notebook()
            number = await w.remote.follow([], ended)
            assert abs(await w.remote.follow([], other) - number) > 1000, "nobody guesses another's"
            await ended.until(("synced", 0))
            await other.until(("synced", 0))
            await w.remote.unfollow(number)
            await w.remote.unfollow(number)
            await w.mine(2)
            await other.until(("+", 1), ("+", 2))
            assert ended.told[-1] == ("synced", 0)

    run(body())


def test_what_the_wallet_may_ask(world, run) -> None:
    async def body():
        async with world() as w:
            blocks = await w.mine(103)
            status = await w.remote.status()
            assert (status.chain, status.tip.height, status.headers) == ("regtest", 103, 103)
            assert status.clock == w.chain.clock.now()
            tip = w.chain.tip
            found = await w.remote.find_block(tip.hash.hex())
            assert found is not None
            assert (found.height, found.time, found.median_time) == (103, tip.time, tip.median_time)
            assert await w.remote.find_block("00" * 32) is None
            assert await w.remote.block_at(104) is None
            whole = await w.remote.block(tip.hash.hex())
            assert whole is not None
            assert (whole.block, whole.previous) == (found, tip.previous_hash.hex())
            assert BlockContents(bytes.fromhex(whole.raw)).transactions
            assert await w.remote.block("00" * 32) is None
            there = await w.remote.find_by_time(w.chain.by_height(50).time, 0)
            assert there is not None and there.height == 50
            coinbase = BlockContents(blocks[0]).transactions[0].id
            spend = w.maker.spend(coinbase, 0, 49_9000_0000)
            raw = spend.serialize(True).hex()
            assert [answer["allowed"] for answer in await w.remote.test_accept([raw])] == [True]
            before = await w.remote.coins([(coinbase.hex(), 0), ("01" * 32, 0)])
            assert before[0] is not None and (before[0].amount, before[0].height) == (50_0000_0000, 1)
            assert before[1] is None
            await w.remote.broadcast(raw, None)
            assert await w.remote.broadcast(raw, None) == spend.id.hex()
            after = await w.remote.coins([(coinbase.hex(), 0), (spend.id.hex(), 0)])
            assert after[0] is not None and after[0].height == 1  # spent in the mempool alone
            assert after[1] is not None and (after[1].height, after[1].script) == (-1, ANYONE.hex())
            assert await w.remote.mempool_spender([(coinbase.hex(), 0), ("01" * 32, 1)]) == [spend.id.hex(), None]
            assert await w.remote.transaction(spend.id.hex()) == raw
            package = (await w.remote.packages([spend.id.hex(), "02" * 32]))[0]
            assert package is not None and (package.fee, package.ancestors, package.cluster) == (1000_0000, 1, 1)
            assert await w.remote.bump_fees([(spend.id.hex(), 0)], 1) == [0]
            assert await w.remote.combined_bump_fee([(spend.id.hex(), 0)], 1) == 0
            policy = await w.remote.fee_policy()
            assert policy.min_relay == 0
            assert (await w.remote.estimate_fee(6, False)).rate is None
            with pytest.raises(RpcError) as refused:
                await w.remote.broadcast(w.maker.spend(b"\x09" * 32, 0, 1).serialize(True).hex(), None)
            assert refused.value.code == -25
            with pytest.raises(RpcError) as refused:
                await w.remote.broadcast("00", None)
            assert refused.value.code == -22
            with pytest.raises(RpcError):
                await w.remote.find_block("xyz")

    run(body())


def test_a_stream_ends_with_its_connection(chain_at, maker, run) -> None:
    async def body():
        async with chain_at() as chain:
            w = World(chain, maker)
            await w.connect()
            notebook = Notebook()
            notebook.open.clear()
            await w.mine(3)
            await w.remote.follow([], notebook)
            assert w.feed.streams == 1
            await w.session.close()
            async with asyncio.timeout(5):
                while w.feed.streams:  # noqa: ASYNC110 (nobody is told)
                    await asyncio.sleep(0)
            with pytest.raises((Disconnected, OSError)):
                await w.remote.status()
            await w.close()

    run(body())
