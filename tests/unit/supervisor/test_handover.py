"""What crosses from one program to the next comes out as it went in."""

import os
from dataclasses import replace
from typing import Any

import pytest

from bitcoind_mp.interfaces.errors import FatalError
from bitcoind_mp.interfaces.obstacle import Obstacle
from bitcoind_mp.supervisor.handover import VARIABLE, HandedUnit, Handover, taken
from bitcoind_mp.supervisor.units.policy import Exit, Policy
from bitcoind_mp.supervisor.units.states import State
from bitcoind_mp.supervisor.units.unit import Ended, Unit
from bitcoind_mp.supervisor.upgrade import become

UNITS = [
    Unit(Policy()),
    Unit(
        Policy(),
        State.BACKOFF,
        since=12.5,
        wanted=True,
        deadline=13.0,
        failures=2,
        failed_starts=(1.0, 2.5),
        restarts=7,
        reason="killed by SIGKILL",
        ended=Ended(Exit(signal=9), "killed by SIGKILL", 12.5),
    ),
    Unit(
        Policy(),
        State.HELD,
        since=12.5,
        wanted=True,
        deadline=13.0,
        ended=Ended(Exit(code=74, said="no room"), "exit status 74", 12.5, "disk-full"),
        obstacle=Obstacle("disk", "/data", 1 << 20),
        frugal=True,
    ),
    Unit(Policy(), State.RUNNING, pid=7, started=1.0, ready_at=2.0, watchdog=30.0, watchdog_at=33.0, text="synced"),
]


def handed(unit: Unit, **changes: Any) -> HandedUnit:
    rest = {
        "pid": unit.pid,
        "is_child": True,
        "was_ready": True,
        "partial": "c3",
        "last_words": ["a"],
        "lines": ["ä"],
        "lifeline": None,
    }
    return HandedUnit.of(unit, **{**rest, "reader": 0, "writer": 0, **changes})


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: str(unit.state))
def test_a_unit_and_all_around_it(unit: Unit) -> None:
    ends = os.pipe()
    given = Handover(
        lock=ends[0],
        listeners={"node": ends[1]},
        bound=["node"],
        notify=(ends[0], "/run/notify"),
        starter=None,
        since=3.25,
        units={"node": handed(unit, reader=ends[0], writer=ends[1], lifeline=ends[1])},
    )
    environ = given.offer({"HOME": "/"})
    assert all(os.get_inheritable(end) for end in ends)
    got = taken(environ)
    assert environ == {"HOME": "/"}
    assert got is not None
    assert replace(got, units={}) == replace(given, units={})
    mine, theirs = got.units["node"], given.units["node"]
    assert replace(mine, unit={}) == replace(theirs, unit={})
    other = Policy(stop_timeout=1.0)
    assert mine.restored(other) == replace(unit, policy=other)
    assert not any(os.get_inheritable(end) for end in ends)
    for end in ends:
        os.close(end)


def test_a_program_that_could_not_be_executed_leaves_nothing_to_others() -> None:
    ends = os.pipe()
    given = Handover(ends[0], {"node": ends[1]}, [], (ends[0], "/run/notify"), None, 3.25)
    become(given, {"TOO_LONG": "x" * (8 << 20)})
    assert not any(os.get_inheritable(end) for end in ends)
    for end in ends:
        os.close(end)


def test_nothing_was_handed_over() -> None:
    assert taken({}) is None


def test_what_another_version_wrote_is_refused() -> None:
    memory = os.memfd_create("other")
    os.write(memory, b'{"version": 0}')
    os.lseek(memory, 0, os.SEEK_SET)
    with pytest.raises(FatalError, match="can't read"):
        taken({VARIABLE: str(memory)})
