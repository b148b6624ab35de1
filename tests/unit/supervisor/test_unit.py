"""The step function: what a unit does next, by a clock that the test turns."""

import random
from dataclasses import replace
from signal import Signals

import pytest

from bitcoind_mp.interfaces.journal import Event
from bitcoind_mp.interfaces.obstacle import Obstacle
from bitcoind_mp.supervisor.units import events as ev
from bitcoind_mp.supervisor.units.policy import Exit, Policy
from bitcoind_mp.supervisor.units.states import ALIVE, AT_REST, SERVING, WAITING, State
from bitcoind_mp.supervisor.units.unit import IllegalMove, Unit, step

POLICY = Policy(
    start_timeout=10,
    stop_timeout=20,
    reload_timeout=5,
    abort_timeout=3,
    watchdog=8,
    backoff_first=0.5,
    backoff_cap=30,
    try_again=1,
    good_run=60,
    start_limit=5,
    start_interval=300,
)
CRASH = ev.Exited(Exit(code=1))
KILLED = ev.Exited(Exit(signal=9))
STOPPED = ev.Exited(Exit(code=0))
STARVED = ev.Exited(Exit(signal=9, starved=True))
FULL = Obstacle("disk", "/data", 1000)


class Script:
    """A unit, a clock, and everything that it asked for. A Spawn is answered at once, as the manager does."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.unit = Unit(policy)
        self.now = 1000.0
        self.next_pid = 100
        self.asked: list[ev.Action] = []
        self.spawned: list[float] = []

    def tell(self, *events: ev.Event) -> "Script":
        for event in events:
            self.unit, actions = step(self.unit, event, self.now)
            for action in actions:
                self.asked.append(action)
                if isinstance(action, ev.Spawn):
                    self.next_pid += 1
                    self.spawned.append(self.now)
                    self.tell(ev.Spawned(self.next_pid))
        return self

    def after(self, seconds: float, *events: ev.Event) -> "Script":
        """Let time pass, each deadline met on its way, then tell."""
        end = self.now + seconds
        while (due := self.unit.next_deadline) is not None and due <= end:
            self.now = max(self.now, due)
            self.tell(ev.Tick())
        self.now = end
        return self.tell(*events)

    def wait(self) -> "Script":
        """Let just the time pass that it waits before its next start, if it does."""
        if self.state in WAITING:
            assert self.unit.next_deadline is not None
            self.after(self.unit.next_deadline - self.now)
        if self.state is State.HELD:
            self.tell(ev.Unobstructed())
        return self

    def signals(self) -> list[str]:
        """The signals asked for since the last look."""
        found = []
        for action in self.asked:
            if isinstance(action, ev.Send):
                found.append(action.signal.name)
            elif isinstance(action, ev.KillGroup):
                found.append("KILLGROUP")
        self.asked.clear()
        return found

    def logged(self) -> str:
        return "\n".join(action.text for action in self.asked if isinstance(action, ev.Log))

    @property
    def state(self) -> State:
        return self.unit.state


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def running(script: Script) -> Script:
    return script.tell(ev.StartRequested(), ev.Ready())


# -- starting ---------------------------------------------------------------------------------------------------


def test_a_start_spawns_and_ready_makes_it_run(script: Script) -> None:
    script.tell(ev.StartRequested())
    assert (script.state, script.unit.pid, script.spawned) == (State.STARTING, 101, [1000.0])
    script.after(2, ev.Ready())
    assert (script.state, script.unit.since, script.unit.restarts) == (State.RUNNING, 1002.0, 0)
    assert "ready (pid 101, 2.00 s)" in script.logged()


def test_one_that_is_never_ready_is_aborted_and_then_killed(script: Script) -> None:
    script.tell(ev.StartRequested()).after(9.9)
    assert script.signals() == []
    script.after(0.1)
    assert (script.state, script.signals()) == (State.ABORTING, ["SIGABRT"])
    script.after(3)
    assert (script.state, script.signals()) == (State.KILLING, ["KILLGROUP"])
    script.tell(KILLED)
    assert script.state is State.BACKOFF
    assert script.unit.ended is not None
    assert script.unit.ended.why == "not ready after 10.0 s; killed by SIGKILL"


def test_a_start_that_reports_progress_may_take_its_time(script: Script) -> None:
    script.tell(ev.StartRequested())
    for block in range(50):
        script.after(9, ev.Status(f"replaying block {block}"))
    assert script.state is State.STARTING
    script.after(9.9)
    assert script.state is State.STARTING
    script.after(0.2)
    assert script.state is State.ABORTING


def test_the_same_status_again_is_no_progress(script: Script) -> None:
    script.tell(ev.StartRequested(), ev.Status("loading"))
    for _ in range(3):
        script.after(4, ev.Status("loading"))
    assert script.state is State.ABORTING


def test_extend_timeout_gives_that_time_and_never_takes_any(script: Script) -> None:
    script.tell(ev.StartRequested()).after(5, ev.ExtendTimeout(100), ev.ExtendTimeout(1))
    script.after(99.9)
    assert script.state is State.STARTING
    script.after(0.2)
    assert script.state is State.ABORTING


def test_a_spawn_that_fails_is_tried_again_and_never_given_up() -> None:
    unit, now = Unit(POLICY), 0.0
    unit, actions = step(unit, ev.StartRequested(), now)
    for _ in range(20):
        assert any(isinstance(action, ev.Spawn) for action in actions)
        unit, _ = step(unit, ev.Exited(Exit(error="Cannot allocate memory")), now)
        assert unit.state is State.BACKOFF
        assert unit.next_deadline is not None
        assert unit.next_deadline >= now + POLICY.try_again
        now = unit.next_deadline
        unit, actions = step(unit, ev.Tick(), now)
    assert unit.ended is not None
    assert unit.ended.why == "could not be started: Cannot allocate memory"


# -- crashes ----------------------------------------------------------------------------------------------------


def test_one_that_was_ready_and_dies_is_replaced_at_once(running: Script) -> None:
    running.after(0, KILLED)
    assert (running.state, running.unit.pid, running.unit.restarts) == (State.STARTING, 102, 1)
    assert running.spawned == [1000.0, 1000.0]
    assert running.logged().endswith("killed by SIGKILL; restarted at once\nstarted (pid 102)")


def test_each_step_of_a_life_is_told_with_its_event(script: Script) -> None:
    script.tell(
        ev.StartRequested(), ev.Ready(), ev.RestartRequested(), STOPPED, ev.Ready(), ev.StopRequested(), STOPPED
    )
    told = [(action.event, action.text) for action in script.asked if isinstance(action, ev.Log)]
    assert told == [
        (Event.UNIT_STARTED, "started (pid 101)"),
        (Event.UNIT_READY, "ready (pid 101, 0.00 s)"),
        (Event.UNIT_STOPPING, "stopping (pid 101)"),
        (Event.UNIT_RESTARTED, "restarting as asked: exit status 0"),
        (Event.UNIT_STARTED, "started (pid 102)"),
        (Event.UNIT_READY, "ready (pid 102, 0.00 s)"),
        (Event.UNIT_STOPPING, "stopping (pid 102)"),
        (Event.UNIT_STOPPED, "stopped: exit status 0"),
    ]


def test_back_off_grows_and_a_good_run_resets_it(running: Script) -> None:
    waits = []
    for _ in range(9):
        died = running.now
        running.tell(KILLED).wait()
        waits.append(running.now - died)
        running.after(1, ev.Ready())
    assert waits == [0, 0.5, 1, 2, 4, 8, 16, 30, 30]
    for _ in range(7):
        running.after(7.9, ev.WatchdogPing())
    running.after(5, ev.WatchdogPing(), KILLED)
    assert running.state is State.STARTING, "60 s of running well, and the slate is clean"


def test_one_that_fails_at_once_each_time_is_given_up_after_the_limit(script: Script) -> None:
    script.tell(ev.StartRequested(), CRASH)
    for _ in range(4):
        assert script.state is State.BACKOFF
        script.wait().tell(CRASH)
    assert script.state is State.FAILED
    assert len(script.spawned) == 5
    assert script.unit.reason == "5 starts in a row failed, the last with exit status 1"
    script.after(1e6)
    assert len(script.spawned) == 5, "a failed unit stays so until a person starts it"


def test_failed_starts_count_only_within_the_interval() -> None:
    script = Script(replace(POLICY, start_interval=10, backoff_first=4, backoff_cap=4))
    script.tell(ev.StartRequested(), CRASH)
    for _ in range(50):
        script.wait().tell(CRASH)
    assert script.state is State.BACKOFF


def test_a_limit_of_zero_never_gives_up() -> None:
    script = Script(replace(POLICY, start_limit=0, backoff_cap=0.5))
    script.tell(ev.StartRequested(), CRASH)
    for _ in range(50):
        script.wait().tell(CRASH)
    assert (script.state, len(script.spawned)) == (State.BACKOFF, 51)


def test_crashes_after_ready_only_slow_the_restarts_down(running: Script) -> None:
    for _ in range(100):
        running.tell(KILLED).wait().tell(ev.Ready())
    assert running.state is State.RUNNING
    assert running.unit.restarts == 100


def test_a_start_by_hand_forgives_everything(script: Script) -> None:
    script.tell(ev.StartRequested(), CRASH)
    for _ in range(4):
        script.wait().tell(CRASH)
    assert script.state is State.FAILED
    script.tell(ev.StartRequested())
    assert (script.state, script.unit.failures, script.unit.failed_starts) == (State.STARTING, 0, ())


def test_a_start_by_hand_cuts_the_waiting_short(script: Script) -> None:
    script.tell(ev.StartRequested(), CRASH)
    assert script.state is State.BACKOFF
    script.tell(ev.StartRequested())
    assert script.state is State.STARTING


# -- exit statuses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "word"), [(78, "bad configuration"), (65, "corrupt data"), (64, "bad usage")])
@pytest.mark.parametrize("ready", [False, True])
def test_what_cannot_heal_fails_at_once(script: Script, code: int, word: str, ready: bool) -> None:
    script.tell(ev.StartRequested(), *([ev.Ready()] if ready else []), ev.Exited(Exit(code=code)))
    assert script.state is State.FAILED
    assert script.unit.reason == f"exit status {code} ({word})"
    assert len(script.spawned) == 1


@pytest.mark.parametrize("code", [75, 71])
def test_what_asks_to_be_tried_again_is_never_given_up(script: Script, code: int) -> None:
    script.tell(ev.StartRequested())
    for _ in range(50):
        script.tell(ev.Exited(Exit(code=code)))
        assert script.state is State.BACKOFF
        wait = (script.unit.next_deadline or 0) - script.now
        assert 1 <= wait <= 30
        script.after(wait)
        assert script.state is State.STARTING


@pytest.mark.parametrize("code", [75, 71])
def test_even_after_a_good_run_trying_again_waits(running: Script, code: int) -> None:
    running.tell(ev.Exited(Exit(code=code)))
    assert (running.state, running.unit.next_deadline) == (State.BACKOFF, running.now + 1)


@pytest.mark.parametrize(
    ("restart", "code", "expected"),
    [
        ("always", 0, State.STARTING),
        ("on-failure", 0, State.STOPPED),
        ("on-failure", 1, State.STARTING),
        ("no", 0, State.STOPPED),
        ("no", 1, State.FAILED),
    ],
)
def test_the_restart_policy(restart: str, code: int, expected: State) -> None:
    script = Script(replace(POLICY, restart=restart))
    script.tell(ev.StartRequested(), ev.Ready(), ev.Exited(Exit(code=code)))
    assert script.state is expected


# -- stopping ---------------------------------------------------------------------------------------------------


def test_a_stop_asks_first(running: Script) -> None:
    running.tell(ev.StopRequested())
    assert (running.state, running.signals()) == (State.STOPPING, ["SIGTERM"])
    running.after(5, ev.Exited(Exit(code=0)))
    assert (running.state, running.unit.pid) == (State.STOPPED, None)
    running.after(1e6)
    assert len(running.spawned) == 1


def test_one_that_ignores_sigterm_is_killed_after_its_deadline(running: Script) -> None:
    running.tell(ev.StopRequested()).after(19.9)
    assert running.signals() == ["SIGTERM"]
    running.after(0.1)
    assert (running.state, running.signals()) == (State.KILLING, ["KILLGROUP"])
    running.tell(KILLED)
    assert running.state is State.STOPPED
    assert running.unit.ended is not None
    assert running.unit.ended.why == "did not stop within 20.0 s; killed by SIGKILL"


def test_a_stop_that_reports_progress_may_take_its_time(running: Script) -> None:
    running.tell(ev.StopRequested())
    for part in range(10):
        running.after(19, ev.Status(f"flushing part {part}"))
    running.after(10, ev.ExtendTimeout(60)).after(59)
    assert running.signals() == ["SIGTERM"]
    running.after(1)
    assert running.signals() == ["KILLGROUP"]


def test_a_stop_while_starting_stops(script: Script) -> None:
    script.tell(ev.StartRequested(), ev.StopRequested())
    assert (script.state, script.signals()) == (State.STOPPING, ["SIGTERM"])
    script.tell(ev.Ready())
    assert script.state is State.STOPPING, "a READY=1 that crossed the SIGTERM changes nothing"


def test_a_stop_while_waiting_ends_the_waiting(script: Script) -> None:
    script.tell(ev.StartRequested(), CRASH, ev.StopRequested())
    assert (script.state, script.unit.next_deadline) == (State.STOPPED, None)


def test_a_stop_takes_a_failed_unit_to_rest(script: Script) -> None:
    script.tell(ev.StartRequested(), ev.Exited(Exit(code=78)), ev.StopRequested())
    assert script.state is State.STOPPED


def test_a_start_while_stopping_starts_again_afterwards(running: Script) -> None:
    running.tell(ev.StopRequested(), ev.StartRequested(), ev.Exited(Exit(code=0)))
    assert (running.state, len(running.spawned)) == (State.STARTING, 2)


def test_a_stop_overrules_a_restart(running: Script) -> None:
    running.tell(ev.RestartRequested(), ev.StopRequested(), ev.Exited(Exit(code=0)))
    assert running.state is State.STOPPED


def test_one_that_goes_down_by_itself_has_the_same_deadline(running: Script) -> None:
    running.tell(ev.StopStarted())
    assert (running.state, running.signals()) == (State.STOPPING, [])
    running.after(20)
    assert running.signals() == ["KILLGROUP"]
    running.tell(KILLED)
    assert running.state is State.STARTING, "nobody asked it to stop"


# -- restart and reload -----------------------------------------------------------------------------------------


def test_a_restart_is_a_stop_and_a_start_without_waiting(running: Script) -> None:
    running.tell(ev.RestartRequested())
    assert running.signals() == ["SIGTERM"]
    running.tell(ev.Exited(Exit(code=0)))
    assert (running.state, running.unit.pid, running.unit.restarts) == (State.STARTING, 102, 0)


@pytest.mark.parametrize("code", [0, 1, 65, 75, 78])
def test_a_restart_starts_whatever_the_old_process_ended_with(running: Script, code: int) -> None:
    running.tell(ev.RestartRequested(), ev.Exited(Exit(code=code)))
    assert running.state is State.STARTING


def test_a_restart_of_one_at_rest_starts_it(script: Script) -> None:
    assert script.tell(ev.RestartRequested()).state is State.STARTING


def test_a_reload_is_sighup_and_ends_with_ready(running: Script) -> None:
    since = running.unit.since
    running.after(1).tell(ev.ReloadRequested())
    assert (running.state, running.signals()) == (State.RELOADING, ["SIGHUP"])
    running.tell(ev.ReloadStarted(), ev.Ready())
    assert (running.state, running.unit.pid) == (State.RUNNING, 101)
    assert running.unit.since == since, "it was active all along"


def test_a_reload_that_is_not_answered_leaves_it_running(running: Script) -> None:
    running.tell(ev.ReloadRequested()).after(5)
    assert (running.state, running.unit.pid) == (State.RUNNING, 101)
    assert "did not say that it reloaded within 5 s" in running.logged()


def test_nothing_is_reloaded_that_does_not_run(script: Script) -> None:
    assert script.tell(ev.StartRequested(), ev.ReloadRequested()).signals() == []


# -- watchdog ---------------------------------------------------------------------------------------------------


def test_a_loop_that_stops_feeding_the_watchdog_is_aborted(running: Script) -> None:
    for _ in range(10):
        running.after(4, ev.WatchdogPing())
    running.after(9.9)
    assert running.signals() == []
    running.after(0.1)
    assert (running.state, running.signals()) == (State.ABORTING, ["SIGABRT"])
    running.tell(ev.Exited(Exit(signal=6)))
    assert running.state is State.STARTING
    assert running.unit.ended is not None
    assert running.unit.ended.why == "watchdog: its loop gave no sign of life for 8 s; killed by SIGABRT"


@pytest.mark.parametrize("event", [ev.Status("busy"), ev.ExtendTimeout(1000), ev.ReloadStarted()])
def test_nothing_but_the_loop_feeds_the_watchdog(running: Script, event: ev.Event) -> None:
    running.after(7, event).after(3)
    assert running.state is State.ABORTING


def test_a_sign_of_life_right_after_it_ran_out_counts(running: Script) -> None:
    """Where supervisor and worker stood still together, for less than the watchdog's time, both go on at once."""
    for _ in range(3):
        running.after(8).after(1.9, ev.WatchdogPing())
    running.after(9.9)
    assert running.state is State.RUNNING
    running.after(0.1)
    assert running.state is State.ABORTING


