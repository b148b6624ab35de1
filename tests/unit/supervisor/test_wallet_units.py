"""Units that serve one wallet each: had, and forgotten, whatever else is asked of them meanwhile."""

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bitcoind_mp import config as configuration
from bitcoind_mp.config import Config
from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.ipc.wire.passing import take_from
from bitcoind_mp.ipc.wire.unix import bind_listener, is_answered
from bitcoind_mp.supervisor import plan
from bitcoind_mp.supervisor.doorman import Doorman
from bitcoind_mp.supervisor.manager import Manager
from bitcoind_mp.supervisor.output.logbook import Logbook
from bitcoind_mp.supervisor.places import Listeners, prepare
from bitcoind_mp.supervisor.processes.notify import NotifySocket
from bitcoind_mp.supervisor.processes.orphans import Orphan, Register
from bitcoind_mp.supervisor.processes.private import Private
from bitcoind_mp.supervisor.units import events as ev
from bitcoind_mp.supervisor.units.states import State
from bitcoind_mp.supervisor.wallet_units import WalletUnits, sweep

#: So long that a unit's name doesn't tell it.
LONG = "ü" * 100


@dataclass
class World:
    """What wallets' units are had in: a supervisor's parts around real processes."""

    config: Config
    manager: Manager
    wallets: WalletUnits

    def socket_names(self) -> list[str]:
        return sorted(path.name for path in self.config.run_dir.glob("wallet@*"))


Scenario = Callable[[World], Awaitable[None]]


def live(directory: Path, scenario: Scenario, *more: str, register: type[Register] = Register) -> None:
    """Processes are the wallet's own, and in the middle of their imports when they are stopped."""

    async def life() -> None:
        options = ["-regtest", f"-datadir={directory}", "-walletprocess=each", "-preload=0", "-sandbox=off", *more]
        config = configuration.load(options, "bitcoind-mp", environ={})
        prepare(config)
        known = register(config.run_dir / "units", ["wallet"], boot="b")
        manager = Manager(NotifySocket(config.run_dir), known, config.run_dir, environ={}, journal=False)
        sockets, logs = Listeners(config, None), Logbook(config, journal=None)
        doorman = Doorman("bitcoin-mp", Private({}), take_from)
        manager.add(plan.units(config)[1], logs.open("wallet"), None)
        wallets = WalletUnits(
            manager, config, sockets, logs, bind=bind_listener, doorman=doorman, learners=(), tables={}
        )
        try:
            async with asyncio.timeout(60):
                await scenario(World(config, manager, wallets))
        finally:
            await manager.stop(plan.STOP_ORDER)
            doorman.close()
            sockets.close()
            manager.close()
            logs.close()

    asyncio.run(life())


