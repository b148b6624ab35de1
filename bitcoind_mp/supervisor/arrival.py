"""Coming up, as whoever waits for it sees it: everything is ready, or not yet and why, or a start has failed.

What doesn't belong: starting anything (``app.py``), and how a person is told (``announce.py``).
"""

import asyncio
from collections.abc import Callable, Iterable

from bitcoind_mp.interfaces.errors import ExitStatus, FatalError

from .announce import Announcer
from .control import why_down
from .supervised import Supervised
from .units.states import SERVING, WAITING, State

#: How long a person at a terminal waits for a start that asks to be tried again, from its first end on. Seconds.
_PATIENCE = 10.0
#: How often it is told there what takes so long. Seconds.
_TELL_EVERY = 10.0


class Arrival:
    """``awaited``: a unit that can't start ends all, by ``give_up``; ``at_terminal``: so does one that is tried again
    for too long. ``in_foreground``: so does one whose options are wrong, as an option of ours that is."""

    def __init__(
        self,
        announcer: Announcer,
        *,
        awaited: bool,
        at_terminal: bool,
        in_foreground: bool,
        give_up: Callable[[FatalError], None],
    ) -> None:
        self.is_over = False
        """Whether everything that is to run was ready once."""
        self.is_given_up = False
        """Whether the end has begun: nobody waits any more."""
        self._announcer = announcer
        self._awaited = awaited
        self._at_terminal = at_terminal
        self._in_foreground = in_foreground
        self._give_up = give_up
        self._loop = asyncio.get_running_loop()
        self._not_yet_since: dict[str, float] = {}
        self._told: set[str] = set()
        self._told_at = self._loop.time()

    def look(self, units: Iterable[Supervised]) -> bool:
        """A unit's state changed: whether everything is ready now, for the first time."""
        if self.is_over or self.is_given_up:
            return False
        units = list(units)
        self._tell_slow_start(units)
        wanted = [each for each in units if each.plan.enabled and not _is_extra(each)]
        for each in wanted:
            if each.unit.state in WAITING:
                self._not_yet(each)
            elif each.unit.state is State.KILLING:
                self._progress(f"The {each.name} (pid {each.unit.pid}) {each.unit.reason}: killing it.")
        failed = next((each for each in wanted if each.unit.state is State.FAILED), None)
        if failed is not None and (self._awaited or (self._in_foreground and _is_misconfigured(failed))):
            self._give_up(_failure(failed))
        elif all(each.was_ready and each.unit.state in SERVING for each in wanted):
            self.is_over = True
        return self.is_over

    def _not_yet(self, supervised: Supervised) -> None:
        """A start failed and will be tried again: say so, once for each reason. A person at a terminal is told the
        reason in the end, not kept waiting."""
        unit = supervised.unit
        self._progress(f"The {supervised.name} could not start yet, trying again: {why_down(supervised)}")
        first = self._not_yet_since.setdefault(supervised.name, unit.since)
        next_start = unit.deadline if unit.deadline is not None else unit.since
        patience = min(_PATIENCE, unit.policy.start_timeout)
        if not self._at_terminal:
            return
        if next_start - first > patience:
            self._give_up(_failure(supervised))
        elif unit.state is State.HELD:
            self._loop.call_at(first + patience, self._still_held, supervised)

    def _still_held(self, supervised: Supervised) -> None:
        if supervised.unit.state is State.HELD and not self.is_over and not self.is_given_up:
            self._give_up(_failure(supervised))

    def _tell_slow_start(self, units: Iterable[Supervised]) -> None:
        """Somebody waits at a terminal: say now and then what takes so long."""
        now = self._loop.time()
        starting = [each for each in units if each.unit.state is State.STARTING and each.unit.text]
        if starting and now - self._told_at >= _TELL_EVERY:
            self._told_at = now
            self._progress("; ".join(f"The {each.name} is starting: {each.unit.text}" for each in starting))

    def _progress(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._announcer.progress(text)


def _is_extra(supervised: Supervised) -> bool:
    """Whether it is one wallet's, and won't come up for now: the others needn't wait for it."""
    return supervised.plan.wallet is not None and supervised.unit.state in (*WAITING, State.FAILED, State.STOPPED)


def _is_misconfigured(failed: Supervised) -> bool:
    """Whether it is the options that keep it from starting: nothing is to be expected of another start."""
    ended = failed.unit.ended
    return ended is not None and ended.exit.code == ExitStatus.CONFIG


def _failure(failed: Supervised) -> FatalError:
    """A unit can't start, and whoever started us wants to know: its message, and its status for ours."""
    ended = failed.unit.ended
    status = next((known for known in ExitStatus if ended and known == ended.exit.code), ExitStatus.FAILURE)
    return FatalError(f"The {failed.name} did not start: {why_down(failed)}", status=status or ExitStatus.FAILURE)