def test_one_that_survives_sigabrt_is_killed(running: Script) -> None:
    running.after(10).after(3)
    assert running.signals() == ["SIGABRT", "KILLGROUP"]


def test_the_watchdog_waits_for_ready(script: Script) -> None:
    script.tell(ev.StartRequested()).after(9)
    assert script.state is State.STARTING


def test_the_watchdog_does_not_bite_while_stopping(running: Script) -> None:
    running.after(7, ev.StopRequested()).after(10)
    assert running.state is State.STOPPING


def test_no_watchdog_where_the_policy_has_none() -> None:
    script = Script(replace(POLICY, watchdog=0))
    script.tell(ev.StartRequested(), ev.Ready())
    assert script.unit.next_deadline is None


def test_a_worker_may_change_its_interval(running: Script) -> None:
    running.tell(ev.WatchdogInterval(100)).after(101)
    assert running.state is State.RUNNING
    running.after(1)
    assert running.state is State.ABORTING


def test_a_worker_may_pull_the_trigger_itself(running: Script) -> None:
    running.tell(ev.WatchdogTrigger())
    assert running.signals() == ["SIGABRT"]


def test_a_worker_that_floods_its_manager_is_ended(running: Script) -> None:
    """What it says beyond that is lost, and so is what others have to say meanwhile."""
    running.tell(ev.Flooded())
    assert running.signals() == ["SIGABRT"]
    running.tell(ev.Flooded())
    assert running.signals() == []
    assert running.state is State.ABORTING


