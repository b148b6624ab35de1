"""Coins out of thin air, and a wallet of ours on a node that lives in memory."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

import pytest
from btclib.script.engine import verify_transaction
from btclib.script.witness import Witness
from btclib.tx import OutPoint as TxOutPoint
from btclib.tx import Tx, TxIn, TxOut
from btclib_wallet.descriptors import add_checksum

from bitcoind_mp.interfaces.chain import (
    BlockRef,
    Chain,
    ChainStatus,
    CoinValue,
    FeeEstimate,
    FeePolicy,
    Follower,
    MempoolPackage,
)
from bitcoind_mp.interfaces.command import Call
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.address import decode_destination
from bitcoind_mp.wallet.clock import NodeClock
from bitcoind_mp.wallet.coins import OutPoint, OutputType
from bitcoind_mp.wallet.importing import ImportRequest, import_descriptor
from bitcoind_mp.wallet.options import WalletOptions
from bitcoind_mp.wallet.spend.candidates import Candidate
from bitcoind_mp.wallet.spend.groups import Group
from bitcoind_mp.wallet.spend.rates import fee_for
from bitcoind_mp.wallet.storage.ledger import Ledger
from bitcoind_mp.wallet.wallet import Wallet

_numbers = itertools.count(1)

#: virtual bytes of a pay-to-witness-key-hash input and output
INPUT, OUTPUT = 68, 31
#: seconds since 1970 of the fake chain's first block
START = 1_700_000_000
MASTER = (
    "tprv8ZgxMBicQKsPd7Uf69XL1XwhmjHopUGep8GuEiJDZmbQz6o58LninorQAfcKZWARbtRtfnLcJ5MQ2AtHcQJCCRUcMRvmDUjyEmNUWwx8UbK"
)
#: output types and what is around their key
SHAPES = {
    OutputType.LEGACY: "pkh({}/44h/1h/0h/{}/*)",
    OutputType.P2SH_SEGWIT: "sh(wpkh({}/49h/1h/0h/{}/*))",
    OutputType.BECH32: "wpkh({}/84h/1h/0h/{}/*)",
    OutputType.BECH32M: "tr({}/86h/1h/0h/{}/*)",
}

MakeCoin = Callable[..., Candidate]
MakePool = Callable[..., list[Group]]


@pytest.fixture
def make_coin() -> MakeCoin:
    """A coin whose effective value is ``worth`` satoshis at ``rate``."""

    def make(
        worth: int,
        *,
        rate: int = 5000,
        long_term_rate: int = 10_000,
        vsize: int = INPUT,
        depth: int = 6,
        kind: OutputType | None = OutputType.BECH32,
        script: bytes = b"",
        from_me: bool = False,
        bump_fee: int = 0,
        ancestors: int = 0,
        cluster: int = 0,
    ) -> Candidate:
        number = next(_numbers)
        plain = Candidate(
            outpoint=OutPoint(number.to_bytes(32, "big"), 0),
            amount=worth + fee_for(rate, vsize) + bump_fee,
            script=script or b"\x00\x14" + number.to_bytes(20, "big"),
            kind=kind,
            depth=depth,
            vsize=vsize,
            from_me=from_me,
            ancestors=ancestors,
            cluster=cluster,
        )
        return plain.priced(rate, long_term_rate, bump_fee)

    return make


@pytest.fixture
def make_pool(make_coin: MakeCoin) -> MakePool:
    """Groups of one coin each, by their effective values."""

    def make(worths: Iterable[int], *, subtract_fee: bool = False, **options: int) -> list[Group]:
        return [Group((make_coin(worth, **options),), subtract_fee) for worth in worths]

    return make


class FakeNode(Chain):
    """A chain and a mempool in memory. It believes blocks, and holds transactions against consensus."""

    def __init__(self) -> None:
        self.blocks: list[BlockRef] = []
        self.raw_blocks: list[bytes] = []
        self.outputs: dict[tuple[str, int], TxOut] = {}
        self.spent: set[tuple[str, int]] = set()
        self.mempool: dict[str, Tx] = {}
        self.fees: dict[str, int] = {}
        self.policy = FeePolicy(100, 100, 100, 3000)
        self.estimate: int | None = None
        self.refusal: Exception | None = None
        """What `broadcast` raises instead of doing it."""
        self.received: list[str] = []
        """Every transaction that `broadcast` was called with, in hex."""
        self.before_broadcast: Callable[[], None] = lambda: None
        self.behind = 60
        """How many seconds its clock is ahead of its tip."""
        self.mine([])

    @property
    def clock(self) -> int:
        return self.blocks[-1].time + self.behind

    def mine(self, txs: Iterable[Tx]) -> tuple[BlockRef, bytes]:
        """A block with these transactions."""
        height = len(self.blocks)
        reward = TxIn(script_sig=height.to_bytes(4, "little"), sequence=0, check_validity=False)
        coinbase = Tx(2, 0, [reward], [TxOut(0, b"\x51")], check_validity=False)
        contents = [coinbase, *txs]
        raw = bytes(76) + height.to_bytes(4, "little") + bytes([len(contents)])
        raw += b"".join(tx.serialize(include_witness=True, check_validity=False) for tx in contents)
        time = START + 600 * height
        block = BlockRef(f"{height:064x}", height, time, time)
        self.blocks.append(block)
        self.raw_blocks.append(raw)
        for tx in contents:
            self._take(tx)
            self.mempool.pop(tx.id.hex(), None)
        return block, raw

    def _take(self, tx: Tx) -> None:
        for tx_in in tx.vin:
            self.spent.add((tx_in.prev_out.tx_id.hex(), tx_in.prev_out.vout))
        for n, output in enumerate(tx.vout):
            self.outputs[tx.id.hex(), n] = output

    def _ancestors(self, txid: str) -> set[str]:
        found = {txid}
        for tx_in in self.mempool[txid].vin:
            parent = tx_in.prev_out.tx_id.hex()
            if parent in self.mempool:
                found |= self._ancestors(parent)
        return found

    async def status(self) -> ChainStatus:
        return ChainStatus("regtest", self.blocks[-1], len(self.blocks) - 1, False, self.clock)

    async def find_block(self, hash: str) -> BlockRef | None:
        return next((block for block in self.blocks if block.hash == hash), None)

    async def block(self, hash: str) -> None:
        return None

    async def block_at(self, height: int) -> BlockRef | None:
        return self.blocks[height] if height < len(self.blocks) else None

    async def find_by_time(self, time: int, min_height: int) -> BlockRef | None:
        return next((block for block in self.blocks[min_height:] if block.time >= time), None)

    async def locator(self, hash: str) -> list[str]:
        return [hash]

    async def follow(self, locator: list[str], follower: Follower, stop_height: int | None = None) -> int:
        raise AssertionError("nobody follows this node")

    async def unfollow(self, stream: int) -> None:
        raise AssertionError("nobody follows this node")

    async def broadcast(self, raw: str, max_fee_rate: int | None) -> str:
        self.received.append(raw)
        self.before_broadcast()
        if self.refusal is not None:
            raise self.refusal
        tx = Tx.parse(bytes.fromhex(raw))
        txid = tx.id.hex()
        if txid in self.mempool:
            return txid
        outpoints = [(tx_in.prev_out.tx_id.hex(), tx_in.prev_out.vout) for tx_in in tx.vin]
        if any(outpoint not in self.outputs for outpoint in outpoints):
            raise RpcError(RpcCode.VERIFY_ERROR, "bad-txns-inputs-missingorspent")
        prevouts = [self.outputs[outpoint] for outpoint in outpoints]
        verify_transaction(prevouts, tx)
        fee = sum(output.value for output in prevouts) - sum(output.value for output in tx.vout)
        for other in [txid for txid, held in self.mempool.items() if _conflict(held, tx)]:
            if fee <= self.fees[other]:
                raise RpcError(RpcCode.VERIFY_REJECTED, "insufficient fee")
            del self.mempool[other]
        self.mempool[txid], self.fees[txid] = tx, fee
        self._take(tx)
        return txid

    async def test_accept(self, raws: list[str]) -> list[dict[str, Any]]:
        return [{"txid": Tx.parse(bytes.fromhex(raw)).id.hex(), "allowed": True} for raw in raws]

    async def fee_policy(self) -> FeePolicy:
        return self.policy

    async def estimate_fee(self, target: int, conservative: bool) -> FeeEstimate:
        errors = [] if self.estimate else ["Insufficient data or no feerate found"]
        return FeeEstimate(self.estimate, target, errors, "Half Target 60% Threshold")

    async def coins(self, outpoints: list[tuple[str, int]]) -> list[CoinValue | None]:
        return [
            CoinValue(self.outputs[outpoint].value, self.outputs[outpoint].script_pub_key.script.hex(), 1, False)
            if outpoint in self.outputs
            else None
            for outpoint in outpoints
        ]

    async def transaction(self, txid: str) -> str | None:
        found = self.mempool.get(txid)
        return None if found is None else found.serialize(include_witness=True).hex()

    async def packages(self, txids: list[str]) -> list[MempoolPackage | None]:
        return [self._package(txid) if txid in self.mempool else None for txid in txids]

    def _package(self, txid: str) -> MempoolPackage:
        up = self._ancestors(txid)
        down = {other for other in self.mempool if txid in self._ancestors(other)}
        sizes, fees = (lambda of: sum(self.mempool[t].vsize for t in of)), (lambda of: sum(self.fees[t] for t in of))
        fee = self.fees[txid]
        return MempoolPackage(
            txid, self.mempool[txid].vsize, fee, fee, len(up), sizes(up), fees(up), len(down), sizes(down), fees(down),
            len(up | down), True,
        )  # fmt: skip

    def _lacking(self, txids: Iterable[str], rate: int) -> int:
        waiting = {ancestor for txid in txids if txid in self.mempool for ancestor in self._ancestors(txid)}
        size = sum(self.mempool[txid].vsize for txid in waiting)
        return max(0, fee_for(rate, size) - sum(self.fees[txid] for txid in waiting))

    async def bump_fees(self, outpoints: list[tuple[str, int]], rate: int) -> list[int]:
        return [self._lacking([txid], rate) for txid, _ in outpoints]

    async def combined_bump_fee(self, outpoints: list[tuple[str, int]], rate: int) -> int:
        return self._lacking({txid for txid, _ in outpoints}, rate)

    async def mempool_spender(self, outpoints: list[tuple[str, int]]) -> list[str | None]:
        return [None for _ in outpoints]


def _conflict(one: Tx, other: Tx) -> bool:
    return bool({tx_in.prev_out for tx_in in one.vin} & {tx_in.prev_out for tx_in in other.vin})


class Purse:
    """A wallet and its node. It is also the `Wallets` that commands ask."""

    def __init__(self, wallet: Wallet, node: FakeNode) -> None:
        self.wallet, self.node = wallet, node

    def chosen(self, call: Call) -> Wallet:
        return self.wallet

    async def current(self, call: Call) -> Wallet:
        return self.wallet

    def fund(self, *amounts: int, type: OutputType = OutputType.BECH32, script: bytes = b"", blocks: int = 6) -> Tx:
        """Pay the wallet these amounts, in satoshis, each to a new address or all to ``script``, and confirm it."""
        outputs = [TxOut(amount, script or self.script(type)) for amount in amounts]
        number = next(_numbers)
        source = TxIn(TxOutPoint(number.to_bytes(32, "big"), 0), b"", 0xFFFFFFFF, Witness([b"x"]))
        tx = Tx(2, 0, [source], outputs)
        self.mine([tx])
        for _ in range(blocks - 1):
            self.mine([])
        return tx

    def script(self, type: OutputType) -> bytes:
        """A new address of the wallet's, as a script."""
        script = decode_destination(self.wallet.new_address(type, ""), "regtest").script
        assert script is not None
        return script

    def mine(self, txs: Iterable[Tx]) -> None:
        """A block, which the wallet sees."""
        block, raw = self.node.mine(txs)
        self.wallet.connect_block(raw, block)

    def confirm(self) -> None:
        """Mine the mempool."""
        self.mine(list(self.node.mempool.values()))

    def transaction(self, txid: str | bytes) -> Tx:
        """One of the wallet's transactions."""
        found = self.wallet.transaction(bytes.fromhex(txid) if isinstance(txid, str) else txid)
        assert found is not None
        return found.tx

    def fee(self, tx: Tx) -> int:
        """What a transaction pays, in satoshis."""
        spent = (self.node.outputs[tx_in.prev_out.tx_id.hex(), tx_in.prev_out.vout].value for tx_in in tx.vin)
        return sum(spent) - sum(output.value for output in tx.vout)


