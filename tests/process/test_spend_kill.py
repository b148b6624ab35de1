"""kill -9 while the wallet pays, before any line of its own: nothing is lost, nothing is paid twice.

A child of this process makes the payment and kills itself when it has run so many lines. The oracle is what others
know: the node's record of what it was sent, which outlives the child, and the answer that a caller got.
"""

import asyncio
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable, Coroutine
from decimal import Decimal
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from btclib.script.witness import Witness
from btclib.tx import OutPoint as TxOutPoint
from btclib.tx import Tx, TxIn, TxOut
from btclib_wallet.descriptors import add_checksum

import bitcoind_mp.wallet
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
from bitcoind_mp.render.address import encode_address
from bitcoind_mp.wallet.clock import NodeClock
from bitcoind_mp.wallet.coins import OutputType
from bitcoind_mp.wallet.importing import ImportRequest, import_descriptor
from bitcoind_mp.wallet.options import WalletOptions
from bitcoind_mp.wallet.rpc.bump import BumpCommands
from bitcoind_mp.wallet.rpc.sendall import SendAllCommands
from bitcoind_mp.wallet.rpc.spend import PaymentCommands
from bitcoind_mp.wallet.storage.ledger import Ledger
from bitcoind_mp.wallet.wallet import Wallet

COIN = 100_000_000
START = 1_700_000_000
GENESIS = "00" * 32
OURS = str(Path(bitcoind_mp.wallet.__file__).parent)
PAYEE = encode_address(b"\x00\x14" + bytes(20), "regtest")
CALL = Call("test")
MASTER = (
    "tprv8ZgxMBicQKsPd7Uf69XL1XwhmjHopUGep8GuEiJDZmbQz6o58LninorQAfcKZWARbtRtfnLcJ5MQ2AtHcQJCCRUcMRvmDUjyEmNUWwx8UbK"
)
#: at how many places each kind of payment is killed; the places are spread over its whole run
PLACES = 40


class RecordingNode(Chain):
    """A node that writes down every transaction it is sent, where a kill of its caller can't reach."""

    def __init__(self, record: Path) -> None:
        self.record = record
        self.outputs: dict[tuple[str, int], TxOut] = {}
        self.tip = BlockRef(f"{1:064x}", 1, START, START)

    def received(self) -> list[str]:
        return self.record.read_text().split() if self.record.exists() else []

    async def broadcast(self, raw: str, max_fee_rate: int | None) -> str:
        with self.record.open("a") as record:
            record.write(raw + "\n")
        return Tx.parse(bytes.fromhex(raw)).id.hex()

    async def status(self) -> ChainStatus:
        return ChainStatus("regtest", self.tip, 1, False, START)

    async def fee_policy(self) -> FeePolicy:
        return FeePolicy(100, 100, 100, 3000)

    async def estimate_fee(self, target: int, conservative: bool) -> FeeEstimate:
        return FeeEstimate(None, target, [])

    async def coins(self, outpoints: list[tuple[str, int]]) -> list[CoinValue | None]:
        found = [self.outputs[outpoint] for outpoint in outpoints]
        return [CoinValue(output.value, output.script_pub_key.script.hex(), 1, False) for output in found]

    async def packages(self, txids: list[str]) -> list[MempoolPackage | None]:
        return [None for _ in txids]

    async def bump_fees(self, outpoints: list[tuple[str, int]], rate: int) -> list[int]:
        return [0 for _ in outpoints]

    async def combined_bump_fee(self, outpoints: list[tuple[str, int]], rate: int) -> int:
        return 0

    async def find_block(self, hash: str) -> BlockRef | None:
        return self.tip if hash == self.tip.hash else None

    async def block(self, hash: str) -> None:
        return None

    async def block_at(self, height: int) -> BlockRef | None:
        raise NotImplementedError

    async def find_by_time(self, time: int, min_height: int) -> BlockRef | None:
        raise NotImplementedError

    async def locator(self, hash: str) -> list[str]:
        raise NotImplementedError

    async def follow(self, locator: list[str], follower: Follower, stop_height: int | None = None) -> int:
        raise NotImplementedError

    async def unfollow(self, stream: int) -> None:
        raise NotImplementedError

    async def test_accept(self, raws: list[str]) -> list[dict[str, Any]]:
        raise NotImplementedError

    async def transaction(self, txid: str) -> str | None:
        raise NotImplementedError

    async def mempool_spender(self, outpoints: list[tuple[str, int]]) -> list[str | None]:
        raise NotImplementedError


