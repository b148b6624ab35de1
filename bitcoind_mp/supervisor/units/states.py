"""The states of a unit and the moves between them. Nothing else belongs here: what causes a move is ``unit.py``."""

from enum import StrEnum


class State(StrEnum):
    """Where a unit stands. The values are what ``status`` prints."""

    STOPPED = "stopped"  # not running, and nobody wants it to
    STARTING = "starting"  # the process exists and has not said READY=1
    RUNNING = "running"  # ready, and its watchdog is being fed
    RELOADING = "reloading"  # sent SIGHUP, or said RELOADING=1; READY=1 ends it
    STOPPING = "stopping"  # sent SIGTERM, or said STOPPING=1
    ABORTING = "aborting"  # hung: sent SIGABRT, so that its stacks reach the log
    KILLING = "killing"  # sent SIGKILL; the kernel has yet to report the end
    BACKOFF = "backoff"  # ended by itself; waiting before the next start
    HELD = "held"  # ended by itself; waiting until what is in its way is gone
    FAILED = "failed"  # given up, until a person starts it


#: States in which a process of the unit exists.
ALIVE = frozenset({State.STARTING, State.RUNNING, State.RELOADING, State.STOPPING, State.ABORTING, State.KILLING})
#: States in which the unit serves callers.
SERVING = frozenset({State.RUNNING, State.RELOADING})
#: States of a process that is on its way out.
ENDING = frozenset({State.STOPPING, State.ABORTING, State.KILLING})
#: States in which nothing happens until a person asks for it.
AT_REST = frozenset({State.STOPPED, State.FAILED})
#: Where a process that ended may leave its unit.
_ENDED = frozenset({State.STOPPED, State.STARTING, State.BACKOFF, State.HELD, State.FAILED})
#: States that end by themselves in the next start.
WAITING = frozenset({State.BACKOFF, State.HELD})

#: Every legal move. One that is not here is a defect of ours, and raises.
TRANSITIONS: dict[State, frozenset[State]] = {
    # the latter two: a process that was found, going down or at work
    State.STOPPED: frozenset({State.STARTING, State.STOPPING, State.RUNNING}),
    State.STARTING: _ENDED | ENDING | {State.RUNNING},
    State.RUNNING: _ENDED | ENDING | {State.RELOADING},
    State.RELOADING: _ENDED | ENDING | {State.RUNNING},
    State.STOPPING: _ENDED | {State.KILLING},
    State.ABORTING: _ENDED | {State.KILLING},
    State.KILLING: _ENDED,
    State.BACKOFF: frozenset({State.STARTING, State.STOPPED}),
    State.HELD: frozenset({State.STARTING, State.STOPPED}),
    State.FAILED: frozenset({State.STARTING, State.STOPPED}),
}
