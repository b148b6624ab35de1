"""Regtest blocks made to measure, and chains opened on directories of the test's own."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from btclib.block.block import Block
from btclib.block.build import VERSION, build_block, build_coinbase
from btclib.tx.out_point import OutPoint
from btclib.tx.tx import Tx
from btclib.tx.tx_in import TxIn
from btclib.tx.tx_out import TxOut

from bitcoind_mp.node.chain.clock import Clock
from bitcoind_mp.node.chain.contents import BlockContents
from bitcoind_mp.node.chain.header import BlockNode
from bitcoind_mp.node.chain.opening import open_chain
from bitcoind_mp.node.chain.params import params_for
from bitcoind_mp.node.chain.state import ChainState, Listener

BITS = bytes.fromhex("207fffff")
ANYONE = b"\x61" * 8 + b"\x51"
"""A script that anybody may spend, long enough for a transaction that is not too small to be relayed."""
START = 1_600_000_000


def solved(block: Block) -> bytes:
    """The block with a nonce that meets regtest's target."""
    header = replace(block.header)
    while header.hash > header.target:
        header.nonce += 1
    return Block(header, block.transactions, check_validity=False).serialize(check_validity=False)


@dataclass(frozen=True)
class Maker:
    """Makes blocks on any parent. ``tag`` makes blocks that would otherwise be alike differ."""

    genesis_hash: bytes

    def block(
        self,
        previous: bytes,
        height: int,
        *transactions: Tx,
        tag: bytes = b"",
        fees: int = 0,
        time: int = 0,
        outputs: Sequence[TxOut] = (),
        version: int = VERSION,
    ) -> bytes:
        """A valid block with these transactions after its coinbase, which takes ``fees`` besides the subsidy and has
        these ``outputs`` besides its own."""
        coinbase = build_coinbase(height, ANYONE, fees=fees, halving_interval=150, extra_nonce=tag)
        coinbase = Tx(1, 0, coinbase.vin, [*coinbase.vout, *outputs], check_validity=False)
        when = datetime.fromtimestamp(time or START + height * 600, UTC)
        return solved(build_block(previous, [coinbase, *transactions], when, BITS, version=version))

    def chain(self, previous: bytes, height: int, count: int, tag: bytes = b"") -> list[bytes]:
        """``count`` empty blocks, the first at ``height`` on ``previous``."""
        blocks = []
        for offset in range(count):
            raw = self.block(previous, height + offset, tag=tag)
            blocks.append(raw)
            previous = BlockContents(raw).block.header.hash
        return blocks

    @staticmethod
    def spend(txid: bytes, index: int, *amounts: int) -> Tx:
        """A transaction that spends an output of `ANYONE`'s into outputs of `ANYONE`'s."""
        outputs = [TxOut(amount, ANYONE, check_validity=False) for amount in amounts]
        spent = TxIn(OutPoint(txid, index), b"", 0xFFFFFFFF, check_validity=False)
        return Tx(2, 0, [spent], outputs, check_validity=False)


@pytest.fixture
def maker() -> Maker:
    return Maker(BlockNode(params_for("regtest").genesis_raw[:80], None).hash)


Opener = Callable[..., "asynccontextmanager[ChainState]"]


@pytest.fixture
def chain_at(tmp_path: Path):
    """``async with chain_at(directory)``: a chain, closed in order at the end."""

    @asynccontextmanager
    async def opened(directory: Path = tmp_path, **options):
        chain = await open_chain(
            params_for("regtest"), directory, options.pop("clock", Clock(START + 1000 * 600)), **options
        )
        try:
            yield chain
        finally:
            await chain.close()

    return opened


class Recorder(Listener):
    """Writes down what a listener is told, and checks that the tip has moved by then."""

    def __init__(self, chain: ChainState) -> None:
        self.chain = chain
        self.events: list[tuple[str, int]] = []

    def block_connected(self, node: BlockNode, contents: BlockContents) -> None:
        assert self.chain.tip is node
        assert contents.header == node.header
        self.events.append(("+", node.height))

    def block_disconnected(self, node: BlockNode, contents: BlockContents) -> None:
        assert self.chain.tip is node.previous
        assert contents.header == node.header
        self.events.append(("-", node.height))

    def tip_changed(self, node: BlockNode) -> None:
        assert self.chain.tip is node
        self.events.append(("=", node.height))

    def header_added(self, node: BlockNode) -> None:
        assert self.chain.by_hash(node.hash) is node
        self.events.append(("h", node.height))


@pytest.fixture
def recorder() -> type[Recorder]:
    return Recorder


@pytest.fixture
def run() -> Iterator[Callable[[Awaitable[object]], object]]:
    """Run a coroutine to its end on a loop of its own, within a minute."""

    async def bounded(work: Awaitable[object]) -> object:
        async with asyncio.timeout(60):
            return await work

    yield lambda work: asyncio.run(bounded(work))
