"""What a worker says is checked: one that was broken into can say anything, and nothing comes of it."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bitcoind_mp.interfaces.chain import BlockRef
from bitcoind_mp.interfaces.init import Hello
from bitcoind_mp.interfaces.notices import TransactionChange, WalletWatch, WalletWatcher
from bitcoind_mp.ipc.serve.server import Server
from bitcoind_mp.ipc.wire.credentials import own_user
from bitcoind_mp.ipc.wire.unix import bind_listener
from bitcoind_mp.supervisor.manager import Manager
from bitcoind_mp.supervisor.output.logs import Pump, UnitLog
from bitcoind_mp.supervisor.outward.board import Board
from bitcoind_mp.supervisor.outward.sources import NodeSource, WalletSource
from bitcoind_mp.supervisor.plan import Plan
from bitcoind_mp.supervisor.processes.notify import NotifySocket
from bitcoind_mp.supervisor.processes.orphans import Register
from bitcoind_mp.supervisor.supervised import Supervised
from bitcoind_mp.supervisor.units.policy import Policy
from bitcoind_mp.supervisor.units.states import State

HELLO = Hello("supervisor", 1, "regtest", "0", 1)
GOOD, BAD = "ab" * 32, "ab" * 31 + "; reboot"


def run(tmp_path: Path, scenario: Any) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []

    async def life() -> None:
        manager = Manager(
            NotifySocket(tmp_path), Register(tmp_path / "units", [], [], boot="x"), tmp_path, environ={}, journal=False
        )
        unit = Supervised(Plan("node", ("true",), Policy()), Pump(UnitLog("node", None)), None, {}, lambda _: None, 0.0)
        board = Board(clock=lambda: 1.0)
        board.listen(lambda notice: told.append(notice))
        await scenario((manager, unit, tmp_path / "node.sock", HELLO), board)
        unit.pump.close()
        unit.origin.close()
        manager.close()

    asyncio.run(life())
    return told


def test_blocks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(where: Any, board: Board) -> None:
        source = NodeSource(*where, board=board, warned=lambda texts: None)
        await source.tips([BlockRef(BAD, 1, 5, 5), BlockRef(GOOD.upper(), 1, 5, 5), BlockRef(GOOD, 2, 6, 6)], 0)
        await source.tips([], 7)

    assert run(tmp_path, scenario) == [
        {"kind": "tip", "time": 1.0, "hash": GOOD, "height": 2, "block_time": 6},
        {"kind": "missed", "time": 1.0, "source": "node", "count": 7},
    ]
    assert caplog.messages == ["node told of a block whose hash is none"], "once: there may be no end of them"


def test_transactions(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(where: Any, board: Board) -> None:
        source = WalletSource(*where, board=board, fresh=False)
        bad = [TransactionChange(1, BAD, "", -1), TransactionChange(2, GOOD, BAD, 3)]
        await source.transactions("w", [*bad, TransactionChange(3, GOOD, "", -1)])

    (told,) = run(tmp_path, scenario)
    assert told == {
        **{"kind": "transaction", "time": 1.0, "wallet": "w"},
        **{"txid": GOOD, "block": None, "height": -1, "number": 3},
    }
    assert len(caplog.messages) == 1


def test_one_wallets_process_tells_of_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A command on transactions would be run with the other's name."""

    async def scenario(where: Any, board: Board) -> None:
        where[1].plan = replace(where[1].plan, name="wallet@alice", wallet="alice")
        source = WalletSource(*where, board=board, fresh=False)
        for wallet in ("alice", "bob", ""):
            await source.transactions(wallet, [TransactionChange(3, GOOD, "", -1)])

    assert [notice["wallet"] for notice in run(tmp_path, scenario)] == ["alice"]
    assert caplog.messages == ["node told of another wallet's transactions"]


def test_warnings_are_bounded(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    async def scenario(where: Any, board: Board) -> None:
        source = NodeSource(*where, board=board, warned=seen.append)
        await source.warnings(["\x1b[31m" + "x" * 10_000 + "\n"] * 1000)

    run(tmp_path, scenario)
    assert [len(seen[0]), {len(text) for text in seen[0]}] == [20, {499}]
    assert all(text.isprintable() for text in seen[0])


def test_an_answer_waits_for_what_is_done_about_it(tmp_path: Path) -> None:
    async def scenario(where: Any, board: Board) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        board.listen(lambda notice: done)
        source = WalletSource(*where, board=board, fresh=False)
        answering = asyncio.ensure_future(source.transactions("w", [TransactionChange(3, GOOD, "", -1)]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not answering.done()
        done.set_result(None)
        async with asyncio.timeout(20):
            await answering

    run(tmp_path, scenario)


def test_a_follower_waits_until_a_worker_that_serves_was_asked(tmp_path: Path) -> None:
    """What happened between his answer and that would be told to nobody."""

    class Answering(WalletWatch):
        def __init__(self) -> None:
            self.called, self.goes_on = asyncio.Event(), asyncio.Event()

        async def watch(self, fresh: bool, watcher: WalletWatcher) -> None:
            self.called.set()
            await self.goes_on.wait()

    async def scenario(where: Any, board: Board) -> None:
        _, unit, path, _ = where
        wallet = Answering()
        server = Server([wallet], hello=replace(HELLO, role="wallet"), access=own_user(""))
        await server.serve(bind_listener(path))
        source = WalletSource(*where, board=board, fresh=True)
        async with asyncio.timeout(20):
            await source.asked()  # nobody serves
            unit.unit = replace(unit.unit, state=State.RUNNING)
            source.begin()
            asked = asyncio.ensure_future(source.asked())
            await wallet.called.wait()
            assert not asked.done()
            wallet.goes_on.set()
            await asked
            await source.close()
            await server.close()

    run(tmp_path, scenario)


def test_a_mistake_of_ours_that_ends_the_listening_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(where: Any, board: Board) -> None:
        asked = asyncio.Event()

        def mistaken(texts: list[str]) -> None:
            asked.set()
            raise KeyError("a mistake")

        _, unit, _, _ = where
        unit.unit = replace(unit.unit, state=State.RUNNING)
        source = NodeSource(*where, board=board, warned=mistaken)
        source.begin()
        await asyncio.wait_for(asked.wait(), 20)
        await source.close()

    run(tmp_path, scenario)
    assert caplog.messages == ["node is not listened to any more"]
    assert "KeyError: 'a mistake'" in caplog.text
