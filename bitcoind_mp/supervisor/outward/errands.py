"""Running the commands that an operator wants run: a few at a time, in the background, and waited for.

What a command says and when it is due is ``hooks.py``'s. As Core's ``runCommand``: the shell runs it, with our standard
output and error, and a bad end is logged. Unlike there a burst makes no crowd, and what hangs is ended.
"""

import asyncio
import logging
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from bitcoind_mp.supervisor.processes.process import SHELL, USUAL_SIGNALS, for_children
from bitcoind_mp.supervisor.units.policy import signal_name

log = logging.getLogger("bitcoind_mp.supervisor")
#: Commands of one option that may wait. Those after them are not run, and counted.
_MOST_WAITING = 1000
#: What is logged of a command line.
_SHOWN = 200
#: Variables that are for our workers alone.
_NOT_FOR_COMMANDS = frozenset({"CREDENTIALS_DIRECTORY", "BITCOIND_MP_HANDOVER"})


@dataclass(frozen=True)
class Errand:
    """A command line, and the variables that it finds besides our environment."""

    line: str
    variables: Mapping[str, str]
    done: "asyncio.Future[None]"


class Lane:
    """The commands of one option, ``at_once`` at a time, begun in the order they came. ``loses``: those that come when
    too many wait are not run. The counts are since the start: those run, those of them that ended badly, and those that
    were not run."""

    def __init__(self, option: str, at_once: int, errands: "Errands", *, loses: bool = True) -> None:
        self.option = option
        self._loses = loses
        self.run_count = self.failures = self.dropped = 0
        self._at_once = at_once
        self._errands = errands
        self._waiting: deque[Errand] = deque()
        self._running = 0
        self._losing = False
        self._is_beginning = False

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    def add(self, line: str, variables: Mapping[str, str]) -> "asyncio.Future[None] | None":
        """Run it when it is its turn. What is done when it has ended, however; None where it is not run."""
        if self._loses and len(self._waiting) >= _MOST_WAITING:
            self.dropped += 1
            if not self._losing:
                self._losing = True
                text = "-%s: more than %d commands wait: those that come now are not run"
                log.warning(text, self.option, _MOST_WAITING)
            return None
        errand = Errand(line, variables, asyncio.get_running_loop().create_future())
        self._waiting.append(errand)
        self._next()
        return errand.done

    def clear(self) -> int:
        """Give up those that wait; how many these were."""
        count = len(self._waiting)
        for errand in self._waiting:
            errand.done.cancel()
        self._waiting.clear()
        return count

    def _next(self) -> None:
        if self._is_beginning:  # one that could not be begun has ended already
            return
        self._is_beginning = True
        while self._waiting and self._running < self._at_once:
            errand = self._waiting.popleft()
            self._running += 1
            self.run_count += 1
            self._errands.begin(self.option, errand, partial(self._ended, errand))
        self._is_beginning = False
        if not self._waiting and self._losing:
            self._losing = False
            log.warning("-%s: %d commands in all were not run", self.option, self.dropped)

    def _ended(self, errand: Errand, well: bool) -> None:
        self._running -= 1
        self.failures += not well
        if not errand.done.done():
            errand.done.set_result(None)
        self._next()


class Errands:
    """Runs commands. ``patience`` in seconds is how long one may take, 0 for ever; ``reaped`` is called after each
    end, since children of others' may have ended that are only now seen to."""

    def __init__(self, environ: Mapping[str, str], patience: float, reaped: Callable[[], None] = lambda: None) -> None:
        self.patience = patience
        self.reaped = reaped
        self._environ = {name: value for name, value in for_children(environ).items() if name not in _NOT_FOR_COMMANDS}
        self._loop = asyncio.get_running_loop()
        self._running: dict[int, _Running] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    def owns(self, pid: int) -> bool:
        """Whether that is a child that we wait for."""
        return pid in self._running

    def begin(self, option: str, errand: Errand, ended: Callable[[bool], None]) -> None:
        """Start one; ``ended`` is called with whether it ended well, at once where it could not be started."""
        try:
            running = _Running(option, errand, self._spawn(errand), ended)
        except (OSError, ValueError) as error:
            log.warning("-%s: the command could not be run: %s", option, error)
            ended(False)
            return
        self._running[running.pid] = running
        self._idle.clear()
        self._loop.add_reader(running.pidfd, self._reap, running)
        if self.patience > 0:
            running.timer = self._loop.call_later(self.patience, self._expire, running)

    async def idle(self, seconds: float) -> bool:
        """Wait until nothing runs, but no longer than that; whether nothing does."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def kill(self) -> None:
        """End what runs, and wait for it."""
        for running in self._running.values():
            log.warning("-%s: the command is killed, since we end: %s", running.option, running.shown)
            running.kill()
        await self._idle.wait()

    def _spawn(self, errand: Errand) -> int:
        return os.posix_spawn(
            SHELL,
            (SHELL, "-c", errand.line),
            {**self._environ, **errand.variables},
            file_actions=[(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)],
            setpgroup=0,
            setsigmask=(),
            setsigdef=USUAL_SIGNALS,
        )

    def _reap(self, running: "_Running") -> None:
        """The shell has ended. What it left in the background lives on, as the operator wants."""
        _, status = os.waitpid(running.pid, 0)
        self._loop.remove_reader(running.pidfd)
        os.close(running.pidfd)
        if running.timer is not None:
            running.timer.cancel()
        del self._running[running.pid]
        code = os.waitstatus_to_exitcode(status)
        if code:
            how = f"ended with exit status {code}" if code > 0 else f"was ended by {signal_name(-code)}"
            log.warning("-%s: the command %s: %s", running.option, how, running.shown)
        running.ended(code == 0)
        if not self._running:  # nor has another one begun
            self._idle.set()
        self.reaped()

    def _expire(self, running: "_Running") -> None:
        text = "-%s: the command takes longer than %g s, and is killed: %s"
        log.warning(text, running.option, self.patience, running.shown)
        running.kill()


class _Running:
    def __init__(self, option: str, errand: Errand, pid: int, ended: Callable[[bool], None]) -> None:
        self.option = option
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.ended = ended
        self.timer: asyncio.TimerHandle | None = None
        self.shown = errand.line[:_SHOWN]

    def kill(self) -> None:
        """It and what it has started."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            os.kill(self.pid, signal.SIGKILL)