def test_so_is_one_that_does_so_in_the_place_of_stopping(running: Script) -> None:
    running.tell(ev.StopRequested())
    running.tell(ev.ExtendTimeout(86400))
    running.tell(ev.Flooded())
    assert running.state is State.KILLING


# -- defects of ours --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [ev.Exited(Exit(code=0)), ev.Spawned(7)])
def test_what_cannot_happen_raises(event: ev.Event) -> None:
    with pytest.raises(IllegalMove):
        step(Unit(POLICY), event, 0.0)


# -- properties over random lives -------------------------------------------------------------------------------


SAYS = (
    ev.Ready(),
    ev.Status("a"),
    ev.Status("b"),
    ev.ExtendTimeout(25),
    ev.WatchdogPing(),
    ev.WatchdogTrigger(),
    ev.Flooded(),
    ev.WatchdogInterval(4),
    ev.ReloadStarted(),
    ev.StopStarted(),
    ev.Obstructed(FULL),
)
ASKS = (ev.StartRequested(), ev.StopRequested(), ev.RestartRequested(), ev.ReloadRequested())
ENDS = (*(ev.Exited(Exit(code=code)) for code in (0, 1, 64, 65, 71, 74, 75, 78)), KILLED, STARVED)


def live(seed: int, events: int = 300) -> Script:
    """A random life, checked at every step. The kernel's part is kept honest: who is killed ends."""
    chance = random.Random(seed)
    script = Script(replace(POLICY, restart=chance.choice(["always", "on-failure", "no"])))
    for _ in range(events):
        choices: list[ev.Event] = [*ASKS]
        if script.state in ALIVE:
            choices += [*SAYS, *ENDS]
        script.after(chance.choice([0, 0, 0.1, 1, 5, 20]))
        if script.state is State.HELD:
            choices.append(ev.Unobstructed())
        event = chance.choice(choices)
        if isinstance(event, ev.Exited) and script.unit.pid is None:
            continue
        script.tell(event)
        check(script)
    return script


