"""A node in memory that implements `interfaces.chain.Chain`, and wallets that follow it."""

import asyncio
import hashlib
import itertools
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from btclib.script.script_pub_key import ScriptPubKey
from btclib.tx import OutPoint, Tx, TxIn, TxOut

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
from bitcoind_mp.interfaces.command import Call
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.signer import Signer
from bitcoind_mp.render.address import decode_destination
from bitcoind_mp.signing.sealing import Cost
from bitcoind_mp.wallet.chain.follow import Attachment
from bitcoind_mp.wallet.chain.node_link import chain_through
from bitcoind_mp.wallet.clock import NodeClock
from bitcoind_mp.wallet.coins import OutputType
from bitcoind_mp.wallet.options import WalletOptions
from bitcoind_mp.wallet.wallet import Wallet
from bitcoind_mp.wallet.wallets.creation import Recipe, genesis
from bitcoind_mp.wallet.wallets.manager import Wallets
from bitcoind_mp.wallet.wallets.startup import SessionList, StartupList

#: The fake node's clock, and its genesis' time.
NOW = 1_700_000_000
#: An Argon2id that costs nothing.
CHEAP = Cost(passes=1, lanes=1, memory=8)
SUBSIDY = 50 * 100_000_000
STRANGER = bytes.fromhex("0014") + b"\x11" * 20
_ANYONE = bytes.fromhex("51")
_counter = itertools.count(1)


def make_tx(
    inputs: Iterable[tuple[bytes, int]],
    outputs: Iterable[tuple[int, bytes]],
    *,
    sequence: int = 0xFFFFFFFD,
    version: int = 2,
) -> bytes:
    """A transaction without signatures: nothing here checks them."""
    return Tx(
        version,
        0,
        [TxIn(OutPoint(txid, n), b"", sequence) for txid, n in inputs],
        [TxOut(amount, ScriptPubKey(script, "regtest", check_validity=False)) for amount, script in outputs],
        check_validity=False,
    ).serialize(include_witness=True, check_validity=False)


def make_coinbase(script: bytes, amount: int = SUBSIDY) -> bytes:
    tag = next(_counter).to_bytes(8, "little")
    tx_in = TxIn(OutPoint(), b"\x08" + tag, 0xFFFFFFFF, check_validity=False)
    out = TxOut(amount, ScriptPubKey(script, "regtest", check_validity=False))
    return Tx(2, 0, [tx_in], [out], check_validity=False).serialize(include_witness=True, check_validity=False)


def txid_of(raw: bytes) -> bytes:
    return Tx.parse(raw, check_validity=False).id


@dataclass
class Block:
    ref: BlockRef
    previous: str
    raw: bytes
    txs: list[bytes]


@dataclass
class Stream:
    """One follower, brought along by a task."""

    follower: Follower
    cursor: list[Block]
    stop_height: int | None
    task: asyncio.Task[None] | None = None
    synced: bool = False
    told: set[bytes] = field(default_factory=set)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    rested: asyncio.Event = field(default_factory=asyncio.Event)


