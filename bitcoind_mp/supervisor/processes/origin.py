"""Where one unit's processes come from: forked from its template where it has one, executed otherwise.

A template that fails costs nobody a start: it is dropped, the process is executed, and after a pause another template
is made. When a process is to be made is ``unit.py``'s to say.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from bitcoind_mp.supervisor.plan import Plan

from .process import Command, Process
from .template import Template

log = logging.getLogger("bitcoind_mp.supervisor")
#: Seconds until a template that failed is made again; twice as long each time until one has forked.
_PAUSE, _LONGEST_PAUSE = 5.0, 600.0


class Origin:
    """``loaded`` and whatever else is in `waiting` is called, in the loop, when whoever waits for `is_loading` to end
    may go on. ``output`` is the
    descriptor that templates write to, and stays the caller's."""

    def __init__(self, plan: Plan, environ: Mapping[str, str], output: int, loaded: Callable[[], None]) -> None:
        self.plan = plan
        self._environ = environ
        self._output = output
        self.waiting: list[Callable[[], None]] = [loaded]
        self._loop = asyncio.get_running_loop()
        self._template: Template | None = None
        self._pause = _PAUSE
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def template_pid(self) -> int | None:
        return self._template.pid if self._template is not None else None

    @property
    def is_loading(self) -> bool:
        """Whether it is better to wait than to execute."""
        return self._template is not None and not self._template.is_ready

    def renew(self) -> None:
        """Load the program as it is on disk now, and as the plan is now."""
        self.drop()
        plan = self.plan
        if not plan.preload or self._is_closed:
            self._free()
            return
        arguments = plan.argv[plan.argv.index(plan.preload) + 1 :]
        try:
            self._template = Template(plan.preload, arguments, self._environ, self._output, self._told)
        except OSError as error:
            log.warning("%s: could not be preloaded: %s", plan.name, error.strerror or error)
            self._renew_later()
            self._free()

    def make(self, what: Command, known: Callable[[int], None]) -> Process:
        """A new process. ``known`` is told its pid first of all. Raises OSError where the system can't."""
        if self._template is not None and self._template.is_ready:
            try:
                process = self._template.fork(what, known)
            except OSError as error:
                self.give_up(f"failed: {error}")
            else:
                self._pause = _PAUSE
                return process
        process = Process.spawn(what)
        known(process.pid)
        return process

    def give_up(self, why: str) -> None:
        """This template is no good: the next process is executed."""
        if self._template is not None:
            log.warning("%s: its preloaded process (pid %d) %s", self.plan.name, self._template.pid, why)
            self.drop()
            self._renew_later()
            self._free()

    def drop(self) -> None:
        """End the template, if there is one. Its forks live on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._template is not None:
            self._template.close()
            self._template = None

    def close(self) -> None:
        """No template any more."""
        self._is_closed = True
        self.drop()

    def _renew_later(self) -> None:
        self._timer = self._loop.call_later(self._pause, self.renew)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _told(self) -> None:
        if self._template is not None and self._template.has_ended:
            self.give_up("ended")
        else:
            self._tell(list(self.waiting))

    def _free(self) -> None:
        """There is no template to wait for: whoever does is executed."""
        self._loop.call_soon(self._tell, list(self.waiting))

    def _tell(self, waiting: list[Callable[[], None]]) -> None:
        """One at a turn of the loop: a hundred forks take their time, and everybody else is to have some too."""
        if waiting:
            self._loop.call_soon(self._tell, waiting[1:])
            waiting[0]()
