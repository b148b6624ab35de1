"""What a unit does next: the pure step function ``(unit, event, now) -> (unit, actions)``.

Restart policy, back-off, start limits, watchdog and the stop ladder are decided here, without a process, a socket
or a clock: ``now`` is monotonic seconds. Carrying the actions out is the manager's part; what an exit status
means and how long to wait is ``policy.py``'s.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from signal import Signals
from typing import Any

from bitcoind_mp.interfaces import failures
from bitcoind_mp.interfaces.errors import ExitStatus
from bitcoind_mp.interfaces.journal import Event
from bitcoind_mp.interfaces.obstacle import Obstacle

from . import events as ev
from .policy import Exit, Policy, Verdict
from .states import ALIVE, AT_REST, ENDING, SERVING, TRANSITIONS, WAITING, State


@dataclass(frozen=True)
class Ended:
    """The end of a unit's last process: how, in words why, when, and its cause (`interfaces.failures`)."""

    exit: Exit
    why: str
    at: float
    cause: str = ""


@dataclass(frozen=True)
class Unit:
    """Everything the next step depends on.

    ``since`` is when the state was entered and ``started`` when the process was; ``deadline`` is the state's own
    and ``watchdog_at`` the loop's. ``wanted`` says whether a person wants it up, ``again`` that the process is
    being ended for the sake of the next one. ``overdue`` says that the watchdog ran out, and that a second look is due.
    ``failures`` counts bad ends in a row, ``failed_starts`` are the times
    of the newest that came before READY=1, ``restarts`` counts all starts that nobody asked for. ``reason`` is why
    we end the process, or gave the unit up; ``text`` is its own STATUS. ``obstacle`` is what the process said must be
    gone before another start; ``frugal`` that its processes make do with less memory since one had too little.
    """

    policy: Policy
    state: State = State.STOPPED
    since: float = 0.0
    wanted: bool = False
    again: bool = False
    pid: int | None = None
    started: float | None = None
    ready_at: float | None = None
    deadline: float | None = None
    watchdog: float = 0.0
    watchdog_at: float | None = None
    overdue: bool = False
    failures: int = 0
    failed_starts: tuple[float, ...] = ()
    restarts: int = 0
    text: str = ""
    reason: str = ""
    ended: Ended | None = None
    obstacle: Obstacle | None = None
    frugal: bool = False

    @property
    def next_deadline(self) -> float | None:
        """When to send a `Tick`, None for not at all."""
        if self.deadline is None or self.watchdog_at is None:
            return self.watchdog_at if self.deadline is None else self.deadline
        return min(self.deadline, self.watchdog_at)


Result = tuple[Unit, tuple[ev.Action, ...]]


class IllegalMove(Exception):
    """Our own mistake: a move that is not in the table, or an event that can't happen in this state."""


def step(unit: Unit, event: ev.Event, now: float) -> Result:
    """The unit after ``event``, and what to do about it. Raises `IllegalMove` for a defect of ours."""
    return _HANDLERS[type(event)](unit, event, now)


def _move(unit: Unit, state: State, now: float, **changes: Any) -> Unit:
    """The only door to another state."""
    if state not in TRANSITIONS[unit.state]:
        raise IllegalMove(f"{unit.state} -> {state}")
    return replace(unit, state=state, since=now, **{"deadline": None, **changes})


# -- what a person asked for ------------------------------------------------------------------------------------


def _start_requested(unit: Unit, event: ev.StartRequested, now: float) -> Result:
    if unit.state in AT_REST or unit.state in WAITING:
        return _spawn(_forgiven(unit), now)
    return replace(unit, wanted=True, again=unit.state in ENDING), ()


def _stop_requested(unit: Unit, event: ev.StopRequested, now: float) -> Result:
    unit = replace(unit, wanted=False, again=False)
    if unit.state in WAITING or unit.state is State.FAILED:
        return _move(unit, State.STOPPED, now, reason=""), ()
    return _terminate(unit, now)