MakePurse = Callable[..., Purse]


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine, in a loop of its own, within ten seconds."""

    async def limited() -> Any:
        async with asyncio.timeout(10):
            return await coroutine

    return asyncio.run(limited())


@pytest.fixture(name="run")
def run_fixture() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    return run


async def open_wallet(path: Path, node: Chain, options: WalletOptions, descriptors: Iterable[ImportRequest]) -> Wallet:
    """A new wallet in that directory, which exists, with these descriptors, on a node without blocks of interest."""
    Ledger.create(path / "wallet.sqlite", "regtest", "00" * 32, lambda ledger: None)
    ledger = Ledger.open(path / "wallet.sqlite", "regtest", "00" * 32)
    wallet = Wallet(path.name, ledger, options, node, NodeClock(lambda: START, START))
    for request in descriptors:
        await import_descriptor(wallet, request, 0)
    return wallet


def standard_descriptors(keypool: int) -> list[ImportRequest]:
    """All four address types of one seed."""
    return [
        ImportRequest(add_checksum(shape.format(MASTER, chain)), START, True, (0, keypool - 1), 0, bool(chain))
        for shape in SHAPES.values()
        for chain in (0, 1)
    ]


@pytest.fixture
def make_purse(tmp_path: Path) -> Iterable[MakePurse]:
    """A wallet with a seed of its own, options as given, on a new node."""
    opened: list[Wallet] = []

    def make(name: str = "wallet", **options: Any) -> Purse:
        node = FakeNode()
        chosen = WalletOptions(chain="regtest", **{"keypool": 3, "fallback_fee": 20_000, **options})
        (tmp_path / name).mkdir()
        wallet = run(open_wallet(tmp_path / name, node, chosen, standard_descriptors(chosen.keypool)))
        opened.append(wallet)
        for block, raw in zip(node.blocks, node.raw_blocks, strict=True):
            wallet.connect_block(raw, block)
        return Purse(wallet, node)

    yield make
    for wallet in opened:
        wallet.close()


@pytest.fixture
def purse(make_purse: MakePurse) -> Purse:
    return make_purse()


@pytest.fixture
def payee() -> str:
    """An address that isn't the wallet's."""
    return "bcrt1qk9j659w7s26u5fdsxh8t75gspme6lkee25czjc"


@pytest.fixture
def call() -> Call:
    return Call("test")