def test_one_is_had_and_forgotten(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.wallets.open("w")
        assert [unit.name for unit in await world.wallets.listed()] == ["w"]
        await world.wallets.close("w")
        assert await world.wallets.listed() == []
        assert world.socket_names() == []

    live(tmp_path, scenario)


def test_one_that_is_started_again_while_it_is_closed_is_not_waited_for(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.wallets.open("w")
        closing = asyncio.create_task(world.wallets.close("w"))
        await asyncio.sleep(0)
        supervised = world.manager.units["wallet@w"]
        assert supervised.unit.state is State.STOPPING
        world.manager.tell(supervised, ev.StartRequested())
        with pytest.raises(RpcError, match="started again"):
            await closing
        assert [unit.name for unit in await world.wallets.listed()] == ["w"]

    live(tmp_path, scenario)


def test_one_that_is_started_as_soon_as_it_has_stopped_keeps_its_process(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.wallets.open("w")
        supervised = world.manager.units["wallet@w"]
        loop = asyncio.get_running_loop()

        def changed(*_: Any) -> None:
            if supervised.unit.state is State.STOPPED and not world.manager.stopping:
                loop.call_soon(world.manager.tell, supervised, ev.StartRequested())

        world.manager.on_change(changed)
        closing = asyncio.create_task(world.wallets.close("w"))
        with pytest.raises(RpcError, match="started again"):
            await closing
        assert world.manager.owns(supervised.unit.pid or 0)

    live(tmp_path, scenario)


def test_one_whose_name_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    """And it can be had later."""

    async def scenario(world: World) -> None:
        name = world.config.socket_path(plan.wallet_unit(world.config, LONG).name).with_suffix(".name")
        name.mkdir()
        with pytest.raises(RpcError, match="Wallet loading failed"):
            await world.wallets.open(LONG)
        assert await world.wallets.listed() == []
        name.rmdir()
        assert world.socket_names() == []
        await world.wallets.open(LONG)
        assert [unit.name for unit in await world.wallets.listed()] == [LONG]

    live(tmp_path, scenario)


class FullDisk(Register):
    """From its second record on."""

    def _write(self, unit: str, text: str) -> None:
        if unit != "wallet":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super()._write(unit, text)


def test_a_full_disk_keeps_nobody_from_being_had_and_forgotten(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(world: World) -> None:
        await world.wallets.open("w")
        assert world.manager.units["wallet@w"].unit.pid is not None
        await world.wallets.close("w")
        assert world.socket_names() == []

    live(tmp_path, scenario, register=FullDisk)
    assert "wallet@w: could not be noted: No space left on device" in caplog.messages


def test_the_name_of_one_whose_process_is_still_ending_is_kept(tmp_path: Path) -> None:
    """Its socket is closed already, and its supervisor was killed."""

    async def scenario(world: World) -> None:
        unit = plan.wallet_unit(world.config, LONG).name
        place = world.config.socket_path(unit)
        bind_listener(place).close()
        place.with_suffix(".name").write_text(LONG, "utf-8")
        orphans = [Orphan(unit, 1, -1)]
        sweep(world.config.run_dir, is_answered, [orphan.unit for orphan in orphans])
        world.wallets.come_up(orphans, [])
        assert [each.plan.wallet for each in world.manager.units.values()] == [None, LONG]
        await world.wallets.close(LONG)

    live(tmp_path, scenario)


@pytest.mark.parametrize("name", ["/etc", "../../elsewhere", "w/../../x", "link", "a\0b", "\ud800"])
def test_one_that_lies_elsewhere_is_refused_whoever_asks(tmp_path: Path, name: str) -> None:
    """Its process would reach that place, and be started by whoever broke into the one that asks."""

    async def scenario(world: World) -> None:
        world.config.wallets_dir.mkdir(exist_ok=True)
        (world.config.wallets_dir / "link").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(RpcError, match=r"name it by -wallet= at the start"):
            await world.wallets.open(name)
        assert await world.wallets.begin([name, "w"]) == {name: str(refused(world, name))}
        assert [unit.name for unit in await world.wallets.listed()] == ["w"]

    live(tmp_path, scenario)


def refused(world: World, name: str) -> str:
    place = world.config.wallets_dir
    return (
        f"Wallet loading failed. '{place / name}' is not within {place}. Move the wallet there, or name it by -wallet= "
        "at the start."
    )


def test_one_that_lies_elsewhere_is_had_where_the_command_line_names_it(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.wallets.come_up([], [])
        await world.wallets.open(str(tmp_path / "elsewhere"))
        assert [unit.name for unit in await world.wallets.listed()] == [str(tmp_path / "elsewhere")]

    live(tmp_path, scenario, f"-wallet={tmp_path / 'elsewhere'}")


def test_those_that_are_marked_are_opened_once(tmp_path: Path) -> None:
    """Not again when the process that reads where they are marked is started again: they may have been unloaded."""

    async def scenario(world: World) -> None:
        assert await world.wallets.begin(["a", "b"]) == {}
        await world.wallets.close("a")
        assert await world.wallets.begin(["a", "b"]) == {}
        assert [unit.name for unit in await world.wallets.listed()] == ["b"]

    live(tmp_path, scenario)


def test_one_that_is_asked_for_while_it_is_closed_stays(tmp_path: Path) -> None:
    """As one that a killed supervisor left, and that is marked to be loaded."""

    async def scenario(world: World) -> None:
        await world.wallets.open("w")
        supervised = world.manager.units["wallet@w"]
        before = supervised.unit.pid
        closing = asyncio.create_task(world.wallets.close("w"))
        await asyncio.sleep(0)
        assert await world.wallets.begin(["w"]) == {}
        with pytest.raises(RpcError, match="started again"):
            await closing
        await world.manager.until_unit(supervised, lambda unit: unit.pid not in (None, before))
        assert [unit.name for unit in await world.wallets.listed()] == ["w"]

    live(tmp_path, scenario)


def test_what_nobody_listens_on_is_swept(tmp_path: Path) -> None:
    with bind_listener(tmp_path / "wallet@live.sock"):
        bind_listener(tmp_path / "wallet@gone.sock").close()
        for beside in (".json", ".name"):
            (tmp_path / f"wallet@gone{beside}").touch()
        sweep(tmp_path, is_answered, [])
        assert [path.name for path in tmp_path.iterdir()] == ["wallet@live.sock"]