def _restart_requested(unit: Unit, event: ev.RestartRequested, now: float) -> Result:
    if unit.state not in ALIVE:
        return _start_requested(unit, ev.StartRequested(), now)
    return _terminate(replace(unit, wanted=True, again=True), now)


def _terminate(unit: Unit, now: float) -> Result:
    """First rung of the stop ladder. Where the process is already being ended there is nothing to add."""
    send = (ev.Send(Signals.SIGTERM),)
    if unit.state is State.STOPPING:
        return unit, send
    if unit.state in (State.STARTING, *SERVING):
        limit = now + unit.policy.stop_timeout
        told = ev.Log(logging.INFO, f"stopping (pid {unit.pid})", Event.UNIT_STOPPING)
        return _move(unit, State.STOPPING, now, deadline=limit, watchdog_at=None), (*send, told)
    return unit, ()


def _reload_requested(unit: Unit, event: ev.ReloadRequested, now: float) -> Result:
    if unit.state not in SERVING:
        return unit, ()
    send = (ev.Send(Signals.SIGHUP),)
    return _reloading(unit, now), send


def _reloading(unit: Unit, now: float) -> Unit:
    limit = now + unit.policy.reload_timeout
    if unit.state is State.RELOADING:
        return replace(unit, deadline=limit)
    return _move(unit, State.RELOADING, unit.since, deadline=limit)  # it is active all along


def _policy_changed(unit: Unit, event: ev.PolicyChanged, now: float) -> Result:
    return replace(unit, policy=event.policy), ()


# -- starting ---------------------------------------------------------------------------------------------------


def _forgiven(unit: Unit) -> Unit:
    """A person asked: what failed before doesn't count."""
    return replace(unit, wanted=True, again=False, failures=0, failed_starts=(), frugal=False)


def _spawn(unit: Unit, now: float) -> Result:
    policy = unit.policy
    fresh = _move(
        unit,
        State.STARTING,
        now,
        deadline=now + policy.start_timeout,
        started=now,
        ready_at=None,
        watchdog=policy.watchdog,
        watchdog_at=None,
        overdue=False,
        text="",
        reason="",
        obstacle=None,
    )
    return fresh, (ev.Spawn(unit.frugal),)


def _spawned(unit: Unit, event: ev.Spawned, now: float) -> Result:
    if unit.state is not State.STARTING or unit.pid is not None:
        raise IllegalMove(f"spawned while {unit.state}")
    return replace(unit, pid=event.pid), (ev.Log(logging.INFO, f"started (pid {event.pid})", Event.UNIT_STARTED),)


def _adopted(unit: Unit, event: ev.Adopted, now: float) -> Result:
    if unit.state is not State.STOPPED:
        raise IllegalMove(f"adopted while {unit.state}")
    limit = now + unit.policy.stop_timeout
    text = f"waiting for pid {event.pid}, which an earlier supervisor left, to stop"
    actions = (ev.Log(logging.WARNING, text, Event.UNIT_LEFT_OVER), ev.Send(Signals.SIGTERM))
    return _move(unit, State.STOPPING, now, deadline=limit, pid=event.pid), actions


def _taken_over(unit: Unit, event: ev.TakenOver, now: float) -> Result:
    if unit.state is not State.STOPPED:
        raise IllegalMove(f"taken over while {unit.state}")
    policy = unit.policy
    watchdog = policy.watchdog if event.watchdog is None else event.watchdog
    unit = replace(unit, wanted=True, watchdog=watchdog)
    running = _move(unit, State.RUNNING, now, pid=event.pid, ready_at=now, watchdog_at=_expiry(unit, now))
    text = f"taken over: pid {event.pid}, which an earlier supervisor started, runs on"
    return running, (ev.Log(logging.WARNING, text, Event.UNIT_TAKEN_OVER),)


# -- what the process said --------------------------------------------------------------------------------------


