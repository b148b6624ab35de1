"""What a process uses, by psutil or by its own word, and whether that and its answers are well: figures and judgement.

Asking the worker is ``health.py``'s part.
"""

from dataclasses import dataclass, field, replace
from enum import IntEnum

import psutil

from bitcoind_mp.interfaces.health import Health
from bitcoind_mp.supervisor.plan import Limits
from bitcoind_mp.supervisor.said import said
from bitcoind_mp.supervisor.units.states import SERVING, State
from bitcoind_mp.supervisor.units.unit import Unit

#: Sentences of each kind in a worker's answer, and characters of each.
_MOST_SAID, _LONGEST_SAID = 20, 500


def believed(answer: Health) -> Health:
    """An answer as far as it is taken in: so many sentences, each a line that can be printed."""

    def lines(texts: list[str]) -> list[str]:
        return [said(text, _LONGEST_SAID) for text in texts[:_MOST_SAID]]

    return replace(
        answer,
        status=said(answer.status, _LONGEST_SAID),
        problems=lines(answer.problems),
        protections=lines(answer.protections),
        unprotected=lines(answer.unprotected),
    )


class Grade(IntEnum):
    """How well a unit is. The numbers are the exit statuses of ``health`` that monitors know."""

    OK = 0
    DEGRADED = 1
    FAILED = 2

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Resources:
    """A process at a moment: resident bytes, processor seconds used so far, open descriptors (None where the
    process hides them), threads."""

    memory: int
    cpu: float
    files: int | None
    threads: int


def measure(pid: int) -> Resources | None:
    """None for a process that is gone, or hidden from us altogether."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            memory, threads = process.memory_info().rss, process.num_threads()
        return Resources(memory, times.user + times.system, _files(process), threads)
    except psutil.Error:
        return None


def _files(process: psutil.Process) -> int | None:
    try:
        return process.num_fds()
    except psutil.AccessDenied:
        return None


@dataclass(frozen=True)
class Checkup:
    """The newest health check of one process. ``at`` is monotonic, None before the first; ``failures`` counts
    checks in a row that were not answered, the newest's ``error`` says why; ``cpu_percent`` is of one processor,
    since the check before; ``took`` is how long the answer took, in seconds, None where there was none."""

    pid: int | None = None
    at: float | None = None
    answer: Health | None = None
    failures: int = 0
    error: str = ""
    resources: Resources | None = None
    cpu_percent: float | None = None
    took: float | None = None


def usage(pid: int | None, checkup: Checkup) -> Resources | None:
    """What a process uses: now, as far as we can see it; the rest as it told in its newest check, if it answered that.
    None for what neither is there for."""
    seen = measure(pid) if pid is not None else None
    told = reported(pid, checkup)
    if seen is None or told is None:
        return seen or told
    return replace(seen, files=told.files) if seen.files is None else seen


#: Without all of these a worker doesn't tell what it uses.
_FIGURES = {"memory", "cpu_ms", "threads", "open_files"}


def reported(pid: int | None, checkup: Checkup) -> Resources | None:
    """What the process told of itself in its newest check, None where it told nothing. A worker may say anything:
    nothing that is no size."""
    if checkup.answer is None or checkup.pid != pid or checkup.failures:
        return None
    if not checkup.answer.counters.keys() >= _FIGURES:
        return None
    counters = checkup.answer.counters
    memory, cpu, threads, files = (
        max(0, min(counters[name], 2**62)) for name in ("memory", "cpu_ms", "threads", "open_files")
    )
    return Resources(memory, cpu / 1000, files, threads)


@dataclass(frozen=True)
class Diagnosis:
    """A unit's grade, and why it isn't better."""

    grade: Grade
    problems: list[str] = field(default_factory=list)


def judge(unit: Unit, checkup: Checkup, limits: Limits, patience: int) -> Diagnosis:
    """How well a unit is. ``patience`` is how many unanswered checks in a row make it failed."""
    found = _judge_serving(checkup, limits, patience) if unit.state in SERVING else _judge_idle(unit)
    if not unit.frugal or unit.state is State.STOPPED:
        return found
    problem = "runs with -lowmemory since it was killed for want of memory: restart it to lift that"
    return Diagnosis(max(found.grade, Grade.DEGRADED), [*found.problems, problem])


def _judge_serving(checkup: Checkup, limits: Limits, patience: int) -> Diagnosis:
    problems = _over_limits(checkup, limits)
    if checkup.answer is not None:
        problems = [*checkup.answer.problems, *problems]
    if checkup.failures:
        problems = [f"health check: {checkup.error}", *problems]
    if checkup.failures >= patience:
        return Diagnosis(Grade.FAILED, problems)
    return Diagnosis(Grade.DEGRADED if problems else Grade.OK, problems)


def _judge_idle(unit: Unit) -> Diagnosis:
    if unit.state is State.FAILED:
        return Diagnosis(Grade.FAILED, [f"failed: {unit.reason}"])
    if unit.state is State.STOPPED:
        return Diagnosis(Grade.OK)  # somebody wanted it so: its state says it, and no alarm goes off
    if unit.state is State.BACKOFF:
        return Diagnosis(Grade.FAILED, [f"waiting to be started again: {unit.reason}"])
    if unit.state is State.HELD:
        return Diagnosis(Grade.FAILED, [f"held until what is in its way is gone: {unit.reason}"])
    if unit.state is State.STARTING and unit.failures == 0:
        return Diagnosis(Grade.DEGRADED, [f"starting: {unit.text}" if unit.text else "starting"])
    ended = f": {unit.ended.why}" if unit.ended is not None and unit.state is State.STARTING else ""
    return Diagnosis(Grade.DEGRADED, [f"{unit.state}{ended}"])


def _over_limits(checkup: Checkup, limits: Limits) -> list[str]:
    """What is too much; and what isn't known, of a process that was asked."""
    found = []
    used = checkup.resources
    if used is not None and 0 < limits.memory < used.memory:
        found.append(f"holds {used.memory >> 20} MiB of memory, limit {limits.memory >> 20}")
    if checkup.cpu_percent is not None and 0 < limits.cpu < checkup.cpu_percent:
        found.append(f"uses {checkup.cpu_percent:.0f} % of a processor, limit {limits.cpu}")
    if used is not None and used.files is not None and 0 < limits.files < used.files:
        found.append(f"holds {used.files} open files, limit {limits.files}")
    unseen = {
        "maxrss": limits.memory > 0 and used is None,
        "maxcpu": limits.cpu > 0 and used is None,
        "maxfiles": limits.files > 0 and (used is None or used.files is None),
    }
    if checkup.at is not None:
        found += [f"-{option} is not watched: what it uses can't be seen" for option, is_so in unseen.items() if is_so]
    return found
