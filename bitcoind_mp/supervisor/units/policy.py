"""What a unit is allowed, and what the end of its process means: pure values, no process and no clock.

When to act on them is ``unit.py``.
"""

import signal
from dataclasses import dataclass

from bitcoind_mp.interfaces import failures
from bitcoind_mp.interfaces.errors import ExitStatus
from bitcoind_mp.interfaces.failures import Verdict

__all__ = ["Exit", "Policy", "Verdict", "signal_name"]


@dataclass(frozen=True)
class Policy:
    """How patient to be with one unit. Times in seconds; a ``watchdog`` of 0 is none."""

    start_timeout: float = 90.0
    stop_timeout: float = 90.0
    reload_timeout: float = 30.0
    abort_timeout: float = 10.0
    """From SIGABRT to SIGKILL: enough to write every thread's stack."""
    watchdog: float = 30.0
    restart: str = "always"
    """When to start again after an end that nobody asked for: ``always``, ``on-failure`` (any but exit 0), ``no``."""
    backoff_first: float = 0.05
    backoff_cap: float = 30.0
    try_again: float = 1.0
    """The least delay after an exit that says that something else must change first (`Verdict.HOLD`, TRY_AGAIN)."""
    look: float = 1.0
    """While a unit is held: how often to look whether what is in its way is gone."""
    good_run: float = 5.0
    """A process that was ready this long had a good run: what it does next starts from a clean slate."""
    start_limit: int = 5
    start_interval: float = 60.0
    """So many starts in a row and within that time that never got ready, and the unit is given up (limit 0: never)."""

    @staticmethod
    def second_look(watchdog: float) -> float:
        """Seconds from the moment that a watchdog of so many ran out to the second look, at which it bites. Where
        everything stood still (a machine that was paused), a process that is well is heard of by then, though many may
        speak at once."""
        return min(2.0, watchdog / 2)

    def starts_again(self, exit: "Exit") -> bool:
        """Whether the policy is to start again after such an end at all."""
        return self.restart == "always" or (self.restart == "on-failure" and exit.code != ExitStatus.OK)

    def delay(self, failures: int, was_ready: bool, verdict: "Verdict") -> float:
        """Seconds until the next start after the ``failures``-th bad end in a row (counted from 1).

        Exponential; a process that had been ready is one step ahead, and its first end costs no time at all.
        """
        steps = failures - 2 if was_ready else failures - 1
        growing = min(self.backoff_first * 2.0 ** min(steps, 30), self.backoff_cap) if steps >= 0 else 0.0
        return max(growing, self.try_again if verdict in (Verdict.TRY_AGAIN, Verdict.HOLD) else 0.0)


@dataclass(frozen=True)
class Exit:
    """How a process ended: ``code``, or the ``signal`` that ended it, or the ``error`` that kept it from starting; none
    of them for one that a supervisor before us started: how it ended can't be known.
    ``said`` is what it logged as its error before it ended with a code, empty for nothing; ``starved`` that the kernel
    killed it for want of memory."""

    code: int | None = None
    signal: int | None = None
    error: str = ""
    said: str = ""
    starved: bool = False

    @classmethod
    def from_returncode(cls, returncode: int) -> "Exit":
        """From `os.waitstatus_to_exitcode`: a negative number is a signal."""
        return cls(signal=-returncode) if returncode < 0 else cls(code=returncode)

    @property
    def is_anothers(self) -> bool:
        """Whether it was the child of a supervisor before us."""
        return self.code is None and self.signal is None and not self.error

    @property
    def cause(self) -> str:
        """The word for it, of `interfaces.failures`; empty for an end that is no failure."""
        if self.error:
            return failures.NOT_STARTED
        if self.signal is not None:
            killed = failures.OUT_OF_MEMORY if self.starved else failures.KILLED
            return killed if self.signal == signal.SIGKILL else failures.CRASHED
        if self.is_anothers:
            return failures.LEFT_OVER
        if self.code == ExitStatus.OK:
            return ""
        known = failures.BY_STATUS.get(self.code)  # type: ignore[call-overload]
        return known.cause if known is not None else failures.FAILED

    @property
    def verdict(self) -> Verdict:
        return failures.BY_CAUSE[self.cause].verdict if self.cause else Verdict.CRASH

    @property
    def why(self) -> str:
        """In words: ``exit status 78 (bad configuration)``, ``killed by SIGKILL``."""
        if self.error:
            return f"could not be started: {self.error}"
        if self.signal is not None:
            return f"killed by {signal_name(self.signal)}" + (": out of memory" if self.starved else "")
        if self.is_anothers:
            return "left over from a supervisor that was killed, so that its exit status is lost"
        known = failures.BY_STATUS.get(self.code) if self.code != ExitStatus.FAILURE else None  # type: ignore[call-overload]
        said = f": {self.said}" if self.said and self.code != ExitStatus.OK else ""
        return f"exit status {self.code}" + (f" ({known.words})" if known is not None else "") + said


def signal_name(number: int) -> str:
    """``SIGKILL`` for 9; ``signal 63`` for one that Python has no name for."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
