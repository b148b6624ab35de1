"""What ``status``, ``health`` and the ``unit`` topic say about a unit, as JSON: its shape is written here once.

Times are seconds since 1970, sizes bytes. What a field holds is others' business.
"""

import time
from typing import Any

from bitcoind_mp.interfaces.failures import BY_CAUSE

from .checks.vitals import Checkup, Diagnosis, Resources
from .processes.process import Foundling
from .supervised import Supervised
from .units.states import WAITING, State
from .units.unit import Ended, Unit

#: systemctl's word for each state (systemd(1): ActiveState). The state itself is its SubState.
_ACTIVE = {
    State.STOPPED: "inactive",
    State.STARTING: "activating",
    State.RUNNING: "active",
    State.RELOADING: "reloading",
    State.STOPPING: "deactivating",
    State.ABORTING: "deactivating",
    State.KILLING: "deactivating",
    State.BACKOFF: "activating",
    State.HELD: "activating",
    State.FAILED: "failed",
}


class WallClock:
    """Turns the loop's monotonic times into those of the calendar: the same time into the same number, as long as
    nobody sets the machine's clock."""

    def __init__(self, monotonic: float) -> None:
        self._offset = time.time() - monotonic

    def adjust(self, monotonic: float) -> None:
        """Follow a calendar clock that was set."""
        offset = time.time() - monotonic
        if abs(offset - self._offset) > 1.0:
            self._offset = offset

    def at(self, monotonic: float | None) -> float | None:
        return None if monotonic is None else round(self._offset + monotonic, 3)


def unit_status(
    supervised: Supervised, checkup: Checkup, diagnosis: Diagnosis, used: Resources | None, clock: WallClock, lines: int
) -> dict[str, Any]:
    """Everything about one unit. ``used``: see `vitals.usage`."""
    unit = supervised.unit
    file = supervised.log.file
    cause = unit.ended.cause if unit.ended is not None and _went_wrong(unit) else ""
    return {
        **unit_line(supervised, diagnosis, clock),
        "active": _ACTIVE[unit.state],
        "enabled": supervised.plan.enabled,
        "command": list(supervised.plan.argv),
        "adopted": isinstance(supervised.process, Foundling),
        "preloaded": supervised.origin.template_pid,
        "started": clock.at(unit.started) if unit.pid is not None else None,
        "next_start": clock.at(unit.deadline) if unit.state is State.BACKOFF else None,
        "cause": cause,
        "advice": BY_CAUSE[cause].advice if cause else "",
        "low_memory": unit.frugal,
        "last_exit": _ended(unit.ended, clock),
        "last_words": supervised.last_words if _went_wrong(unit) else [],
        "problems": diagnosis.problems,
        "check": _check(checkup, clock),
        "sandbox": sandbox(checkup),
        "memory": used.memory if used is not None else None,
        "cpu": round(used.cpu, 2) if used is not None else None,
        "cpu_percent": round(checkup.cpu_percent, 1) if checkup.cpu_percent is not None else None,
        "open_files": used.files if used is not None else None,
        "threads": used.threads if used is not None else None,
        "limits": _limits(supervised),
        "watchdog": unit.watchdog if unit.pid is not None else supervised.plan.policy.watchdog,
        "log_file": str(file.path) if file is not None else None,
        "log_lost": file.lost if file is not None else 0,
        "log_error": file.error if file is not None else "",
        "log": supervised.log.tail(lines),
    }


def unit_line(supervised: Supervised, diagnosis: Diagnosis, clock: WallClock) -> dict[str, Any]:
    """The unit in brief: what a toolbar shows, and the topic ``unit`` tells."""
    unit = supervised.unit
    return {
        "name": supervised.name,
        "state": str(unit.state),
        "pid": unit.pid,
        "since": clock.at(unit.since),
        "restarts": unit.restarts,
        "health": diagnosis.grade.word,
        "reason": unit.reason,
        "status": unit.text,
    }


def _ended(ended: Ended | None, clock: WallClock) -> dict[str, Any] | None:
    if ended is None:
        return None
    return {
        "code": ended.exit.code,
        "signal": ended.exit.signal,
        "why": ended.why,
        "cause": ended.cause,
        "time": clock.at(ended.at),
    }


def _went_wrong(unit: Unit) -> bool:
    """Whether what the last process wrote at its end is of interest."""
    return unit.state is State.FAILED or unit.state in WAITING or (unit.failures > 0 and unit.state is State.STARTING)


def _check(checkup: Checkup, clock: WallClock) -> dict[str, Any]:
    answer = checkup.answer
    return {
        "time": clock.at(checkup.at),
        "failures": checkup.failures,
        "error": checkup.error,
        "status": answer.status if answer is not None else "",
        "counters": answer.counters if answer is not None else {},
    }


def sandbox(checkup: Checkup) -> dict[str, list[str]] | None:
    """What protects the unit's process and what doesn't, by its own word; None before it was asked."""
    answer = checkup.answer
    return {"protections": answer.protections, "missing": answer.unprotected} if answer is not None else None


def _limits(supervised: Supervised) -> dict[str, int]:
    limits = supervised.plan.limits
    return {"memory": limits.memory, "cpu": limits.cpu, "open_files": limits.files}
