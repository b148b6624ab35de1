"""The units with their processes: carries out what ``unit.py`` decides, in one event loop.

What belongs here: pidfds, timers, pipes and the notify socket turned into events, and actions turned into calls.
What doesn't: any decision about when to start, stop or kill. Nothing here polls.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bitcoind_mp.interfaces import journal
from bitcoind_mp.interfaces.channels import CALLER, CALLERS

from .handover import HandedUnit
from .output.logs import Pump, UnitLog
from .plan import Plan
from .processes.equipment import Equipment
from .processes.notify import Allowance, NotifySocket, parse, stored_name
from .processes.obstacles import is_in_the_way
from .processes.origin import Origin
from .processes.orphans import Register
from .processes.private import Private
from .processes.process import Command, Foundling, Process, handing, release
from .processes.starvation import Starvation, own_counter
from .supervised import Supervised
from .units import events as ev
from .units.policy import Exit
from .units.states import ALIVE, State
from .units.unit import Unit, step

log = logging.getLogger("bitcoind_mp.supervisor")
#: Strangers on the notify socket are told of once, then counted.
_REFUSALS_LOGGED = 5
#: A timer this late (seconds) says that the loop stood still: the machine slept, or was far too busy.
_HELD_UP = 1.0
#: Lines that are kept of what a process wrote last.
_LAST_WORDS = 10


Listener = Callable[[Supervised, Unit], None]


class Manager:
    """All the units. Made in a running loop; `close` when every process has ended."""

    def __init__(
        self,
        notify: NotifySocket,
        register: Register,
        run_dir: Path,
        *,
        environ: Mapping[str, str],
        journal: bool,
        outlived: bool = False,
        private: Private = Private({}),  # noqa: B008 (it is frozen)
    ) -> None:
        """``outlived``: workers are to live on when we are killed, and get no lifeline. ``private``: what only some are
        handed; it stays the caller's."""
        self.units: dict[str, Supervised] = {}
        self.refused = 0
        self.stopping = False
        self._listeners: list[Listener] = []
        self._loop = asyncio.get_running_loop()
        self._outlived = outlived
        self._fifos = run_dir
        self._notify = notify
        self.register = register
        self._starvation = Starvation(own_counter())
        self._equipment = Equipment(environ, private, notify.address, journal)
        self._loop.add_reader(notify.fileno(), self._hear)

    def add(self, plan: Plan, output: UnitLog, listener: int | None, origin: Origin | None = None) -> Supervised:
        """A unit, stopped. ``listener`` is its listening socket's descriptor, which stays the caller's; ``origin`` that
        of another unit with the same program."""
        return self._add(plan, Pump(output, fifo=self._fifo(plan.name)), listener, origin)

    def remove(self, supervised: Supervised) -> None:
        """Forget a unit that has no process."""
        del self.units[supervised.name]
        self._give_back(supervised)
        try:
            self.register.remove(supervised.name)
        except OSError as error:
            log.warning("%s: could not note that it is no more: %s", supervised.name, error.strerror)

    def _fifo(self, unit: str) -> Path | None:
        """Where the unit's output goes by a name, so that the next supervisor finds it; without such a name, one that a
        killed supervisor left is of no use any more."""
        path = self._fifos / f"{unit}.out"
        if self._outlived:
            return path
        path.unlink(missing_ok=True)
        return None

    def _add(self, plan: Plan, pump: Pump, listener: int | None, origin: Origin | None) -> Supervised:
        environ, now = self._equipment.environ_of(plan, with_signer=self._has_signer(plan)), self._loop.time()
        unit = Supervised(plan, pump, listener, environ, lambda: self._loaded(unit), now, origin)
        self._prepare(unit)
        try:
            self.register.add(plan.name)
        except OSError as error:  # a full disk: it is noted with its first process, if there is room by then
            log.warning("%s: could not be noted: %s", plan.name, error.strerror)
        self.units[plan.name] = unit
        self._loop.add_reader(unit.pump.fileno(), unit.pump.read)
        return unit

    def hand_over(self) -> tuple[tuple[int, str], dict[str, HandedUnit]]:
        """The notify socket and the units, for a program that takes our place. Nothing may be told any
        more."""
        for supervised in self.units.values():
            supervised.origin.close()
        for supervised in self.units.values():
            if supervised.is_waiting:
                self._begin(supervised)
        notify = (self._notify.fileno(), self._notify.address)
        return notify, {name: each.handed() for name, each in self.units.items()}

    def take_over(
        self, plan: Plan, output: UnitLog, listener: int | None, handed: HandedUnit, origin: Origin | None = None
    ) -> Supervised:
        """A unit as it was in the program before us, with its process. Raises OSError."""
        output.remember(handed.lines)
        pump = Pump(output, fifo=self._fifo(plan.name), ends=(handed.reader, handed.writer), partial=handed.partial)
        supervised = self._add(plan, pump, listener, origin)
        supervised.unit = handed.restored(plan.policy)
        supervised.was_ready, supervised.last_words = handed.was_ready, handed.last_words
        supervised.lifeline = handed.lifeline
        if handed.pid is not None:
            of = Process.of_child if handed.is_child else Foundling.of_pid
            self._watch(supervised, of(handed.pid))
        return supervised

    def resume(self) -> None:
        """After the last `take_over`: what was said meanwhile, then the clocks."""
        self._hear()
        for supervised in self.units.values():
            self._arm(supervised)

    def adopt(self, supervised: Supervised, process: Foundling) -> None:
        """A process of the unit is there already: wait for its end before the first of ours."""
        self._renew(supervised)
        self._watch(supervised, process)
        self.tell(supervised, ev.Adopted(process.pid))

    def own(self, supervised: Supervised, process: Foundling, watchdog: float | None = None) -> None:
        """A process of the unit is there already, and is to stay: it is the unit's as one of ours would be.
        ``watchdog``: how often it gives a sign of life, in seconds; None: as the configuration says."""
        self._watch(supervised, process)
        self._renew(supervised)
        self.tell(supervised, ev.TakenOver(process.pid, watchdog))

    def _watch(self, supervised: Supervised, process: Process) -> None:
        """That process is the unit's until it has ended."""
        supervised.process = process
        supervised.log.pid = process.pid
        self._loop.add_reader(process.pidfd, self._ended, supervised)

    def on_change(self, listener: Listener) -> None:
        """Call ``listener(supervised, the unit before)`` whenever a unit's state changes."""
        self._listeners.append(listener)

    def tell(self, supervised: Supervised, event: ev.Event) -> None:
        """Something happened: the one door through which a unit changes."""
        before = supervised.unit
        if isinstance(event, ev.RestartRequested) or (
            isinstance(event, ev.StartRequested) and before.state not in ALIVE
        ):
            self._renew(supervised)  # a person's start is of the program as it is now on disk
        supervised.unit, actions = step(before, event, self._loop.time())
        ended = supervised.unit.ended if isinstance(event, ev.Exited) else None
        about = {"pid": before.pid or supervised.unit.pid, "cause": ended.cause if ended is not None else ""}
        for action in actions:
            self._do(supervised, action, about)
        self._arm(supervised)
        after = supervised.unit
        if after.state is not before.state or after.text != before.text or after.pid != before.pid:
            supervised.was_ready = supervised.was_ready or after.state is State.RUNNING
            for listener in list(self._listeners):
                listener(supervised, before)

    def _renew(self, supervised: Supervised) -> None:
        """Load its program anew, unless others are forked from it too: with the unit whose it is."""
        if not supervised.shares_origin:
            supervised.origin.renew()

    def owns(self, pid: int) -> bool:
        """Whether that is a process of a unit's, or one that they are forked from."""
        return any(
            (each.process is not None and each.process.pid == pid) or each.origin.template_pid == pid
            for each in self.units.values()
        )

    def whose(self, pid: int) -> str | None:
        """The unit that a process is of, or is in the process group of; None for a stranger's, or a pid that is none.
        It must live."""
        if pid <= 0:
            return None
        process = {pid, os.getpgid(pid)}
        return next((name for name, each in self.units.items() if each.process and each.process.pid in process), None)

    async def until(self, supervised: Supervised, states: Collection[State]) -> State:
        """Wait for a unit to be in one of these states; which one it was."""
        return (await self.until_unit(supervised, lambda unit: unit.state in states)).state

    async def until_unit(self, supervised: Supervised, condition: Callable[[Unit], bool]) -> Unit:
        """Wait for a unit to be as wanted. The unit as it was then: it may be otherwise by now."""
        reached: asyncio.Future[Unit] = self._loop.create_future()

        def look(changed: Supervised, before: Unit) -> None:
            if changed is supervised and not reached.done() and condition(changed.unit):
                reached.set_result(changed.unit)

        look(supervised, supervised.unit)
        self._listeners.append(look)
        try:
            return await reached
        finally:
            self._listeners.remove(look)

    async def stop(self, order: Sequence[str]) -> None:
        """Stop the units of one role after those of the other, for good. Each takes as long as its stop ladder lets
        it."""
        self.stopping = True
        for supervised in self.units.values():
            supervised.origin.close()
        for role in order:
            going = [supervised for supervised in self.units.values() if supervised.plan.role == role]
            for supervised in going:
                self.tell(supervised, ev.StopRequested())
            for supervised in going:
                await self.until(supervised, (State.STOPPED,))

    def configure(self, plan: Plan) -> None:
        """A unit's configuration was read again. Its command counts from the next start on."""
        supervised = self.units[plan.name]
        changed = plan.argv != supervised.plan.argv or plan.preload != supervised.plan.preload
        supervised.plan = plan
        self._prepare(supervised)
        if not supervised.shares_origin:
            supervised.origin.plan = plan
            if changed and not supervised.is_waiting and supervised.unit.state in ALIVE:
                supervised.origin.renew()
        self.tell(supervised, ev.PolicyChanged(plan.policy))

    def close(self) -> None:
        """Give everything back. No process may be left."""
        self._loop.remove_reader(self._notify.fileno())
        for supervised in self.units.values():
            self._give_back(supervised)
        self.register.close()
        self._notify.close()

    def _give_back(self, supervised: Supervised) -> None:
        assert supervised.process is None, f"{supervised.name} still runs"
        self._loop.remove_reader(supervised.pump.fileno())
        supervised.pump.close()
        supervised.leave_origin()
        supervised.callers.close()
        if supervised.timer is not None:
            supervised.timer.cancel()
        if supervised.command is not None:
            release(supervised.command)

    def _prepare(self, supervised: Supervised) -> None:
        """Make the command now, so that a start after a crash has nothing left to work out."""
        made = self._equipment.command(
            supervised.plan, supervised.listener, supervised.pump, with_signer=self._has_signer(supervised.plan)
        )
        if supervised.command is not None:
            release(supervised.command)
        supervised.command = made

    def _has_signer(self, plan: Plan) -> bool:
        return "signer" in {*self.units, plan.name}

    # Actions

    def _do(self, supervised: Supervised, action: ev.Action, about: dict[str, Any]) -> None:
        match action:
            case ev.Spawn(frugal):
                supervised.frugal = frugal
                self._spawn(supervised)
            case ev.Look(obstacle):
                if not is_in_the_way(obstacle, supervised.plan.places):
                    self._loop.call_soon(self.tell, supervised, ev.Unobstructed())
            case ev.Send() | ev.KillGroup() if supervised.is_waiting:
                supervised.is_waiting = False
                if not supervised.shares_origin or action != ev.Send(signal.SIGTERM):
                    supervised.origin.give_up("did not load in time")
                self.tell(supervised, ev.Exited(Exit(error="it was told to end before it had begun")))
            case ev.Send(number):
                if supervised.process is not None:
                    supervised.process.send(number)
            case ev.KillGroup():
                if supervised.process is not None:
                    supervised.process.kill_group()
            case ev.Log(level, text, event):
                log.log(
                    level, "%s: %s", supervised.name, text, extra=journal.event(event, unit=supervised.name, **about)
                )

    def _spawn(self, supervised: Supervised) -> None:
        supervised.log.begin()
        if supervised.origin.is_loading:
            supervised.is_waiting = True
        else:
            self._begin(supervised)

    def _loaded(self, supervised: Supervised) -> None:
        if supervised.origin.template_pid is None:
            self._starvation.forget()  # if the kernel killed that process, nobody shall be told it was another
        if supervised.is_waiting:
            self._begin(supervised)

    def _begin(self, supervised: Supervised) -> None:
        supervised.is_waiting = False
        assert supervised.command is not None
        made = supervised.command
        if supervised.frugal:
            made = replace(made, argv=(*made.argv, *supervised.plan.frugal))
        if supervised.was_ready:
            made = replace(made, argv=tuple(each for each in made.argv if each not in supervised.plan.once))
        try:
            process = self._made(supervised, made)
        except OSError as error:
            self.tell(supervised, ev.Exited(Exit(error=error.strerror or str(error))))
            return
        supervised.allowance = Allowance()
        self._watch(supervised, process)
        self.tell(supervised, ev.Spawned(process.pid))

    def _made(self, supervised: Supervised, made: Command) -> Process:
        """A process of the unit, with the callers that wait for one. Raises OSError."""
        with ExitStack() as closing:

            def hand(name: str, end: socket.socket) -> Command:
                with end:
                    more = handing(made, name, end.fileno())
                closing.callback(os.close, more.fds[-1][1])
                return more

            if not self._outlived:
                # No pipe: its reader could open the other end for himself (/proc/self/fd), and never hear its end.
                theirs, ours = socket.socketpair()
                closing.enter_context(ours)
                made = hand("lifeline", theirs)
            if supervised.callers:
                made = hand(CALLERS, supervised.callers.channel())
            # Noted at once: were we killed before that, the next supervisor would take it for a stranger's.
            process = supervised.origin.make(made, partial(self._remember, supervised.name))
            supervised.lifeline = None if self._outlived else ours.detach()
        supervised.callers.close()
        return process

    def _remember(self, name: str, pid: int | None) -> None:
        try:
            if pid is None:
                self.register.clear(name)
            else:
                self.register.put(name, pid)
        except OSError as error:
            log.warning("%s: could not note its pid: %s", name, error.strerror)

    # Events

    def _ended(self, supervised: Supervised) -> None:
        """The pidfd is readable. What the process said and wrote before its end comes first."""
        process = supervised.process
        assert process is not None
        self._hear()
        pidfd = process.pidfd
        ended = process.reap()
        if ended is None:
            return
        self._loop.remove_reader(pidfd)
        process.close()
        supervised.pump.finish()
        supervised.process = None
        supervised.let_go()
        supervised.last_words, said = supervised.log.last_words(_LAST_WORDS)
        self.tell(supervised, ev.Exited(replace(ended, said=said, starved=self._was_starved(supervised, ended))))
        if supervised.process is None:
            self._remember(supervised.name, None)

    def _was_starved(self, supervised: Supervised, ended: Exit) -> bool:
        """Whether it was the kernel that killed it, for want of memory."""
        by_us = supervised.unit.state is State.KILLING
        return ended.signal == signal.SIGKILL and not by_us and self._starvation.explains_a_kill()

    def _hear(self) -> None:
        """Messages on NOTIFY_SOCKET: each counts for the unit whose process sent it, and nobody else's does."""
        for message in self._notify.receive():
            supervised = self._unit_of(message.pid)
            within = supervised is not None and supervised.allowance.take(self._loop.time())
            if supervised is not None and within and stored_name(message.text) == CALLER:
                supervised.callers.keep(message.descriptors)
                continue
            for descriptor in message.descriptors:  # BARRIER=1 waits for just that; else FDSTORE=1 brings what we have
                os.close(descriptor)
            if supervised is None:
                self.refused += 1
                if self.refused <= _REFUSALS_LOGGED:
                    log.warning("refused a notification from pid %d, which is no unit's process", message.pid)
                continue
            for event in parse(message.text) if within else (ev.Flooded(),):
                self.tell(supervised, event)

    def _unit_of(self, pid: int) -> Supervised | None:
        for supervised in self.units.values():
            if supervised.process is not None and supervised.process.pid == pid:
                return supervised
        return None

    # Timers

    def _arm(self, supervised: Supervised) -> None:
        """One timer a unit. A deadline that moved away leaves it: it then finds that it came early."""
        due = supervised.unit.next_deadline
        timer = supervised.timer
        if due is None:
            if timer is not None:
                timer.cancel()
                supervised.timer = None
        elif timer is None or timer.when() > due:
            if timer is not None:
                timer.cancel()
            supervised.timer = self._loop.call_at(due, self._tick, supervised)

    def _tick(self, supervised: Supervised) -> None:
        supervised.timer = None
        due = supervised.unit.next_deadline
        late = self._loop.time() - due if due is not None else 0.0
        self.tell(supervised, ev.Tick(held_up=late if late > _HELD_UP else 0.0))
