"""What an end means, and how long to wait after it."""

import pytest

from bitcoind_mp.interfaces.errors import ExitStatus
from bitcoind_mp.interfaces.failures import BY_CAUSE, FAILURES
from bitcoind_mp.supervisor.units.policy import Exit, Policy, Verdict


@pytest.mark.parametrize(
    ("exit", "verdict", "why"),
    [
        (Exit(code=0), Verdict.CRASH, "exit status 0"),
        (Exit(code=1), Verdict.CRASH, "exit status 1"),
        (Exit(code=64), Verdict.FOR_GOOD, "exit status 64 (bad usage)"),
        (Exit(code=65), Verdict.FOR_GOOD, "exit status 65 (corrupt data)"),
        (Exit(code=70), Verdict.CRASH, "exit status 70 (internal error)"),
        (Exit(code=69), Verdict.HOLD, "exit status 69 (port taken)"),
        (Exit(code=71), Verdict.TRY_AGAIN, "exit status 71 (operating system error)"),
        (Exit(code=74), Verdict.HOLD, "exit status 74 (disk nearly full)"),
        (Exit(code=75), Verdict.HOLD, "exit status 75 (directory locked)"),
        (Exit(code=150), Verdict.CRASH, "exit status 150 (out of memory)"),
        (Exit(code=78), Verdict.FOR_GOOD, "exit status 78 (bad configuration)"),
        (Exit(signal=9), Verdict.CRASH, "killed by SIGKILL"),
        (Exit(signal=9, starved=True), Verdict.CRASH, "killed by SIGKILL: out of memory"),
        (Exit(signal=63), Verdict.CRASH, "killed by signal 63"),
        (Exit(error="No such file or directory"), Verdict.TRY_AGAIN, "could not be started: No such file or directory"),
    ],
)
def test_what_an_end_means(exit: Exit, verdict: Verdict, why: str) -> None:
    assert (exit.verdict, exit.why) == (verdict, why)


@pytest.mark.parametrize(
    ("exit", "cause"),
    [
        (Exit(code=0), ""),
        (Exit(code=1), "failed"),
        (Exit(code=99), "failed"),
        (Exit(code=65), "corrupt-data"),
        (Exit(code=69), "port-taken"),
        (Exit(code=74), "disk-full"),
        (Exit(code=75), "directory-locked"),
        (Exit(code=78), "bad-option"),
        (Exit(code=150), "out-of-memory"),
        (Exit(signal=9), "killed"),
        (Exit(signal=9, starved=True), "out-of-memory"),
        (Exit(signal=11), "crashed"),
        (Exit(error="No such file or directory"), "not-started"),
        (Exit(), "left-over"),
    ],
)
def test_every_end_has_a_cause_and_each_cause_an_advice(exit: Exit, cause: str) -> None:
    assert exit.cause == cause
    assert not cause or BY_CAUSE[cause].advice.endswith(".")


def test_no_two_failures_share_a_status_or_a_cause() -> None:
    statuses = [failure.status for failure in FAILURES if failure.status is not None]
    assert len(set(statuses)) == len(statuses)
    assert set(statuses) == set(ExitStatus) - {ExitStatus.OK}
    assert len(BY_CAUSE) == len(FAILURES)


@pytest.mark.parametrize("status", list(ExitStatus))
def test_every_status_of_ours_has_a_word(status: ExitStatus) -> None:
    why = Exit(code=int(status)).why
    assert why.startswith(f"exit status {int(status)}")
    assert "(" in why or status in (ExitStatus.OK, ExitStatus.FAILURE)


def test_a_return_code_below_zero_is_a_signal() -> None:
    assert Exit.from_returncode(-11) == Exit(signal=11)
    assert Exit.from_returncode(11) == Exit(code=11)


def test_the_delay_doubles_up_to_the_cap() -> None:
    policy = Policy(backoff_first=0.5, backoff_cap=3)
    assert [policy.delay(n, False, Verdict.CRASH) for n in range(1, 6)] == [0.5, 1, 2, 3, 3]
    assert policy.delay(10**6, False, Verdict.CRASH) == 3


def test_the_first_end_after_ready_costs_no_time() -> None:
    policy = Policy(backoff_first=0.5)
    assert policy.delay(1, True, Verdict.CRASH) == 0
    assert policy.delay(2, True, Verdict.CRASH) == 0.5
    assert policy.delay(3, True, Verdict.CRASH) == 1


def test_trying_again_never_spins_whatever_is_configured() -> None:
    policy = Policy(backoff_first=0, backoff_cap=0, try_again=1)
    assert policy.delay(1, True, Verdict.TRY_AGAIN) == 1
    assert policy.delay(9, False, Verdict.TRY_AGAIN) == 1
