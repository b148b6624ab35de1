"""Figures and judgement: when a unit counts as well."""

import os
from dataclasses import replace
from typing import Any

import pytest

from bitcoind_mp.interfaces.health import Health
from bitcoind_mp.supervisor.checks.vitals import Checkup, Grade, Resources, judge, measure, open_files
from bitcoind_mp.supervisor.plan import MIB, Limits
from bitcoind_mp.supervisor.units.policy import Exit, Policy
from bitcoind_mp.supervisor.units.states import State
from bitcoind_mp.supervisor.units.unit import Ended, Unit

RUNNING = Unit(Policy(), state=State.RUNNING, pid=7)
NONE = Limits()
WELL = Checkup(7, at=1.0, answer=Health("fine"), resources=Resources(50 * MIB, 1.0, 20, 3), cpu_percent=5.0)


def grade(unit: Unit, checkup: Checkup = WELL, limits: Limits = NONE) -> tuple[Grade, list[str]]:
    found = judge(unit, checkup, limits, patience=3)
    return found.grade, found.problems


def test_all_is_well() -> None:
    assert grade(RUNNING) == (Grade.OK, [])
    assert grade(replace(RUNNING, state=State.RELOADING)) == (Grade.OK, [])
    assert grade(RUNNING, Checkup(7)) == (Grade.OK, []), "not yet checked is no fault"


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        (Limits(memory=49 * MIB), "holds 50 MiB of memory, limit 49"),
        (Limits(cpu=4), "uses 5 % of a processor, limit 4"),
        (Limits(files=19), "holds 20 open files, limit 19"),
    ],
)
def test_what_is_over_a_limit_is_a_problem(limits: Limits, problem: str) -> None:
    assert grade(RUNNING, limits=limits) == (Grade.DEGRADED, [problem])


def test_what_is_just_at_its_limits_is_well() -> None:
    assert grade(RUNNING, limits=Limits(memory=50 * MIB, cpu=5, files=20)) == (Grade.OK, [])


def test_what_it_complains_of_itself_is_a_problem() -> None:
    complaining = replace(WELL, answer=Health("so so", problems=["alice is corrupt"]))
    assert grade(RUNNING, complaining) == (Grade.DEGRADED, ["alice is corrupt"])


def test_unanswered_checks_first_degrade_and_then_fail() -> None:
    silent = replace(WELL, error="no answer within 5 s")
    expected = [Grade.DEGRADED, Grade.DEGRADED, Grade.FAILED, Grade.FAILED]
    assert [grade(RUNNING, replace(silent, failures=n))[0] for n in (1, 2, 3, 4)] == expected
    assert grade(RUNNING, replace(silent, failures=1))[1] == ["health check: no answer within 5 s"]


@pytest.mark.parametrize(
    ("changes", "expected", "problem"),
    [
        ({"state": State.STARTING}, Grade.DEGRADED, "starting"),
        ({"state": State.STARTING, "text": "replaying"}, Grade.DEGRADED, "starting: replaying"),
        ({"state": State.STOPPING}, Grade.DEGRADED, "stopping"),
        ({"state": State.FAILED, "reason": "exit status 78"}, Grade.FAILED, "failed: exit status 78"),
        ({"state": State.BACKOFF, "reason": "crash"}, Grade.FAILED, "waiting to be started again: crash"),
        (
            {"state": State.STARTING, "failures": 2, "ended": Ended(Exit(signal=9), "killed by SIGKILL", 1.0)},
            Grade.DEGRADED,
            "starting: killed by SIGKILL",
        ),
    ],
)
def test_one_that_does_not_serve(changes: dict[str, Any], expected: Grade, problem: str) -> None:
    assert grade(replace(RUNNING, pid=None, **changes)) == (expected, [problem])


def test_one_that_is_not_to_run_is_well_when_it_does_not() -> None:
    assert grade(Unit(Policy())) == (Grade.OK, [])
    assert grade(replace(RUNNING, state=State.STOPPED, pid=None)) == (Grade.OK, []), "stopped by a person"


def test_grades_are_what_monitors_expect() -> None:
    assert [(each.word, int(each)) for each in Grade] == [("ok", 0), ("degraded", 1), ("failed", 2)]


def test_open_files_come_from_the_worker_where_they_are_hidden() -> None:
    hidden = replace(WELL, resources=Resources(1, 1.0, None, 1))
    assert open_files(WELL) == 20
    assert open_files(hidden) is None
    assert open_files(replace(hidden, answer=Health("", counters={"open_files": 9}))) == 9
    assert open_files(Checkup(7)) is None


def test_measuring_ourselves_and_nobody() -> None:
    us = measure(os.getpid())
    assert us is not None
    assert us.memory > MIB
    assert us.files is not None
    assert us.files >= 3
    assert us.threads >= 1
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    assert measure(child) is None