def _ready(unit: Unit, event: ev.Ready, now: float) -> Result:
    if unit.state is State.STARTING:
        took = now - (unit.started if unit.started is not None else now)
        running = _move(unit, State.RUNNING, now, ready_at=now, watchdog_at=_expiry(unit, now))
        return running, (ev.Log(logging.INFO, f"ready (pid {unit.pid}, {took:.2f} s)", Event.UNIT_READY),)
    if unit.state is State.RELOADING:
        return _move(unit, State.RUNNING, unit.since), (ev.Log(logging.INFO, "reloaded", Event.UNIT_RELOADED),)
    return unit, ()


def _status(unit: Unit, event: ev.Status, now: float) -> Result:
    """A new text is progress: busy is not hung. The same text again is not."""
    if event.text == unit.text:
        return unit, ()
    policy = unit.policy
    patience = {State.STARTING: policy.start_timeout, State.STOPPING: policy.stop_timeout}.get(unit.state, 0.0)
    return replace(_extended(unit, now + patience), text=event.text), ()


def _extend(unit: Unit, event: ev.ExtendTimeout, now: float) -> Result:
    return _extended(unit, now + event.seconds), ()


def _extended(unit: Unit, until: float) -> Unit:
    """A process that starts, stops or reloads may take its time; one that hangs may not."""
    if unit.deadline is None or unit.state not in (State.STARTING, State.STOPPING, State.RELOADING):
        return unit
    return replace(unit, deadline=max(unit.deadline, until))


def _expiry(unit: Unit, now: float) -> float | None:
    return now + unit.watchdog if unit.watchdog > 0 else None


def _watchdog_ping(unit: Unit, event: ev.WatchdogPing, now: float) -> Result:
    return (replace(unit, watchdog_at=_expiry(unit, now), overdue=False) if unit.state in SERVING else unit), ()


def _watchdog_interval(unit: Unit, event: ev.WatchdogInterval, now: float) -> Result:
    return _watchdog_ping(replace(unit, watchdog=event.seconds), ev.WatchdogPing(), now)


def _watchdog_trigger(unit: Unit, event: ev.WatchdogTrigger, now: float) -> Result:
    return _abort(unit, now, "reported itself hung") if unit.state in (State.STARTING, *SERVING) else (unit, ())


def _flooded(unit: Unit, event: ev.Flooded, now: float) -> Result:
    """Whoever goes on so keeps everybody waiting."""
    reason = "floods its manager with notifications"
    if unit.state is State.STOPPING:
        return _kill(unit, now, reason)
    return _abort(unit, now, reason) if unit.state in (State.STARTING, *SERVING) else (unit, ())


def _reload_started(unit: Unit, event: ev.ReloadStarted, now: float) -> Result:
    return (_reloading(unit, now) if unit.state in SERVING else unit), ()


def _stop_started(unit: Unit, event: ev.StopStarted, now: float) -> Result:
    if unit.state not in (State.STARTING, *SERVING):
        return unit, ()
    limit = now + unit.policy.stop_timeout
    return _move(unit, State.STOPPING, now, deadline=limit, watchdog_at=None), ()


def _obstructed(unit: Unit, event: ev.Obstructed, now: float) -> Result:
    return replace(unit, obstacle=event.obstacle), ()


# -- deadlines --------------------------------------------------------------------------------------------------


def _tick(unit: Unit, event: ev.Tick, now: float) -> Result:
    if event.held_up > 0 and unit.state not in WAITING:
        return _given_time(unit, event.held_up, now)
    if unit.deadline is not None and now >= unit.deadline:
        return _ON_DEADLINE[unit.state](unit, now)
    if unit.watchdog_at is None or now < unit.watchdog_at:
        return unit, ()
    if not unit.overdue:
        return replace(unit, watchdog_at=now + unit.policy.second_look(unit.watchdog), overdue=True), ()
    return _abort(unit, now, f"watchdog: its loop gave no sign of life for {unit.watchdog:g} s")