def check(script: Script) -> None:
    unit = script.unit
    assert (unit.pid is not None) == (unit.state in ALIVE), "a process exactly in the states that have one"
    if unit.state in AT_REST or unit.state is State.KILLING:
        assert unit.next_deadline is None
    if unit.state in (State.STARTING, State.STOPPING, State.ABORTING, State.RELOADING, *WAITING):
        assert unit.deadline is not None, "nothing waits for ever but what runs well, is at rest, or is being killed"
    assert (unit.watchdog_at is not None) <= (unit.state in SERVING)
    if unit.state is State.STOPPED:
        assert not unit.wanted


@pytest.mark.parametrize("seed", range(200))
def test_any_life_keeps_the_rules(seed: int) -> None:
    live(seed)


@pytest.mark.parametrize("seed", range(100))
def test_after_any_life_a_silent_process_is_killed_when_stopped(seed: int) -> None:
    script = live(seed)
    script.asked.clear()
    script.tell(ev.StopRequested())
    if script.state in ALIVE:
        script.after(1000)
        assert script.state is State.KILLING
        script.tell(KILLED)
    assert script.state is State.STOPPED
    spawned = len(script.spawned)
    script.after(1e6)
    assert len(script.spawned) == spawned


@pytest.mark.parametrize("seed", range(100))
def test_after_any_life_a_start_gets_there(seed: int) -> None:
    script = live(seed)
    script.tell(ev.StartRequested())
    for _ in range(3):
        if script.state in (State.STOPPING, State.ABORTING, State.KILLING):
            script.tell(ev.Exited(Exit(signal=15)))
        script.wait()
        if script.state in (State.STARTING, State.RELOADING):
            script.tell(ev.Ready())
    assert script.state in SERVING


