"""How processes of ours fail, each way with its word, its exit status, what another start may bring and what a person
can do: the one table, which the supervisor goes by, ``status`` quotes and the manual pages print.

Acting on it is the supervisor's part.
"""

from dataclasses import dataclass
from enum import StrEnum

from .errors import ExitStatus


class Verdict(StrEnum):
    """What another start may bring."""

    FOR_GOOD = "for good"  # the same again, until a person changes something: refused
    HOLD = "hold"  # success, once what is in the way is gone: held until then, and never given up
    TRY_AGAIN = "try again"  # success, once something outside has changed: never given up
    CRASH = "crash"  # unknown


@dataclass(frozen=True)
class Failure:
    """One class: ``cause`` for machines, ``words`` after an exit status, ``advice`` for whoever reads ``status``.
    ``status`` is None for an end that is no exit."""

    cause: str
    status: ExitStatus | None
    words: str
    verdict: Verdict
    advice: str


OUT_OF_MEMORY = "out-of-memory"
HUNG = "hung"
KILLED = "killed"
CRASHED = "crashed"
NOT_STARTED = "not-started"
LEFT_OVER = "left-over"
FAILED = "failed"

#: In the order of their exit statuses, which are sysexits(3) where one fits; 150 is of the range that is left to
#: applications.
FAILURES = (
    Failure(
        FAILED, ExitStatus.FAILURE, "failed", Verdict.CRASH, "Read its log; where that doesn't help, report a defect."
    ),
    Failure(
        "bad-usage", ExitStatus.USAGE, "bad usage", Verdict.FOR_GOOD, "Correct the command line, then start it again."
    ),
    Failure(
        "corrupt-data",
        ExitStatus.DATA_CORRUPT,
        "corrupt data",
        Verdict.FOR_GOOD,
        "Restore what the message names, or do what it says, then start it again.",
    ),
    Failure(
        "port-taken",
        ExitStatus.PORT_TAKEN,
        "port taken",
        Verdict.HOLD,
        "Stop the program that listens there, or choose another port: it starts by itself once the port is free.",
    ),
    Failure(
        "internal-error",
        ExitStatus.SOFTWARE,
        "internal error",
        Verdict.CRASH,
        "A defect of the program: report it with the traceback in its log.",
    ),
    Failure(
        "os-error",
        ExitStatus.OS_ERROR,
        "operating system error",
        Verdict.TRY_AGAIN,
        "Mend what the message names; it is tried again meanwhile.",
    ),
    Failure(
        "disk-full",
        ExitStatus.DISK_FULL,
        "disk nearly full",
        Verdict.HOLD,
        "Make room on the disk: it starts by itself once there is enough.",
    ),
    Failure(
        "directory-locked",
        ExitStatus.LOCKED,
        "directory locked",
        Verdict.HOLD,
        "Stop the other program that uses the data directory, or choose another -datadir: it starts by itself once the "
        "lock is released.",
    ),
    Failure(
        "bad-option",
        ExitStatus.CONFIG,
        "bad configuration",
        Verdict.FOR_GOOD,
        "Correct the option that the message names, then start it again.",
    ),
    Failure(
        OUT_OF_MEMORY,
        ExitStatus.OUT_OF_MEMORY,
        "out of memory",
        Verdict.CRASH,
        "Give it more memory, or lower -maxmempool. It runs with -lowmemory until a person starts or restarts it.",
    ),
    Failure(HUNG, None, "hung", Verdict.CRASH, "Its stacks are in its log: report them as a defect."),
    Failure(KILLED, None, "killed", Verdict.CRASH, "Somebody killed it, or the kernel did: see the kernel's log."),
    Failure(CRASHED, None, "crashed", Verdict.CRASH, "Its last words are in its log: report them as a defect."),
    Failure(
        NOT_STARTED,
        None,
        "could not be started",
        Verdict.TRY_AGAIN,
        "Mend what the message names; it is tried again meanwhile.",
    ),
    Failure(LEFT_OVER, None, "left over", Verdict.CRASH, "Nothing: another is started once it has ended."),
)
BY_STATUS = {failure.status: failure for failure in FAILURES if failure.status is not None}
BY_CAUSE = {failure.cause: failure for failure in FAILURES}
