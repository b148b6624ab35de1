"""The keeper, which makes wallets and holds none open: what it asks the supervisor for, and what it leaves where a
wallet's process can't have its wallet. The supervisor and those processes are fakes in memory."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bitcoind_mp.interfaces.errors import Disconnected, RpcCode, RpcError
from bitcoind_mp.interfaces.wallet_units import OpenWallet, WalletUnit, WalletUnits
from bitcoind_mp.wallet.separate.keeper import BackupsOfOthers, Keeper
from bitcoind_mp.wallet.storage.carrier import TEMPORARY, Direct
from bitcoind_mp.wallet.wallets.creation import Recipe
from bitcoind_mp.wallet.wallets.startup import StartupList


class Units(WalletUnits):
    """The supervisor's; ``why`` is what it says of a process that is not started again, by wallet. Those in ``kept``
    can't be closed."""

    def __init__(self) -> None:
        self.had: dict[str, WalletUnit] = {}
        self.why: dict[str, str] = {}
        self.kept: set[str] = set()

    async def listed(self) -> list[WalletUnit]:
        return list(self.had.values())

    async def begin(self, names: list[str]) -> dict[str, str]:
        raise NotImplementedError

    async def open(self, name: str) -> None:
        self.had.setdefault(name, WalletUnit(name, f"wallet@{name}", True))

    async def settled(self, name: str) -> str:
        return self.why.get(name, "")

    async def close(self, name: str) -> None:
        if name in self.kept:
            raise RpcError(RpcCode.WALLET_ERROR, f"wallet@{name} was started again while it was to be stopped.")
        self.had.pop(name, None)


class Process(OpenWallet):
    """All wallets' processes. Each call raises the next of ``ends``, if there is one; ``begun`` is set by the first."""

    def __init__(self) -> None:
        self.ends: list[Exception] = []
        self.calls: list[str] = []
        self.begun = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def _answer(self, what: str) -> None:
        self.calls.append(what)
        self.begun.set()
        await self.may_answer.wait()
        if self.ends:
            raise self.ends.pop(0)

    async def opened(self, patience: float) -> None:
        await self._answer("opened")

    async def is_idle(self) -> None:
        await self._answer("idle")