class One:
    """The wallets that are loaded: this one."""

    def __init__(self, wallet: Wallet) -> None:
        self._wallet = wallet

    def chosen(self, call: Call) -> Wallet:
        return self._wallet

    async def current(self, call: Call) -> Wallet:
        return self._wallet


def options() -> WalletOptions:
    return WalletOptions(chain="regtest", keypool=3, fallback_fee=20_000)


def open_wallet(directory: Path, node: RecordingNode) -> Wallet:
    ledger = Ledger.open(directory / "wallet.sqlite", "regtest", GENESIS)
    return Wallet("wallet", ledger, options(), node, NodeClock(lambda: START, START))


Action = Callable[[Wallet], Coroutine[Any, Any, str]]


async def pay(wallet: Wallet) -> str:
    answer = await PaymentCommands(One(wallet)).sendtoaddress(CALL, PAYEE, Decimal("0.3"), "rent")
    assert isinstance(answer, str)
    return answer


async def bump(wallet: Wallet) -> str:
    (waiting,) = wallet.history.unconfirmed()
    answer = await BumpCommands(One(wallet)).bumpfee(CALL, waiting.txid, {"fee_rate": 50})
    return str(answer["txid"])


async def sweep(wallet: Wallet) -> str:
    answer = await SendAllCommands(One(wallet)).sendall(CALL, [PAYEE])
    return str(answer["txid"])


def block(number: int, txs: list[Tx]) -> bytes:
    """A block of these transactions, its header good for nothing."""
    contents = b"".join(tx.serialize(include_witness=True, check_validity=False) for tx in txs)
    return bytes(79) + bytes([number, len(txs)]) + contents


@pytest.fixture
def funded(tmp_path: Path) -> tuple[Path, RecordingNode]:
    """A wallet's directory with three coins, and its node."""
    directory = tmp_path / "template"
    directory.mkdir()
    node = RecordingNode(tmp_path / "received")
    Ledger.create(directory / "wallet.sqlite", "regtest", GENESIS, lambda ledger: None)
    wallet = open_wallet(directory, node)
    for internal in (False, True):
        text = add_checksum(f"wpkh({MASTER}/84h/1h/0h/{int(internal)}/*)")
        asyncio.run(import_descriptor(wallet, ImportRequest(text, START, True, (0, 2), 0, internal), 0))
    owners = wallet.descriptors.owned_scripts
    receiving = [script for script in owners if not wallet.descriptors.is_internal(owners[script].descriptor)]
    source = TxIn(TxOutPoint(b"\x01" * 32, 0), b"", 0, Witness([b"x"]))
    funding = Tx(2, 0, [source], [TxOut(COIN, script) for script in receiving[:3]])
    node.outputs = {(funding.id.hex(), n): output for n, output in enumerate(funding.vout)}
    coinbase = TxIn(script_sig=b"\x01\x01", sequence=0, check_validity=False)
    reward = Tx(2, 0, [coinbase], [TxOut(0, b"\x51")], check_validity=False)
    first, second = (block(number, txs) for number, txs in enumerate(([reward, funding], [reward])))
    wallet.connect_block(first, BlockRef(f"{0:064x}", 0, START - 600, START - 600))
    wallet.connect_block(second, node.tip)
    wallet.close()
    return directory, node