@pytest.mark.parametrize("seed", range(50))
def test_a_unit_that_only_crashes_starts_a_bounded_number_of_times(seed: int) -> None:
    chance = random.Random(seed)
    script = Script(replace(POLICY, start_limit=0))
    script.tell(ev.StartRequested())
    begun = script.now
    while script.now - begun < 3600:
        if script.state is State.STARTING and chance.random() < 0.5:
            script.tell(ev.Ready())
        if script.state in ALIVE:
            script.tell(CRASH)
        script.after(chance.choice([0.5, 1, 2]))
    assert len(script.spawned) <= 3600 / POLICY.backoff_cap + 10


def test_a_signal_is_asked_for_only_where_there_is_a_process() -> None:
    for seed in range(200, 260):
        chance = random.Random(seed)
        unit, now = Unit(POLICY), 0.0
        for _ in range(200):
            now += chance.choice([0, 1, 9])
            alive = unit.state in ALIVE
            event: ev.Event = chance.choice([*ASKS, ev.Tick(), *([*SAYS, *ENDS] if alive else [])])
            unit, actions = step(unit, event, now)
            if any(isinstance(action, ev.Send | ev.KillGroup) for action in actions):
                assert unit.pid is not None
            if any(isinstance(action, ev.Spawn) for action in actions):
                unit, _ = step(unit, ev.Spawned(1), now)


