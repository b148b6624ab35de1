"""For the tests of the mempool and the miner: a chain without a kernel, and coins that anybody may spend."""

import asyncio
import json
import os
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from struct import pack, unpack_from
from typing import Any

import pytest
from btclib.block.block import Block
from btclib.hashes import hash256, sha256
from btclib.script.witness import Witness
from btclib.tx import OutPoint, Tx, TxIn, TxOut
from btclib.tx.coin import Coin

from bitcoind_mp.node.chain.clock import Clock
from bitcoind_mp.node.chain.params import params_for
from bitcoind_mp.node.kernel import verify_scripts
from bitcoind_mp.node.mempool.entry import MempoolEntry, Removal
from bitcoind_mp.node.mempool.policy import MempoolPolicy
from bitcoind_mp.node.mempool.pool import Mempool

COIN = 100_000_000
START = 1_700_000_000
#: a witness program whose script is OP_TRUE: standard, and anybody's
ANYONE = b"\x00\x20" + sha256(b"\x51")


class FakeBlock:
    """One block of the fake chain, and its own contents."""

    def __init__(self, header: bytes, previous: "FakeBlock | None", transactions: list[Tx]) -> None:
        self.header = header
        self.hash = hash256(header)[::-1]
        self.previous = previous
        self.height = previous.height + 1 if previous else 0
        self.version, self.time, self.bits = (int(unpack_from(kind, header, at)[0]) for kind, at in _FIELDS)
        self.transactions = transactions
        self.failed = False

    @property
    def median_time(self) -> int:
        times: list[int] = []
        block: FakeBlock | None = self
        while block is not None and len(times) < 11:
            times.append(block.time)
            block = block.previous
        return sorted(times)[len(times) // 2]


_FIELDS = (("<i", 0), ("<I", 68), ("<I", 72))


def fake_header(previous: bytes, time: int, serial: int, version: int = 0x20000000) -> bytes:
    """80 bytes with regtest's target and no work."""
    root = serial.to_bytes(32, "big")
    return pack("<i", version) + previous[::-1] + root + pack("<III", time, 0x207FFFFF, 0)


class FakeClock(Clock):
    """The node's, standing still."""

    @property
    def time(self) -> int:
        return self.now()

    @time.setter
    def time(self, now: int) -> None:
        self.set_mock(now)


class FakeCoins(dict[tuple[bytes, int], Coin]):
    """The coins at the tip."""

    available = True


class FakeHandle:
    def __init__(self, listeners: list[Any], listener: Any) -> None:
        self._listeners, self._listener = listeners, listener

    def close(self) -> None:
        if self._listener in self._listeners:
            self._listeners.remove(self._listener)


class FakeChain:
    """Blocks that need no work, coins in a dict. `mine` and `disconnect` tell the listeners as `ChainState` does."""

    def __init__(self) -> None:
        self.clock = FakeClock(START)
        self.params = params_for("regtest")
        self.blocks = [FakeBlock(self.params.genesis_raw[:80], None, [])]
        self.coins = FakeCoins()
        self.spent: list[dict[tuple[bytes, int], Coin]] = [{}]
        self.listeners: list[Any] = []
        self.initial_block_download = False
        self._serial = 0

    @property
    def tip(self) -> FakeBlock:
        return self.blocks[-1]

    @property
    def best_header(self) -> FakeBlock:
        return self.blocks[-1]

    def by_hash(self, hash: bytes) -> FakeBlock | None:
        return next((block for block in self.blocks if block.hash == hash), None)

    def by_height(self, height: int) -> FakeBlock | None:
        return self.blocks[height] if 0 <= height < len(self.blocks) else None

    def locator(self, node: FakeBlock | None = None) -> list[bytes]:
        return [(node or self.tip).hash]

    def subscribe(self, listener: Any) -> FakeHandle:
        self.listeners.append(listener)
        return FakeHandle(self.listeners, listener)

    def coinbase(self) -> Tx:
        self._serial += 1
        sig = (self.tip.height + 1).to_bytes(4, "little") + self._serial.to_bytes(4, "little")
        return Tx(2, 0, [TxIn(script_sig=sig)], [TxOut(50 * COIN, ANYONE)])

    def mine(
        self, *transactions: Tx, time: int | None = None, version: int = 0x20000000, finish: bool = True
    ) -> FakeBlock:
        """Connect a block of these, its coinbase before them."""
        self._serial += 1
        if time is None:
            time = max(self.tip.time + 600, START - 110 * 600)
        header = fake_header(self.tip.hash, time, self._serial, version)
        return self.connect(header, [self.coinbase(), *transactions], finish=finish)

    def connect(self, header: bytes, transactions: list[Tx], *, finish: bool = True) -> FakeBlock:
        block = FakeBlock(header, self.tip, transactions)
        spent = {}
        for tx in transactions:
            for tx_in in tx.vin:
                if not tx_in.is_coinbase:
                    point = (tx_in.prev_out.tx_id, tx_in.prev_out.vout)
                    spent[point] = self.coins.pop(point)
            for index, tx_out in enumerate(tx.vout):
                self.coins[(tx.id, index)] = Coin(tx_out, block.height, tx.is_coinbase, check_validity=False)
        self.blocks.append(block)
        self.spent.append(spent)
        for listener in list(self.listeners):
            listener.block_connected(block, block)
        if finish:
            self.finish()
        return block

    def disconnect(self, *, finish: bool = False) -> FakeBlock:
        """Take the tip away; the listeners hear of the end of it with `finish`."""
        block = self.blocks.pop()
        for tx in block.transactions:
            for index in range(len(tx.vout)):
                self.coins.pop((tx.id, index), None)
        self.coins.update(self.spent.pop())
        for tx in block.transactions:
            for index in range(len(tx.vout)):
                self.coins.pop((tx.id, index), None)
        for listener in list(self.listeners):
            listener.block_disconnected(block, block)
        if finish:
            self.finish()
        return block

    def finish(self) -> None:
        for listener in list(self.listeners):
            listener.tip_changed(self.tip)


class Money:
    """Confirmed coins that anybody may spend, and transactions that do."""

    anyone = ANYONE
    anchor = bytes.fromhex("51024e73")

    def __init__(self, chain: FakeChain) -> None:
        self._chain = chain
        self._serial = 0
        self._made: dict[bytes, Tx] = {}
        self.points: list[OutPoint] = []

    def coin(self, value: int = COIN, script: bytes = ANYONE, *, height: int = 0, coinbase: bool = False) -> OutPoint:
        """A coin out of nowhere."""
        self._serial += 1
        txid = sha256(b"coin" + self._serial.to_bytes(8, "big"))
        self._chain.coins[(txid, 0)] = Coin(TxOut(value, script), height, coinbase, check_validity=False)
        return OutPoint(txid, 0)

    def spend(
        self,
        *points: OutPoint,
        outputs: Sequence[TxOut | int] = (),
        fee: int | None = None,
        version: int = 2,
        lock_time: int = 0,
        sequence: int = 0xFFFFFFFD,
        pad: int = 0,
    ) -> Tx:
        """A valid transaction: ``fee`` from the first coin's value to one output of it all, or the ``outputs`` given.
        ``pad`` adds that many bytes of data."""
        points = points or (self.coin(),)
        vin = [TxIn(point, sequence=sequence, script_witness=Witness([b"\x51"])) for point in points]
        if fee is not None:
            value = sum(self.value(point) for point in points)
            outputs = [TxOut(value - fee, ANYONE)]
        vout = [each if isinstance(each, TxOut) else TxOut(each, ANYONE) for each in outputs]
        if pad:
            vout.append(TxOut(0, b"\x6a\x4e" + pad.to_bytes(4, "little") + b"\x00" * pad))
        tx = Tx(version, lock_time, vin, vout, check_validity=False)
        self._made[tx.id] = tx
        return tx

    @staticmethod
    def output(tx: Tx, index: int = 0) -> OutPoint:
        """The name of a transaction's output."""
        return OutPoint(tx.id, index)

    def value(self, point: OutPoint) -> int:
        made = self._made.get(point.tx_id)
        return made.vout[point.vout].value if made else self._chain.coins[(point.tx_id, point.vout)].tx_out.value


class Recorder:
    """A listener that remembers: ("+", txid), ("back", txid) and (reason, txid)."""

    def __init__(self) -> None:
        self.events: list[tuple[str, bytes]] = []

    def added(self, entry: MempoolEntry) -> None:
        self.events.append(("+", entry.txid))

    def returned(self, entry: MempoolEntry) -> None:
        self.events.append(("back", entry.txid))

    def removed(self, entry: MempoolEntry, reason: Removal) -> None:
        self.events.append((str(reason), entry.txid))


def new_chain() -> FakeChain:
    """A chain of 110 empty blocks, ten minutes apart, the last one at the present."""
    chain = FakeChain()
    for _ in range(110):
        chain.mine()
    chain.clock.time = chain.tip.time
    return chain


def with_coins(count: int) -> tuple[FakeChain, Money]:
    """The same chain each time, and so many coins in ``money.points``, the same each time."""
    chain = new_chain()
    money = Money(chain)
    money.points = [money.coin() for _ in range(count)]
    return chain, money


@pytest.fixture
def chain() -> FakeChain:
    return new_chain()


@pytest.fixture
def money(chain: FakeChain) -> Money:
    return Money(chain)


@pytest.fixture
def run() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Runs a coroutine; one loop for a whole test."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def make_mempool(chain: FakeChain, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> Iterator[Callable[..., Mempool]]:
    """Makes mempools with some of the policy given; they are closed at the end."""
    made: list[Mempool] = []

    def make(directory: Path | None = None, *, on: Any = None, verify: Any = verify_scripts, **policy: Any) -> Mempool:
        pool = Mempool(on or chain, MempoolPolicy(**policy), verify=verify, directory=directory)
        made.append(pool)
        return pool

    yield make
    for pool in made:
        run(pool.close())


@pytest.fixture
def mempool(make_mempool: Callable[..., Mempool]) -> Mempool:
    return make_mempool()


@pytest.fixture
def why(run: Callable[[Coroutine[Any, Any, Any]], Any]) -> Callable[[Mempool, Tx], str]:
    """Tells why a transaction isn't acceptable, as ``sendrawtransaction`` would; empty if it is."""

    def ask(mempool: Mempool, tx: Tx) -> str:
        rejected = run(mempool.test([tx])).results[0].rejected
        return str(rejected) if rejected else ""

    return ask


@pytest.fixture
def recorder(mempool: Mempool) -> Recorder:
    """Listens to the mempool."""
    recorder = Recorder()
    mempool.subscribe(recorder)
    return recorder


@pytest.fixture(scope="session")
def vectors() -> Path:
    """Bitcoin Core's data, which isn't part of the project."""
    path = Path(os.environ.get("BITCOIND_MP_VECTORS") or Path(__file__).parents[4] / "shared" / "vectors")
    if not path.is_dir():
        pytest.skip(f"no vectors at {path}")
    return path


@pytest.fixture(scope="session")
def core_answers(vectors: Path) -> dict[str, Any]:
    answers: dict[str, Any] = json.loads((vectors / "core-regtest" / "answers.json").read_text())
    return answers


@pytest.fixture
def core_chain(vectors: Path, core_answers: dict[str, Any]) -> FakeChain:
    """The chain that Bitcoin Core made, its genesis and 112 blocks."""
    chain = FakeChain()
    for line in (vectors / "core-regtest" / "blocks.hex").read_text().split():
        raw = bytes.fromhex(line)
        chain.connect(raw[:80], list(Block.parse(raw, check_validity=False).transactions))
    chain.clock.time = core_answers["_mocktime"]
    return chain
