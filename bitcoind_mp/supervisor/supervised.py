"""One unit at work: what it is planned to be, its state, its process, its output and where its processes come from.

Values that belong together, and nothing that happens by itself: what happens to them is ``manager.py``'s.
"""

import asyncio
import os
from collections.abc import Callable, Mapping

from .handover import HandedUnit
from .output.logs import Pump
from .plan import Plan
from .processes.notify import Allowance
from .processes.origin import Origin
from .processes.process import Command, Foundling, Process
from .processes.waiting import WaitingCallers
from .units.unit import Unit

#: Newest lines of a log that a program that takes our place is told.
_LINES_HANDED_OVER = 200


class Supervised:
    """One unit at work: its state, its process (None: it has none) and its output. ``was_ready`` says that some
    process of it got as far as READY=1 since the supervisor came up. ``lifeline`` is our end of what its process hangs
    on, that one alone: it reads its end of file when we die, however. ``is_waiting`` says that a process is to be made
    as soon as its origin has loaded the program; an ``origin`` that is given is another unit's too."""

    def __init__(
        self,
        plan: Plan,
        pump: Pump,
        listener: int | None,
        environ: Mapping[str, str],
        loaded: Callable[[], None],
        now: float,
        origin: Origin | None = None,
    ) -> None:
        self.plan = plan
        self.name = plan.name
        self.unit = Unit(plan.policy, since=now)
        self.pump = pump
        self.log = pump.log
        self.listener = listener
        self.callers = WaitingCallers(listener)
        self.process: Process | None = None
        self.lifeline: int | None = None
        self.allowance = Allowance()
        self.command: Command | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.was_ready = False
        self.last_words: list[str] = []
        self.origin = origin or Origin(plan, environ, self.pump.writer, loaded)
        self.shares_origin = origin is not None
        self._loaded = loaded
        if origin is not None:
            origin.waiting.append(loaded)
        self.is_waiting = False
        self.frugal = False

    def leave_origin(self) -> None:
        """Come from it no longer; one that is this unit's alone is closed."""
        if self.shares_origin:
            self.origin.waiting.remove(self._loaded)
        else:
            self.origin.close()

    def handed(self) -> HandedUnit:
        """As it is, for a program that takes our place."""
        process = self.process
        return HandedUnit.of(
            self.unit,
            pid=process.pid if process is not None else None,
            is_child=not isinstance(process, Foundling),
            was_ready=self.was_ready,
            reader=self.pump.reader,
            writer=self.pump.writer,
            partial=self.pump.partial,
            last_words=self.last_words,
            lines=self.log.tail(_LINES_HANDED_OVER),
            lifeline=self.lifeline,
        )

    def let_go(self) -> None:
        """Its process has ended, and hangs on nothing any more."""
        if self.lifeline is not None:
            os.close(self.lifeline)
            self.lifeline = None