def test_signals_are_those_of_the_ladder(running: Script) -> None:
    running.tell(ev.StopRequested())
    assert [a.signal for a in running.asked if isinstance(a, ev.Send)] == [Signals.SIGTERM]


# -- what is in the way, and too little memory ------------------------------------------------------------------


def looks(script: Script) -> list[Obstacle]:
    """What the manager was asked to look at since the last time."""
    found = [action.obstacle for action in script.asked if isinstance(action, ev.Look)]
    script.asked.clear()
    return found


@pytest.mark.parametrize("code", [69, 74, 75])
def test_one_that_says_what_is_in_its_way_is_held_and_not_started_for_nothing(script: Script, code: int) -> None:
    script.tell(ev.StartRequested(), ev.Obstructed(FULL), ev.Exited(Exit(code=code)))
    assert (script.state, looks(script)) == (State.HELD, [])
    script.after(3600)
    assert (script.state, len(script.spawned)) == (State.HELD, 1)
    assert set(looks(script)) == {FULL}
    script.tell(ev.Unobstructed())
    assert (script.state, script.unit.obstacle) == (State.STARTING, None)
    assert len(script.spawned) == 2


def test_a_look_that_sees_nothing_makes_no_loop(script: Script) -> None:
    """It is free, says the supervisor; it isn't, says the worker: each start waits longer."""
    script.tell(ev.StartRequested())
    for _ in range(50):
        script.tell(ev.Obstructed(FULL), ev.Exited(Exit(code=74)))
        assert script.state is State.HELD
        begun = script.now
        script.wait()
        assert script.state is State.STARTING
        assert script.now - begun >= 1
    assert script.now - begun == 30