class World:
    """A keeper at work beside the bench's node."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.units = Units()
        self.process = Process()
        self.asked: list[str] = []
        self.settings = bench.directory / "settings.json"
        cost = {"cost": bench.wallets._cost}
        startup = StartupList(self.settings)
        self.keeper = Keeper(bench.options, bench.chain, bench.clock, startup, self.units, self.asking, **cost)

    @asynccontextmanager
    async def asking(self, unit: str) -> AsyncIterator[OpenWallet]:
        self.asked.append(unit)
        yield self.process

    def file(self, name: str) -> Any:
        return self.bench.options.wallets_dir / name / "wallet.sqlite"

    async def make(self, name: str = "w", load_on_startup: bool | None = None) -> None:
        await self.keeper.create(name, Recipe(), load_on_startup)


@pytest.fixture
def at_work(on_bench):
    def run(scenario: Any) -> None:
        async def prepared(bench: Any) -> None:
            await scenario(World(bench))

        on_bench(prepared)

    return run


def test_a_wallet_s_life(at_work) -> None:
    async def scenario(world: World) -> None:
        changes: list[int] = []
        world.keeper.on_change = lambda: changes.append(1)
        await world.make(load_on_startup=True)
        assert await world.keeper.names() == ["w"]
        assert (world.asked, world.process.calls) == (["wallet@w"], ["opened"])
        assert json.loads(world.settings.read_text()) == {"wallet": ["w"]}
        assert (await world.bench.refused(world.keeper.load("w"))).code == RpcCode.WALLET_ALREADY_LOADED
        await world.keeper.unload("w", False)
        assert world.process.calls == ["opened", "idle"]
        assert (await world.keeper.names(), world.units.had) == ([], {})
        assert json.loads(world.settings.read_text()) == {"wallet": []}
        assert (await world.bench.refused(world.keeper.unload("w"))).code == RpcCode.WALLET_NOT_FOUND
        await world.keeper.load("w")
        assert await world.keeper.names() == ["w"]
        assert len(changes) == 3

    at_work(scenario)


def test_a_process_that_ends_while_it_is_asked_is_asked_again(at_work) -> None:
    async def scenario(world: World) -> None:
        world.process.ends = [Disconnected("killed"), ConnectionRefusedError(), Disconnected("killed")]
        await world.make()
        assert world.process.calls == ["opened"] * 4
        assert await world.keeper.names() == ["w"]

    at_work(scenario)


def test_one_that_ends_each_time_is_given_up_with_the_wallet_s_file_left(at_work) -> None:
    async def scenario(world: World) -> None:
        world.process.ends = [Disconnected("killed")] * 9
        error = await world.bench.refused(world.make())
        assert (error.code, error.message) == (RpcCode.WALLET_ERROR, "killed")
        assert (world.process.calls, world.units.had) == (["opened"] * 5, {})
        assert world.file("w").exists()

    at_work(scenario)


def test_what_keeps_its_process_from_loading_it_is_told(at_work) -> None:
    async def scenario(world: World) -> None:
        await world.make()
        await world.keeper.unload("w")
        world.units.why["w"] = "Wallet file verification failed. It is corrupt."
        world.process.ends = [Disconnected("it ended")]
        error = await world.bench.refused(world.keeper.load("w", True))
        assert (error.code, error.message) == (RpcCode.WALLET_ERROR, world.units.why["w"])
        assert (world.units.had, world.settings.exists()) == ({}, False)

    at_work(scenario)


def test_one_that_is_scanned_stays_loaded(at_work) -> None:
    async def scenario(world: World) -> None:
        await world.make()
        world.process.ends = [RpcError(RpcCode.WALLET_ERROR, "Wallet is currently rescanning.")]
        assert "rescanning" in (await world.bench.refused(world.keeper.unload("w"))).message
        assert await world.keeper.names() == ["w"]

    at_work(scenario)


@pytest.mark.parametrize(
    "gone", [Disconnected("killed"), RpcError(RpcCode.CLIENT_NOT_CONNECTED, "The wallet@w is stopped.")], ids=type
)
def test_one_whose_process_is_not_there_is_unloaded_all_the_same(at_work, gone: Exception) -> None:
    async def scenario(world: World) -> None:
        await world.make()
        world.process.ends = [gone]
        await world.keeper.unload("w")
        assert world.units.had == {}

    at_work(scenario)


def test_one_that_failed_for_good_is_not_loaded_and_can_be_again(at_work) -> None:
    async def scenario(world: World) -> None:
        await world.make()
        world.units.had["w"] = replace(world.units.had["w"], loaded=False)
        assert await world.keeper.names() == []
        await world.keeper.load("w")
        world.units.had["w"] = replace(world.units.had["w"], loaded=False)
        await world.keeper.unload("w")
        assert world.process.calls == ["opened", "opened"], "nothing was there to be let go"

    at_work(scenario)


@pytest.mark.parametrize("unit_stays", [False, True])
def test_a_backup_that_can_t_be_loaded_is_taken_back_unless_its_process_is_there(at_work, unit_stays: bool) -> None:
    async def scenario(world: World) -> None:
        await world.make()
        await world.keeper.unload("w")
        if unit_stays:
            world.units.kept.add("again")
        world.units.why["again"] = "no"
        world.process.ends = [Disconnected("it ended")]
        await world.bench.refused(world.keeper.restore("again", world.file("w"), None))
        assert world.file("again").exists() is unit_stays
        assert world.file("w").exists()

    at_work(scenario)


def test_nobody_else_loads_one_meanwhile(at_work) -> None:
    async def scenario(world: World) -> None:
        world.process.may_answer.clear()
        making = asyncio.create_task(world.make())
        await world.process.begun.wait()
        for work in (world.keeper.unload("w"), world.keeper.restore("w", world.file("w"), None)):
            assert (await world.bench.refused(work)).message == "Wallet already loading."
        world.process.may_answer.set()
        await making

    at_work(scenario)


def test_a_process_that_ends_before_it_answers_anybody_is_not_waited_for(at_work) -> None:
    """Its callers wait for the one after it, which ends likewise."""

    async def scenario(world: World) -> None:
        world.process.may_answer.clear()
        world.units.why["w"] = "The wallet is being used by another process."
        async with asyncio.timeout(60):
            refused = await world.bench.refused(world.make())
        assert (refused.code, refused.message) == (RpcCode.WALLET_ERROR, world.units.why["w"])
        assert world.units.had == {}

    at_work(scenario)


@pytest.mark.parametrize("place", ["alice/b", "b", "new/../alice/b", "link/b", "elsewhere"])
def test_no_backup_is_put_where_another_wallet_s_process_could_read_it(at_work, tmp_path, place: str) -> None:
    """Whoever asks for it may be that process, and be broken into."""

    async def scenario(world: World) -> None:
        directory, outside = world.keeper.directory, tmp_path / "outside"
        for name in ("alice", "bob", "new"):
            (directory.root / name).mkdir(parents=True)
        outside.mkdir()
        (directory.root / "link").symlink_to(directory.root / "alice")
        world.units.had["named"] = WalletUnit(str(outside), "wallet@named", True)
        carries = BackupsOfOthers(directory, directory.carrier, world.units.listed)
        (directory.root / "bob" / TEMPORARY).write_bytes(b"keys")
        target = outside / "b" if place == "elsewhere" else directory.root / place
        refused = await world.bench.refused(carries.carry("bob", str(target)))
        assert (refused.code, "Backups are not put into another wallet's directory" in refused.message) == (-4, True)
        assert not target.exists()
        for fine in (directory.root / "bob" / "mine", tmp_path / "backup"):
            await carries.carry("bob", str(fine))
            assert fine.read_bytes() == b"keys"

    at_work(scenario)


class Slow(Direct):
    """A carrier with a file that has no end, until it is allowed one."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.carried: list[Path] = []

    def put(self, copy: Path, destination: Path) -> None:
        self.begun.set()
        assert self.may_end.wait(60)
        self.carried.append(destination)


def test_the_others_are_answered_while_one_s_backup_is_carried(at_work, tmp_path) -> None:
    """How large it is, and how long it takes, is for its wallet's process to say."""

    async def scenario(world: World) -> None:
        (world.keeper.directory.root / "bob").mkdir(parents=True)
        carrier = Slow()
        carries = BackupsOfOthers(world.keeper.directory, carrier, world.units.listed)
        carrying = [asyncio.create_task(carries.carry("bob", str(tmp_path / name))) for name in ("a", "b")]
        await asyncio.to_thread(carrier.begun.wait, 60)
        assert await world.keeper.names() == []
        assert not any(task.done() for task in carrying)
        carrier.may_end.set()
        await asyncio.gather(*carrying)
        assert [path.name for path in carrier.carried] == ["a", "b"], "one after the other"

    at_work(scenario)
