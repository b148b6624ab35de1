"""Units whose process is about to be made, when something else comes first. Processes are real and never come up."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from bitcoind_mp.supervisor.handover import HandedUnit
from bitcoind_mp.supervisor.manager import Manager, Supervised
from bitcoind_mp.supervisor.output.logs import UnitLog
from bitcoind_mp.supervisor.plan import Plan
from bitcoind_mp.supervisor.processes.notify import NotifySocket
from bitcoind_mp.supervisor.processes.orphans import Register
from bitcoind_mp.supervisor.units import events as ev
from bitcoind_mp.supervisor.units.policy import Policy
from bitcoind_mp.supervisor.units.states import State
from bitcoind_mp.supervisor.units.unit import Unit

WORKERS = Path(__file__).resolve().parents[2] / "process" / "workers"


def live(directory: Path, scenario: Callable[[Manager, Supervised, Supervised], Awaitable[None]]) -> None:
    """Two units of one program, the second forked from the first's template, which never gets ready."""

    async def life() -> None:
        (directory / "preload").write_text("hang")
        (directory / "node.json").write_text('{"ready": false}')
        environ = {**os.environ, "FAKE_PLANS": str(directory), "PYTHONPATH": str(WORKERS)}
        register = Register(directory / "units", ["wallet", "wallet@w"], boot="b")
        manager = Manager(NotifySocket(directory), register, directory, environ=environ, journal=False)
        argv = (sys.executable, "-P", "-m", "preloaded", "node", str(directory / "node.json"))
        plan = Plan("wallet", argv, Policy(), preload="preloaded")
        first = manager.add(plan, UnitLog("wallet", None), None)
        second = manager.add(replace(plan, name="wallet@w"), UnitLog("wallet@w", None), None, first.origin)
        try:
            async with asyncio.timeout(60):
                await scenario(manager, first, second)
        finally:
            await manager.stop(["wallet"])
            manager.close()

    asyncio.run(life())


def test_what_waits_for_a_template_is_executed_where_there_is_to_be_none(tmp_path: Path) -> None:
    async def scenario(manager: Manager, first: Supervised, second: Supervised) -> None:
        manager.tell(first, ev.StartRequested())
        manager.tell(second, ev.StartRequested())
        assert (first.is_waiting, second.is_waiting) == (True, True)
        manager.tell(first, ev.StopRequested())  # it gives the template up
        assert (await manager.until_unit(second, lambda unit: unit.pid is not None)).pid

    live(tmp_path, scenario)


def test_so_it_is_after_a_reload_that_says_so(tmp_path: Path) -> None:
    async def scenario(manager: Manager, first: Supervised, second: Supervised) -> None:
        manager.tell(first, ev.StartRequested())
        manager.tell(first, ev.StopRequested())
        first.origin.renew()
        manager.tell(second, ev.StartRequested())
        assert second.is_waiting
        first.origin.plan = replace(first.plan, preload="")
        first.origin.renew()
        assert (await manager.until_unit(second, lambda unit: unit.pid is not None)).pid

    live(tmp_path, scenario)


def test_what_waits_for_a_template_has_a_process_when_it_is_handed_over(tmp_path: Path) -> None:
    """The next program knows nothing of a process that is yet to be made: it would wait for its end for ever."""

    async def scenario(manager: Manager, first: Supervised, second: Supervised) -> None:
        manager.tell(second, ev.StartRequested())
        manager.tell(first, ev.StartRequested())
        assert first.is_waiting
        _, handed = manager.hand_over()
        assert all(unit.pid is not None for unit in handed.values())

    live(tmp_path, scenario)


def test_what_a_process_writes_is_known_to_be_its_after_an_upgrade_too(tmp_path: Path) -> None:
    """The journal has each line with its process's pid."""

    argv = (sys.executable, "-c", "import time; time.sleep(60)")
    pid = os.posix_spawn(sys.executable, argv, os.environ, setpgroup=0)

    async def scenario(manager: Manager, first: Supervised, second: Supervised) -> None:
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        unit = Unit(Policy(), State.RUNNING, pid=pid, wanted=True)
        handed = HandedUnit.of(
            unit,
            pid=pid,
            is_child=True,
            was_ready=True,
            reader=reader,
            writer=writer,
            partial="",
            last_words=[],
            lines=[],
            lifeline=None,
        )
        plan = replace(first.plan, name="wallet@old")
        taken = manager.take_over(plan, UnitLog("wallet@old", None), None, handed, first.origin)
        assert taken.log.pid == pid

    live(tmp_path, scenario)