def test_one_that_is_held_can_be_stopped_and_started(script: Script) -> None:
    script.tell(ev.StartRequested(), ev.Obstructed(FULL), ev.Exited(Exit(code=74)), ev.StopRequested())
    assert script.state is State.STOPPED
    assert script.tell(ev.Unobstructed()).state is State.STOPPED
    script.tell(ev.StartRequested(), ev.Obstructed(FULL), ev.Exited(Exit(code=74)), ev.StartRequested())
    assert script.state is State.STARTING


def test_without_a_word_of_what_is_in_the_way_it_is_tried_again(script: Script) -> None:
    script.tell(ev.StartRequested(), ev.Exited(Exit(code=75)))
    assert script.state is State.BACKOFF


def test_after_an_end_for_want_of_memory_it_makes_do_with_less_until_a_person_says_otherwise(running: Script) -> None:
    for end in (STARVED, KILLED, ev.Exited(Exit(code=150))):
        running.asked.clear()
        running.tell(end).wait()
        assert [action.frugal for action in running.asked if isinstance(action, ev.Spawn)] == [True]
        running.tell(ev.Ready())
    assert running.unit.ended is not None and running.unit.ended.cause == "out-of-memory"
    running.asked.clear()
    running.tell(ev.RestartRequested(), ev.Exited(Exit(code=0)))
    assert [action.frugal for action in running.asked if isinstance(action, ev.Spawn)] == [False]