def _given_time(unit: Unit, held_up: float, now: float) -> Result:
    """Nobody knows since when we had stood still: whatever runs begins anew."""
    policy = unit.policy
    patience = {
        State.STARTING: policy.start_timeout,
        State.RELOADING: policy.reload_timeout,
        State.STOPPING: policy.stop_timeout,
        State.ABORTING: policy.abort_timeout,
    }
    unit = replace(
        unit,
        deadline=now + patience[unit.state] if unit.deadline is not None else None,
        watchdog_at=_expiry(unit, now) if unit.watchdog_at is not None else None,
        overdue=False,
    )
    return unit, (ev.Log(logging.WARNING, f"was not looked after for {held_up:.1f} s: its deadlines begin anew"),)


def _start_timed_out(unit: Unit, now: float) -> Result:
    return _abort(unit, now, f"not ready after {now - unit.since:.1f} s")


def _reload_timed_out(unit: Unit, now: float) -> Result:
    text = f"did not say that it reloaded within {unit.policy.reload_timeout:g} s"
    return _move(unit, State.RUNNING, unit.since), (ev.Log(logging.WARNING, text),)


def _stop_timed_out(unit: Unit, now: float) -> Result:
    return _kill(unit, now, f"did not stop within {now - unit.since:.1f} s")


def _look(unit: Unit, now: float) -> Result:
    """The next start is due, unless what was in the way still is."""
    assert unit.obstacle is not None
    return replace(unit, deadline=now + unit.policy.look), (ev.Look(unit.obstacle),)


def _unobstructed(unit: Unit, event: ev.Unobstructed, now: float) -> Result:
    return _spawn(unit, now) if unit.state is State.HELD else (unit, ())


def _abort_timed_out(unit: Unit, now: float) -> Result:
    return _kill(unit, now, unit.reason)


def _abort(unit: Unit, now: float, reason: str) -> Result:
    """A hung process: SIGABRT makes it write its stacks, and ends it if anything of it still works."""
    limit = now + unit.policy.abort_timeout
    aborting = _move(unit, State.ABORTING, now, deadline=limit, watchdog_at=None, reason=reason)
    hung = ev.Log(logging.ERROR, f"{reason}; sending SIGABRT", Event.UNIT_HUNG)
    return aborting, (hung, ev.Send(Signals.SIGABRT))


def _kill(unit: Unit, now: float, reason: str) -> Result:
    killing = _move(unit, State.KILLING, now, watchdog_at=None, reason=reason)
    hung = ev.Log(logging.ERROR, f"{reason}; sending SIGKILL", Event.UNIT_HUNG)
    return killing, (hung, ev.KillGroup())


# -- the end ----------------------------------------------------------------------------------------------------


def _exited(unit: Unit, event: ev.Exited, now: float) -> Result:
    if unit.state not in ALIVE:
        raise IllegalMove(f"exited while {unit.state}")
    why = f"{unit.reason}; {event.exit.why}" if unit.reason else event.exit.why
    cause = failures.HUNG if unit.reason else event.exit.cause
    gone = replace(unit, pid=None, watchdog_at=None, text="", ended=Ended(event.exit, why, now, cause))
    if not unit.wanted:
        stopped = ev.Log(logging.INFO, f"stopped: {why}", Event.UNIT_STOPPED)
        return _move(gone, State.STOPPED, now, reason=""), (stopped,)
    if unit.again:
        spawned, actions = _spawn(_forgiven(gone), now)
        what = "starting: the one before ended" if event.exit.is_anothers else "restarting as asked"
        return spawned, (ev.Log(logging.INFO, f"{what}: {why}", Event.UNIT_RESTARTED), *actions)
    return _after_bad_end(gone, event.exit, why, now)