def run_child(directory: Path, node: RecordingNode, action: Action, lines: int) -> tuple[str, int]:
    """Do it in a child that kills itself before it runs line number ``lines`` of the wallet's (0: never). What it
    answered and how many lines it ran, where it came to that: a run may be shorter than another."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        status = 1
        try:
            wallet = open_wallet(directory, node)
            count = 0

            def trace(frame: FrameType, event: str, argument: object) -> Any:
                nonlocal count
                if not frame.f_code.co_filename.startswith(OURS):
                    return None
                if event == "line":
                    count += 1
                    if count == lines:
                        os.kill(os.getpid(), signal.SIGKILL)
                return trace

            sys.settrace(trace)
            answer = asyncio.run(action(wallet))
            sys.settrace(None)
            os.write(writing, f"{answer} {count}".encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read().split()
    _, status = os.waitpid(child, 0)
    if told:
        assert os.WEXITSTATUS(status) == 0
        return told[0], int(told[1])
    assert os.WIFSIGNALED(status)
    return "", 0


def places(directory: Path, node: RecordingNode, action: Action, work: Path) -> list[int]:
    """Line numbers spread over the whole of one run, the last part of it (from the commit on) more densely."""
    shutil.copytree(directory, work)
    _, total = run_child(work, node, action, 0)
    shutil.rmtree(work)
    node.record.unlink(missing_ok=True)
    rng = random.Random(total)
    late = range(total - total // 10, total + 1)
    return sorted({1, total, *rng.sample(range(1, total), PLACES // 2), *rng.sample(late, min(len(late), PLACES // 2))})


def check(directory: Path, node: RecordingNode, action: Action, told: str) -> bool:
    """The wallet as it is found after the kill: whether the payment was in it. Pays, if it was not."""
    wallet = open_wallet(directory, node)
    sent = {Tx.parse(bytes.fromhex(raw)).id for raw in node.received()}
    ours = {tx.txid for tx in wallet.history.unconfirmed()}
    assert sent <= ours, "the node has a payment that the wallet doesn't know"
    assert {bytes.fromhex(told)} <= ours if told else len(ours) <= 1
    done = bool(ours)
    if not done:
        asyncio.run(action(wallet))
    asyncio.run(wallet.outbox.resubmit())
    alive = [tx for tx in wallet.history.unconfirmed() if tx.replaced_by is None]
    spent = [outpoint for tx in alive for outpoint in tx.spends]
    assert len(spent) == len(set(spent)), "a coin is spent twice"
    assert len(alive) == 1
    assert {Tx.parse(bytes.fromhex(raw)).id for raw in node.received()} >= {alive[0].txid}
    change = wallet.addresses.change(OutputType.BECH32)
    assert change.script not in {output.script_pub_key.script for tx in alive for output in tx.tx.vout}
    wallet.close()
    return done


@pytest.mark.parametrize("action", [pay, sweep], ids=["sendtoaddress", "sendall"])
def test_a_payment_is_made_once_or_not_at_all(funded, tmp_path: Path, action: Action) -> None:
    template, node = funded
    outcomes = set()
    for place in places(template, node, action, tmp_path / "work"):
        shutil.copytree(template, tmp_path / "work")
        told, _ = run_child(tmp_path / "work", node, action, place)
        outcomes.add(check(tmp_path / "work", node, action, told))
        shutil.rmtree(tmp_path / "work")
        node.record.unlink(missing_ok=True)
    assert outcomes == {True, False}


def test_a_bumped_payment_and_its_replacement_know_of_each_other_or_neither_does(funded, tmp_path: Path) -> None:
    template, node = funded
    wallet = open_wallet(template, node)
    asyncio.run(pay(wallet))
    (original,) = wallet.history.unconfirmed()
    wallet.close()
    node.record.unlink()
    outcomes = set()
    for place in places(template, node, bump, tmp_path / "work"):
        shutil.copytree(template, tmp_path / "work")
        run_child(tmp_path / "work", node, bump, place)
        wallet = open_wallet(tmp_path / "work", node)
        links = [(tx.txid == original.txid, tx.replaces, tx.replaced_by) for tx in wallet.history.unconfirmed()]
        replacements = [tx.txid for tx in wallet.history.unconfirmed() if tx.txid != original.txid]
        if replacements:
            assert sorted(links, key=str) == sorted(
                [(True, None, replacements[0]), (False, original.txid, None)], key=str
            )
        else:
            assert links == [(True, None, None)]
            assert node.received() == []
        wallet.close()
        outcomes.add(bool(replacements))
        shutil.rmtree(tmp_path / "work")
        node.record.unlink(missing_ok=True)
    assert outcomes == {True, False}
