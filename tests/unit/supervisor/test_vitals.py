"""Figures and judgement: when a unit counts as well."""

import os
from dataclasses import replace
from typing import Any

import pytest

from bitcoind_mp.interfaces.health import Health
from bitcoind_mp.supervisor.checks.vitals import Checkup, Grade, Resources, believed, judge, measure, usage
from bitcoind_mp.supervisor.plan import MIB, Limits
from bitcoind_mp.supervisor.units.policy import Exit, Policy
from bitcoind_mp.supervisor.units.states import State
from bitcoind_mp.supervisor.units.unit import Ended, Unit

RUNNING = Unit(Policy(), state=State.RUNNING, pid=7)
NONE = Limits()
WELL = Checkup(7, at=1.0, answer=Health("fine"), resources=Resources(50 * MIB, 1.0, 20, 3), cpu_percent=5.0)


@pytest.fixture
def gone() -> int:
    """The pid of a process that was."""
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    return child


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


def test_that_it_makes_do_with_less_memory_is_said_until_somebody_lifts_it() -> None:
    """Also while it is started again: else the alert would be over and begin again with each kill."""
    for state in State:
        unit = replace(RUNNING, state=state, frugal=True)
        told = [text for text in judge(unit, WELL, NONE, patience=3).problems if "-lowmemory" in text]
        assert len(told) == (state is not State.STOPPED), state


def test_what_is_just_at_its_limits_is_well() -> None:
    assert grade(RUNNING, limits=Limits(memory=50 * MIB, cpu=5, files=20)) == (Grade.OK, [])


def test_of_an_answer_so_much_is_taken_in_and_all_of_it_can_be_printed() -> None:
    evil = "all is well\x1b[2K\r\n2026-11-29T00:00:00Z [supervisor] node: ready" + "x" * 100_000
    found = believed(Health(evil, [evil] * 1000, protections=[evil] * 1000, unprotected=[evil] * 1000))
    for texts in ([found.status], found.problems, found.protections, found.unprotected):
        assert len(texts) in (1, 20)
        assert all(text.isprintable() and len(text) <= 500 for text in texts)
    well = Health("fine", ["alice is corrupt"], {"open_files": 3}, {"alice": {"lag": 2}}, ["seccomp"], ["Landlock"])
    assert believed(well) == well


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


@pytest.mark.parametrize("option", ["maxrss", "maxcpu", "maxfiles"])
def test_a_limit_on_what_cannot_be_seen_is_a_problem(option: str) -> None:
    limits = {"maxrss": Limits(memory=1), "maxcpu": Limits(cpu=1), "maxfiles": Limits(files=1)}[option]
    hidden = replace(WELL, resources=None, cpu_percent=None)
    assert grade(RUNNING, hidden, limits) == (
        Grade.DEGRADED,
        [f"-{option} is not watched: what it uses can't be seen"],
    )
    assert grade(RUNNING, hidden) == (Grade.OK, []), "nobody asked"
    assert grade(RUNNING, Checkup(7), limits) == (Grade.OK, []), "not yet checked is no fault"


def test_a_process_that_cannot_be_seen_is_believed(gone: int) -> None:
    """Its pid is nobody's: as /proc tells of one that it hides."""
    counters = {"memory": 50 * MIB, "cpu_ms": 1500, "threads": 3, "open_files": 9}
    telling = Checkup(gone, at=1.0, answer=Health("", counters=counters))
    assert usage(gone, telling) == Resources(50 * MIB, 1.5, 9, 3)
    assert usage(gone, replace(telling, failures=1)) is None, "it hangs: that was long ago"
    assert usage(gone, replace(telling, pid=gone + 1)) is None, "that was another process"
    assert usage(gone, replace(telling, answer=Health("", counters={"open_files": 9}))) is None
    assert usage(None, Checkup()) is None
    lying = replace(telling, answer=Health("", counters={**counters, "cpu_ms": 10**400, "memory": -1}))
    assert (found := usage(gone, lying)) is not None and (found.memory, found.cpu) == (0, 2**62 / 1000)


def test_what_can_be_seen_of_a_process_comes_first() -> None:
    counters = {"memory": 1, "cpu_ms": 1, "threads": 999, "open_files": 9}
    found = usage(os.getpid(), Checkup(os.getpid(), at=1.0, answer=Health("", counters=counters)))
    assert found is not None
    assert (found.memory > MIB, found.threads < 999) == (True, True)


def test_measuring_ourselves() -> None:
    us = measure(os.getpid())
    assert us is not None
    assert us.memory > MIB
    assert us.files is not None
    assert us.files >= 3
    assert us.threads >= 1


def test_measuring_nobody(gone: int) -> None:
    assert measure(gone) is None


def test_what_a_worker_tells_is_taken_or_left_whole() -> None:
    from bitcoind_mp.supervisor.checks.vitals import reported

    counters = {"memory": 50 * MIB, "cpu_ms": 1500, "threads": 3, "open_files": 9}
    told = Checkup(7, answer=Health("", counters=counters))
    assert reported(7, told) == Resources(50 * MIB, 1.5, 9, 3)
    assert reported(8, told) is None, "another process said that"
    assert reported(7, replace(told, failures=1)) is None, "it was an earlier check"
    for name in counters:
        less = {each: value for each, value in counters.items() if each != name}
        assert reported(7, replace(told, answer=Health("", counters=less))) is None