def test_one_that_was_killed_otherwise_keeps_its_memory(running: Script) -> None:
    running.tell(KILLED)
    assert not running.unit.frugal


# -- what an earlier supervisor left ----------------------------------------------------------------------------


def test_a_process_that_is_found_is_waited_for_and_then_replaced(script: Script) -> None:
    script.tell(ev.Adopted(77), ev.StartRequested())
    assert (script.state, script.unit.pid, script.signals()) == (State.STOPPING, 77, ["SIGTERM"])
    script.after(19, ev.Status("flushing")).after(19, ev.Exited(Exit()))
    assert (script.state, script.unit.pid, script.unit.restarts) == (State.STARTING, 101, 0)


def test_a_process_that_is_found_and_does_not_go_is_killed(script: Script) -> None:
    script.tell(ev.Adopted(77), ev.StartRequested()).after(20)
    assert (script.state, script.signals()) == (State.KILLING, ["SIGTERM", "KILLGROUP"])
    script.tell(ev.Exited(Exit()))
    assert script.state is State.STARTING


def test_one_that_is_found_and_not_wanted_rests_afterwards(script: Script) -> None:
    assert script.tell(ev.Adopted(77), ev.Exited(Exit())).state is State.STOPPED


def test_only_a_unit_at_rest_adopts(running: Script) -> None:
    for event in (ev.Adopted(77), ev.TakenOver(77)):
        with pytest.raises(IllegalMove):
            running.tell(event)


def test_a_process_that_is_taken_over_is_as_one_of_ours(script: Script) -> None:
    script.tell(ev.TakenOver(77))
    assert (script.state, script.unit.pid, script.spawned, script.signals()) == (State.RUNNING, 77, [], [])
    watchdog = script.unit.watchdog_at
    assert watchdog is not None
    script.after(watchdog - script.now + 2)
    assert script.state is State.ABORTING
    script.tell(ev.Exited(Exit()))
    assert (script.state, script.unit.pid) == (State.STARTING, 101)
    assert script.unit.ended is not None
    assert script.unit.ended.why.endswith("so that its exit status is lost")


@pytest.mark.parametrize(("told", "watched"), [(None, 8.0), (30.0, 30.0), (0.0, None)])
def test_a_process_that_is_taken_over_is_watched_as_it_was_told(
    script: Script, told: float | None, watched: float | None
) -> None:
    script.tell(ev.TakenOver(77, told))
    assert script.unit.watchdog_at == (None if watched is None else script.now + watched)


# -- a machine that stood still ---------------------------------------------------------------------------------


def test_time_in_which_nobody_looked_does_not_count(running: Script) -> None:
    running.now += 100
    running.tell(ev.Tick(held_up=92)).after(9.9)
    assert running.state is State.RUNNING
    running.after(0.1)
    assert running.state is State.ABORTING


@pytest.mark.parametrize(
    ("event", "patience"), [(ev.StopRequested(), 20), (ev.ReloadRequested(), 5), (ev.WatchdogTrigger(), 3)]
)
def test_nor_on_the_way_down_or_at_a_reload(running: Script, event: ev.Event, patience: float) -> None:
    running.tell(event)
    state = running.state
    running.now += 60
    running.tell(ev.Tick(held_up=40))
    assert (running.state, running.unit.deadline) == (state, running.now + patience)


def test_a_restart_that_is_due_is_made_however_late(script: Script) -> None:
    script.tell(ev.StartRequested(), CRASH)
    script.now += 1000
    assert script.tell(ev.Tick(held_up=999)).state is State.STARTING
