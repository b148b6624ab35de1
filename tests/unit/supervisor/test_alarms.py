"""Alerts: told when they begin and when they are over, whatever their figures do meanwhile."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bitcoind_mp.interfaces.init import Hello
from bitcoind_mp.interfaces.journal import Event, event_of
from bitcoind_mp.supervisor.checks.health import HealthMonitor
from bitcoind_mp.supervisor.manager import Manager
from bitcoind_mp.supervisor.outward.alarms import Alarms
from bitcoind_mp.supervisor.outward.board import Board
from bitcoind_mp.supervisor.plan import HealthPlan
from bitcoind_mp.supervisor.processes.notify import NotifySocket
from bitcoind_mp.supervisor.processes.orphans import Register

VERSIONBIT = "Unknown new rules activated (versionbit 28)"
LARGE_WORK = "Warning: We do not appear to fully agree with our peers!"


def run(tmp_path: Path, scenario: Callable[[Alarms, HealthMonitor], None]) -> list[tuple[str, bool]]:
    """What was told: (text, whether it began)."""
    told: list[dict[str, Any]] = []

    async def life() -> None:
        manager = Manager(
            NotifySocket(tmp_path), Register(tmp_path / "units", [], [], boot="x"), tmp_path, environ={}, journal=False
        )
        hello = Hello("supervisor", 1, "regtest", "0", 1)
        health = HealthMonitor(manager, {}, HealthPlan(), hello=hello, disk=tmp_path)
        board = Board()
        board.listen(lambda notice: told.append(notice))
        scenario(Alarms(manager, health, board), health)
        manager.close()

    asyncio.run(life())
    return [(notice["text"], notice["raised"]) for notice in told]


def test_what_the_kernel_warns_of(tmp_path: Path) -> None:
    def scenario(alarms: Alarms, health: HealthMonitor) -> None:
        alarms.warned([VERSIONBIT])
        alarms.look()
        alarms.warned([VERSIONBIT, LARGE_WORK])
        assert alarms.present == [{"source": "node", "text": VERSIONBIT}, {"source": "node", "text": LARGE_WORK}]
        alarms.warned([])

    assert run(tmp_path, scenario) == [(VERSIONBIT, True), (LARGE_WORK, True), (VERSIONBIT, False), (LARGE_WORK, False)]


def test_what_no_other_line_tells_is_in_the_log_with_its_event(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def scenario(alarms: Alarms, health: HealthMonitor) -> None:
        health.configure(HealthPlan(interval=0, min_disk_free=1 << 60))  # which `health` logs
        alarms.warned([VERSIONBIT])
        alarms.look()
        health.configure(HealthPlan(interval=0))
        alarms.warned([])

    with caplog.at_level(logging.INFO):
        run(tmp_path, scenario)
    assert [(Event(event_of(record)[0]).name, record.getMessage()) for record in caplog.records] == [
        ("ALERT_RAISED", f"node: {VERSIONBIT}"),
        ("ALERT_OVER", f"over: node: {VERSIONBIT}"),
    ]


def test_a_disk_that_runs_full_is_one_alert(tmp_path: Path) -> None:
    def scenario(alarms: Alarms, health: HealthMonitor) -> None:
        for wanted in (1 << 60, 1 << 61, 0, 0):  # another figure in the text, the same alert
            health.configure(HealthPlan(interval=0, min_disk_free=wanted))
            alarms.look()

    told = run(tmp_path, scenario)
    assert [raised for _, raised in told] == [True, False]
    assert "MiB free in" in told[0][0]