def _after_bad_end(unit: Unit, exit: Exit, why: str, now: float) -> Result:
    policy, verdict, was_ready = unit.policy, exit.verdict, unit.ready_at is not None
    unit, told = _stepped_down(unit)
    if verdict is Verdict.FOR_GOOD:
        return _give_up(unit, why, now)
    if not policy.starts_again(exit):
        return _left_down(unit, exit, why, now)
    good_run = unit.ready_at is not None and now - unit.ready_at >= policy.good_run
    failures = 1 if good_run else unit.failures + 1
    unit = replace(unit, failures=failures, failed_starts=_failed_starts(unit, verdict, now))
    if 0 < policy.start_limit <= len(unit.failed_starts):
        return _give_up(unit, f"{len(unit.failed_starts)} starts in a row failed, the last with {why}", now)
    delay = policy.delay(failures, was_ready, verdict)
    unit = replace(unit, restarts=unit.restarts + 1)
    if delay <= 0:
        spawned, actions = _spawn(unit, now)
        return spawned, (ev.Log(logging.WARNING, f"{why}; restarted at once", Event.UNIT_RESTARTED), *actions, *told)
    if verdict is Verdict.HOLD and unit.obstacle is not None:
        log = ev.Log(logging.WARNING, f"{why}; held until that has changed", Event.UNIT_HELD)
        return _move(unit, State.HELD, now, deadline=now + delay, reason=why), (log,)
    log = ev.Log(logging.WARNING, f"{why}; restarting in {delay:g} s", Event.UNIT_RESTARTED)
    return _move(unit, State.BACKOFF, now, deadline=now + delay, reason=why), (log, *told)


def _stepped_down(unit: Unit) -> tuple[Unit, tuple[ev.Action, ...]]:
    """After an end for want of memory, once: the next processes make do with less."""
    if unit.frugal or unit.ended is None or unit.ended.cause != failures.OUT_OF_MEMORY:
        return unit, ()
    text = "out of memory: from now on it runs with -lowmemory, until a person starts or restarts it"
    return replace(unit, frugal=True), (ev.Log(logging.WARNING, text, Event.UNIT_STEPPED_DOWN),)


def _failed_starts(unit: Unit, verdict: Verdict, now: float) -> tuple[float, ...]:
    """The failed starts that count, this end included. One that asks to be tried again is no failure of its own."""
    if unit.ready_at is not None:
        return ()
    recent = tuple(at for at in unit.failed_starts if now - at < unit.policy.start_interval)
    return (*recent, now) if verdict is Verdict.CRASH else recent


def _left_down(unit: Unit, exit: Exit, why: str, now: float) -> Result:
    if exit.code != ExitStatus.OK:
        return _give_up(unit, why, now)
    stopped = _move(replace(unit, wanted=False), State.STOPPED, now)
    text = f"{why}; not restarted (-restart={unit.policy.restart})"
    return stopped, (ev.Log(logging.INFO, text, Event.UNIT_STOPPED),)


def _give_up(unit: Unit, why: str, now: float) -> Result:
    failed = _move(unit, State.FAILED, now, reason=why)
    return failed, (ev.Log(logging.ERROR, f"failed: {why}", Event.UNIT_FAILED),)


_ON_DEADLINE: dict[State, Callable[[Unit, float], Result]] = {
    State.STARTING: _start_timed_out,
    State.RELOADING: _reload_timed_out,
    State.STOPPING: _stop_timed_out,
    State.ABORTING: _abort_timed_out,
    State.BACKOFF: _spawn,
    State.HELD: _look,
}
_HANDLERS: dict[type[ev.Event], Callable[[Unit, Any, float], Result]] = {
    ev.StartRequested: _start_requested,
    ev.StopRequested: _stop_requested,
    ev.RestartRequested: _restart_requested,
    ev.ReloadRequested: _reload_requested,
    ev.PolicyChanged: _policy_changed,
    ev.Spawned: _spawned,
    ev.Adopted: _adopted,
    ev.TakenOver: _taken_over,
    ev.Exited: _exited,
    ev.Tick: _tick,
    ev.Ready: _ready,
    ev.Status: _status,
    ev.ExtendTimeout: _extend,
    ev.WatchdogPing: _watchdog_ping,
    ev.WatchdogTrigger: _watchdog_trigger,
    ev.WatchdogInterval: _watchdog_interval,
    ev.ReloadStarted: _reload_started,
    ev.StopStarted: _stop_started,
    ev.Flooded: _flooded,
    ev.Obstructed: _obstructed,
    ev.Unobstructed: _unobstructed,
}
