"""What the health monitor looks at besides the workers: the disk."""

import asyncio
import logging
from pathlib import Path

import pytest

from bitcoind_mp.interfaces.init import Hello
from bitcoind_mp.interfaces.journal import Event, event_of
from bitcoind_mp.supervisor.checks.health import HealthMonitor
from bitcoind_mp.supervisor.manager import Manager
from bitcoind_mp.supervisor.plan import HealthPlan
from bitcoind_mp.supervisor.processes.notify import NotifySocket
from bitcoind_mp.supervisor.processes.orphans import Register


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [Event(event_of(record)[0]).name for record in caplog.records if event_of(record)[0]]


def test_a_disk_that_runs_full_and_has_room_again_is_told_once_each(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        manager = Manager(
            NotifySocket(tmp_path), Register(tmp_path / "units", [], [], boot="x"), tmp_path, environ={}, journal=False
        )
        hello = Hello("supervisor", 1, "regtest", "0", 1)
        health = HealthMonitor(manager, {}, HealthPlan(), hello=hello, disk=tmp_path)

        for wanted in (1 << 62, 1 << 62, 0, 0):
            health.configure(HealthPlan(interval=0, min_disk_free=wanted))
            health.look_at_disk()
        await health.close()
        manager.close()

    with caplog.at_level(logging.INFO, logger="bitcoind_mp.supervisor"):
        asyncio.run(scenario())
    assert told(caplog) == ["DISK_LOW", "DISK_HAS_ROOM"]