class FakeChain(Chain):
    """A chain and a mempool whose owner is the test. `deliver` waits until every follower knows all."""

    def __init__(self) -> None:
        self.clock = NOW
        self.blocks: list[Block] = []
        self.stale: list[Block] = []
        self.mempool: dict[bytes, tuple[bytes, int]] = {}
        self.streams: dict[int, Stream] = {}
        self.refusal: RpcError | None = None
        self.on_broadcast: Callable[[], object] = lambda: None
        self.received: list[bytes] = []
        self.calls: list[str] = []
        self.downloading = False
        self._append(bytes.fromhex(genesis(WalletOptions())), NOW, [make_coinbase(_ANYONE)])

    # --- what the test does -----------------------------------------------------------------------------------

    def _append(self, hash: bytes, time: int, txs: list[bytes]) -> Block:
        previous = self.blocks[-1].ref.hash if self.blocks else "00" * 32
        times = sorted(block.ref.time for block in self.blocks[-10:])
        median = sorted([*times, time])[len(times) // 2]
        header = hash[:4] + bytes.fromhex(previous)[::-1] + hash + time.to_bytes(4, "little") + bytes(8)
        raw = header + _compact(len(txs)) + b"".join(txs)
        block = Block(BlockRef(hash.hex(), len(self.blocks), time, median), previous, raw, txs)
        self.blocks.append(block)
        self._wake()
        return block

    def _wake(self) -> None:
        for stream in self.streams.values():
            stream.wake.set()
            stream.rested.clear()

    def mine(self, *txs: bytes, to: bytes = STRANGER, count: int = 1, time: int | None = None) -> Block:
        """Blocks on top; the first has these transactions, which leave the mempool with all that conflicts."""
        for number in range(count):
            inside = [make_coinbase(to), *(txs if number == 0 else ())]
            stamp = NOW + len(self.blocks) if time is None else time
            digest = hashlib.sha256(b"".join([*inside, stamp.to_bytes(8, "little")])).digest()
            self._append(digest, stamp, list(inside))
            for raw in inside:
                self.mempool.pop(txid_of(raw), None)
            self._evict({spend for raw in inside for spend in _spends(raw)})
        return self.blocks[-1]

    def detach(self, count: int = 1) -> list[Block]:
        """Take blocks off the tip."""
        gone, self.blocks = self.blocks[-count:], self.blocks[:-count]
        self.stale += gone
        self._wake()
        return gone

    def add(self, raw: bytes, time: int | None = None) -> bytes:
        """Put a transaction into the mempool; what it conflicts with leaves."""
        txid = txid_of(raw)
        self.mempool.pop(txid, None)
        self._evict(set(_spends(raw)))
        self.mempool[txid] = (raw, self.clock if time is None else time)
        self._wake()
        return txid

    def _evict(self, spent: set[tuple[bytes, int]]) -> None:
        """What spends these leaves the mempool, with all that spends from it."""
        for txid, (raw, _) in list(self.mempool.items()):
            if txid in self.mempool and spent & set(_spends(raw)):
                del self.mempool[txid]
                self._evict({(txid, n) for n in range(len(Tx.parse(raw, check_validity=False).vout))})

    def drop(self, txid: bytes) -> None:
        """Take a transaction out of the mempool."""
        del self.mempool[txid]
        self._wake()

    async def put_clock(self, clock: int) -> None:
        """Put the node's clock, and tell everybody."""
        self.clock = clock
        for number, stream in self.streams.items():
            await stream.follower.clock_set(number, clock, True)

    async def deliver(self) -> None:
        """Until every follower knows all."""
        async with asyncio.timeout(10):
            for stream in list(self.streams.values()):
                await stream.rested.wait()

    # --- the interface ----------------------------------------------------------------------------------------

    async def status(self) -> ChainStatus:
        self.calls.append("status")
        tip = self.blocks[-1].ref
        return ChainStatus("regtest", tip, tip.height, self.downloading, self.clock, clock_stands=True)

    async def find_block(self, hash: str) -> BlockRef | None:
        return next((block.ref for block in self.blocks if block.ref.hash == hash), None)

    async def block(self, hash: str) -> BlockData | None:
        found = next((block for block in [*self.blocks, *self.stale] if block.ref.hash == hash), None)
        return None if found is None else BlockData(found.ref, found.previous, found.raw.hex())

    async def block_at(self, height: int) -> BlockRef | None:
        return self.blocks[height].ref if 0 <= height < len(self.blocks) else None

    async def find_by_time(self, time: int, min_height: int) -> BlockRef | None:
        highest = 0
        for block in self.blocks:
            highest = max(highest, block.ref.time)
            if highest >= time and block.ref.height >= min_height:
                return block.ref
        return None

    async def locator(self, hash: str) -> list[str]:
        raise AssertionError("the wallet keeps its own")

    async def follow(self, locator: list[str], follower: Follower, stop_height: int | None = None) -> int:
        cursor: list[Block] = []
        known = {block.ref.hash: block.ref.height for block in self.blocks}
        fork = next((known[hash] for hash in locator if hash in known), -1)
        cursor = self.blocks[: fork + 1]
        if locator and locator[0] not in known:
            lost = BlockRef(locator[0], fork + 1, 0, 0)
            cursor = [*cursor, Block(lost, cursor[-1].ref.hash if cursor else "", b"", [])]
        number = next(_counter)
        stream = self.streams[number] = Stream(follower, cursor, stop_height)
        stream.task = asyncio.get_running_loop().create_task(self._run(number, stream))
        return number

    async def unfollow(self, stream: int) -> None:
        found = self.streams.pop(stream, None)
        if found is not None and found.task is not None:
            found.task.cancel()

    async def _run(self, number: int, stream: Stream) -> None:
        told_all = False
        while True:
            stream.wake.clear()
            await self._blocks(number, stream)
            if not stream.synced:
                stream.synced = True
                await stream.follower.synced(number, stream.cursor[-1].ref)
            if stream.stop_height is not None:
                stream.rested.set()
                return
            await self._transactions(number, stream)
            if not told_all:
                told_all = True
                await stream.follower.mempool_told(number)
            if not stream.wake.is_set():
                stream.rested.set()
            await stream.wake.wait()

    async def _blocks(self, number: int, stream: Stream) -> None:
        while True:
            height = len(stream.cursor)
            if stream.cursor and stream.cursor[-1] not in self.blocks:
                gone = stream.cursor.pop()
                await stream.follower.block_disconnected(number, gone.ref, stream.cursor[-1].ref)
            elif height < len(self.blocks) and (stream.stop_height is None or height <= stream.stop_height):
                block = self.blocks[height]
                stream.cursor = [*stream.cursor, block]
                await stream.follower.block_connected(number, BlockData(block.ref, block.previous, block.raw.hex()))
                stream.told -= {txid_of(raw) for raw in block.txs}
            else:
                return

    async def _transactions(self, number: int, stream: Stream) -> None:
        for txid in list(stream.told - set(self.mempool)):
            stream.told.discard(txid)
            await stream.follower.transaction_removed(number, txid.hex(), "conflict")
        for txid, (raw, time) in list(self.mempool.items()):
            if txid not in stream.told:
                stream.told.add(txid)
                await stream.follower.transaction_added(number, MempoolTransaction(txid.hex(), raw.hex(), 1000, time))

    async def broadcast(self, raw: str, max_fee_rate: int | None) -> str:
        self.received.append(bytes.fromhex(raw))
        self.on_broadcast()
        if self.refusal is not None:
            raise self.refusal
        return self.add(bytes.fromhex(raw)).hex()

    async def test_accept(self, raws: list[str]) -> list[dict[str, Any]]:
        raise AssertionError("the wallet doesn't test")

    async def fee_policy(self) -> FeePolicy:
        return FeePolicy(1000, 1000, 1000, 3000)

    async def estimate_fee(self, target: int, conservative: bool) -> FeeEstimate:
        return FeeEstimate(None, target, [])

    async def coins(self, outpoints: list[tuple[str, int]]) -> list[CoinValue | None]:
        unspent: dict[tuple[bytes, int], CoinValue] = {}
        for height, raw in [
            *((block.ref.height, raw) for block in self.blocks for raw in block.txs),
            *((-1, raw) for raw, _ in self.mempool.values()),
        ]:
            for spend in _spends(raw):
                unspent.pop(spend, None)
            tx = Tx.parse(raw, check_validity=False)
            for n, out in enumerate(tx.vout):
                value = CoinValue(out.value, out.script_pub_key.script.hex(), height, tx.is_coinbase)
                unspent[tx.id, n] = value
        return [unspent.get((bytes.fromhex(txid), n)) for txid, n in outpoints]

    async def transaction(self, txid: str) -> str | None:
        found = self.mempool.get(bytes.fromhex(txid))
        return found[0].hex() if found else None

    async def packages(self, txids: list[str]) -> list[MempoolPackage | None]:
        self.calls.append("packages")
        return [
            MempoolPackage(txid, 100, 1000, 1000, 1, 100, 1000, 1, 100, 1000, 1, False)
            if bytes.fromhex(txid) in self.mempool
            else None
            for txid in txids
        ]

    async def bump_fees(self, outpoints: list[tuple[str, int]], rate: int) -> list[int]:
        return [0] * len(outpoints)

    async def combined_bump_fee(self, outpoints: list[tuple[str, int]], rate: int) -> int:
        return 0

    async def mempool_spender(self, outpoints: list[tuple[str, int]]) -> list[str | None]:
        spenders = {spend: txid.hex() for txid, (raw, _) in self.mempool.items() for spend in _spends(raw)}
        return [spenders.get((bytes.fromhex(txid), n)) for txid, n in outpoints]


def _compact(number: int) -> bytes:
    return bytes([number]) if number < 0xFD else b"\xfd" + number.to_bytes(2, "little")


def _spends(raw: bytes) -> list[tuple[bytes, int]]:
    tx = Tx.parse(raw, check_validity=False)
    return [] if tx.is_coinbase else [(tx_in.prev_out.tx_id, tx_in.prev_out.vout) for tx_in in tx.vin]


class FakeNode:
    """What `wallet.node.Node` promises: a node that comes and goes by the test's word."""

    def __init__(self, chain: FakeChain, clock: NodeClock) -> None:
        self.real = chain
        self.clock = clock
        self.is_up = asyncio.Event()
        self.is_up.set()
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.attached: dict[str, Attachment] = {}
        self.chain: Chain = chain_through(self._present)

    async def _present(self) -> Chain:
        if not self.is_up.is_set():
            raise RpcError(RpcCode.CLIENT_NOT_CONNECTED, "The node can't be reached")
        return self.real

    async def _connected(self) -> "asyncio.Future[None]":
        await self.is_up.wait()
        return self._lost

    async def go(self) -> None:
        """The node is gone."""
        self.is_up.clear()
        for stream in self.real.streams.values():
            if stream.task is not None:
                stream.task.cancel()
        self.real.streams.clear()
        for attachment in self.attached.values():
            attachment.wallet.node_gone.set()
            attachment.wallet.stale_since = self.clock.now()
        self._lost.set_result(None)
        for _ in range(10):
            await asyncio.sleep(0)  # until those that followed have noticed

    def come(self) -> None:
        """It is back."""
        self._lost = asyncio.get_running_loop().create_future()
        for attachment in self.attached.values():
            attachment.wallet.node_gone.clear()
        self.is_up.set()

    def attach(self, wallet: Wallet) -> Attachment:
        attachment = self.attached[wallet.name] = Attachment(wallet, self._connected, self.clock.observe)
        if self.is_up.is_set():
            wallet.node_gone.clear()
        attachment.start()
        return attachment

    async def detach(self, wallet: Wallet) -> None:
        await self.attached.pop(wallet.name).stop()


class Bench:
    """A fake node with a wallet manager beside it, and what tests make transactions with."""

    make_tx = staticmethod(make_tx)
    txid_of = staticmethod(txid_of)
    STRANGER = STRANGER
    SUBSIDY = SUBSIDY
    NOW = NOW

    def __init__(self, directory: Path, **options: Any) -> None:
        self.directory = directory
        (directory / "wallets").mkdir(exist_ok=True)
        self.options = WalletOptions(**{"wallets_dir": directory / "wallets", "keypool": 5, **options})
        self.chain = FakeChain()
        self.clock = NodeClock(lambda: NOW)
        self.node = FakeNode(self.chain, self.clock)
        self.signer: Signer | None = None
        self.wallets = self.manager()

    def manager(self) -> Wallets:
        """Another manager on the same directory: the process started again."""
        return Wallets(
            self.options,
            self.node,
            self.clock,
            StartupList(self.directory / "settings.json"),
            SessionList(self.directory / "loaded.json", "parent"),
            CHEAP,
            self.signer,
        )

    async def restart(self) -> None:
        """Stop without a word of farewell to the node, and start again with what was loaded."""
        names = [wallet.name for wallet in self.wallets]
        await self.wallets.close()
        self.wallets = self.manager()
        await self.wallets.load_all(names)
        for wallet in self.wallets:
            await self.wallets.attachment(wallet).until_live(10)

    async def wallet(self, name: str = "w", **recipe: Any) -> Wallet:
        """A new wallet, caught up."""
        wallet, _ = await self.wallets.create(name, Recipe(**recipe), None)
        return wallet

    def loaded(self, name: str = "w") -> Wallet:
        """One that is loaded."""
        found = self.wallets.get(name)
        assert found is not None
        return found

    def call(self, wallet: str | None = "w") -> Call:
        """A call's facts."""
        return Call("test", wallet)

    @staticmethod
    def script_of(address: str) -> bytes:
        """The script that a regtest address stands for."""
        script = decode_destination(address, "regtest").script
        assert script is not None
        return script

    def receive(self, wallet: Wallet, type: OutputType = OutputType.BECH32) -> bytes:
        """A new receiving address's script."""
        return self.script_of(wallet.new_address(type, ""))

    @staticmethod
    async def refused(work: Awaitable[Any]) -> RpcError:
        """What it is refused with."""
        try:
            await work
        except RpcError as error:
            return error
        raise AssertionError("it was not refused")

    async def close(self) -> None:
        await self.wallets.close()
        for number in list(self.chain.streams):
            await self.chain.unfollow(number)


Scenario = Callable[[Bench], Awaitable[None]]


@pytest.fixture
def on_bench(tmp_path: Path) -> Callable[..., None]:
    """Run a scenario, an async function of a `Bench`."""

    def run(scenario: Scenario, **options: Any) -> None:
        async def life() -> None:
            bench = Bench(tmp_path, **options)
            try:
                async with asyncio.timeout(60):
                    await scenario(bench)
            finally:
                await bench.close()

        asyncio.run(life())

    return run
