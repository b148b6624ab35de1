"""What the supervisor tells the operator: puts the notice board together with what feeds it and what looks at it.

What the service manager is told is ``upward.py``'s. What belongs here: which part is made when, when a unit's change is
a notice, and the commands at the start and the end.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from bitcoind_mp.config import Config
from bitcoind_mp.interfaces.command import command
from bitcoind_mp.interfaces.init import Hello
from bitcoind_mp.interfaces.notices import KINDS, TRANSACTION, UNIT
from bitcoind_mp.supervisor.checks.health import HealthMonitor
from bitcoind_mp.supervisor.following import OnDisconnect
from bitcoind_mp.supervisor.manager import Manager
from bitcoind_mp.supervisor.supervised import Supervised
from bitcoind_mp.supervisor.units.states import WAITING, State
from bitcoind_mp.supervisor.units.unit import Unit

from .alarms import Alarms
from .board import Board, Followers, Notice
from .errands import Errands, Lane
from .hooks import HOOKS, Hook, configured, line, values, variables
from .sources import NodeSource, Source, WalletSource

log = logging.getLogger("bitcoind_mp.supervisor")
_STARTUP, _SHUTDOWN = "startupnotify", "shutdownnotify"
#: Seconds that commands have to end when everything else has.
_LAST = 5.0
#: Seconds that a follower waits for workers to be asked what he wants to hear: one that hangs keeps nobody.
_ASKING = 2.0
#: -shutdownnotify may be given often; Core runs them all at once.
_AT_ONCE = 4


class Outward:
    """One supervisor's. ``paths`` are the workers' sockets by unit; ``reaped`` is called after a command has ended."""

    def __init__(
        self,
        config: Config,
        manager: Manager,
        health: HealthMonitor,
        *,
        environ: Mapping[str, str],
        hello: Hello,
        paths: Mapping[str, Path],
        on_disconnect: OnDisconnect,
    ) -> None:
        self.board = Board()
        self.followers = Followers(self.board, on_disconnect, self._wanted)
        self.alarms = Alarms(manager, health, self.board)
        self._config = config
        self._manager = manager
        self._hello = hello
        self._paths = dict(paths)
        self._errands = Errands(environ, config.get_seconds("notifytimeout"))
        self._commands = configured(config)
        self._lanes: dict[str, Lane] = {
            hook.option: Lane(hook.option, hook.at_once, self._errands, loses=hook.loses) for hook in HOOKS
        }
        self._lanes |= {name: Lane(name, _AT_ONCE, self._errands) for name in (_STARTUP, _SHUTDOWN)}
        self._sources: dict[str, Source] = {}
        self._followed: set[str] = set()
        self._is_hearing = False
        """Whether somebody has wanted to hear of transactions: what wallets that are loaded from then on did is not
        old."""
        self._closing: set[asyncio.Task[None]] = set()
        self.board.listen(self._posted)
        manager.on_change(self._changed)
        health.on_check(self.alarms.look)

    def on_reaped(self, reaped: Callable[[], None]) -> None:
        """Call back after each end of a command."""
        self._errands.reaped = reaped

    @property
    def lanes(self) -> Collection[Lane]:
        """What became of each option's commands."""
        return self._lanes.values()

    def owns(self, pid: int) -> bool:
        """Whether that is a child that we wait for."""
        return self._errands.owns(pid)

    def start(self) -> None:
        """The units are there: listen to those of whom a command is to tell."""
        self._listen()
        self.alarms.look()

    def configure(self, config: Config) -> None:
        """The configuration was read again."""
        self._config = config
        self._commands = configured(config)
        self._errands.patience = config.get_seconds("notifytimeout")
        self._listen()

    def learn(self, name: str, socket: Path) -> None:
        """One more unit, which answers there."""
        self._paths[name] = socket
        self._listen()

    def forget(self, name: str) -> None:
        """That unit is no more."""
        self._paths.pop(name, None)
        source = self._sources.pop(name, None)
        if source is not None:
            task = asyncio.get_running_loop().create_task(source.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def ready(self) -> None:
        """All that was to start has."""
        text = self._config.get_str("startupnotify")
        if text:
            self._lanes[_STARTUP].add(text, {})

    async def shutting_down(self) -> None:
        """Everything is about to stop: run what is to be run before, and wait for it, as Core does."""
        ends = [self._lanes[_SHUTDOWN].add(text, {}) for text in self._config.get_list("shutdownnotify") if text]
        await asyncio.gather(*(end for end in ends if end is not None), return_exceptions=True)

    async def close(self) -> None:
        """Listen no longer, let commands end, and tell nobody any more."""
        for source in self._sources.values():
            await source.close()
        if not await self._errands.idle(_LAST):
            for lane in self._lanes.values():
                if lost := lane.clear():
                    log.warning("-%s: %d commands that waited are not run, since we end", lane.option, lost)
            await self._errands.kill()
        await self.followers.close()

    # Sources

    async def _wanted(self, kinds: Collection[str]) -> None:
        self._followed |= set(kinds)
        self._listen()
        asking = [asyncio.ensure_future(source.asked()) for source in self._sources.values()]
        if asking:
            _, slow = await asyncio.wait(asking, timeout=_ASKING)
            for each in slow:
                each.cancel()

    def _listen(self) -> None:
        """Have a source for each unit of which somebody wants to hear what only it knows."""
        hooked = {hook.kind for hook, _ in self._commands}
        wanted = self._followed | hooked
        fresh = TRANSACTION not in hooked and not self._is_hearing
        for name, supervised in self._manager.units.items():
            if name in self._sources:
                continue
            where = (self._manager, supervised, self._paths[name], self._hello)
            if name == "node":
                self._sources[name] = NodeSource(*where, board=self.board, warned=self.alarms.warned)
            elif name.partition("@")[0] == "wallet" and TRANSACTION in wanted:
                self._sources[name] = WalletSource(*where, board=self.board, fresh=fresh)
            else:
                continue
            self._sources[name].begin()
        self._is_hearing = self._is_hearing or TRANSACTION in wanted

    # Notices

    def _changed(self, supervised: Supervised, before: Unit) -> None:
        unit = supervised.unit
        if unit.state is not before.state or unit.ended is not before.ended:
            told = unit.ended is not None and (
                unit.ended is not before.ended or unit.state in WAITING or unit.state is State.FAILED
            )
            self.board.post(
                UNIT,
                unit=supervised.name,
                state=str(unit.state),
                before=str(before.state),
                pid=unit.pid,
                restarts=unit.restarts,
                cause=unit.ended.cause if told and unit.ended is not None else "",
                reason=unit.reason or (unit.ended.why if told and unit.ended is not None else ""),
            )
            self.alarms.look()

    def _posted(self, notice: Notice) -> "asyncio.Future[None] | None":
        for hook, text in self._commands:
            if hook.kind == notice["kind"] and hook.applies(notice):
                return self._run(hook, text, notice)
        return None

    def _run(self, hook: Hook, text: str, notice: Notice) -> "asyncio.Future[None] | None":
        try:
            known = values(notice)
        except ValueError as error:
            log.warning("-%s is not run: %s", hook.option, error)
            return None
        return self._lanes[hook.option].add(line(hook, text, known), variables(known))


class EventCommands:
    """What people may ask about it."""

    def __init__(self, outward: Outward) -> None:
        self._outward = outward

    @command("control")
    async def events(self) -> dict[str, Any]:
        """Tells which events there are, which alerts hold now, and what became of the commands that run on events. To
        follow events as they happen: bitcoin-mp events [-json] [KIND...], or notices.follow on the supervisor's socket.

        Returns:
            kinds: each kind of event and how many there were since the supervisor started; alerts: source and text of
            each that holds now; commands: for each option that has run any, how many it ran, how many of these failed,
            how many wait, and how many were not run since too many waited.
        """
        outward = self._outward
        return {
            "kinds": {kind: outward.board.counts[kind] for kind in KINDS},
            "alerts": outward.alarms.present,
            "commands": [
                {
                    "option": lane.option,
                    "run": lane.run_count,
                    "failed": lane.failures,
                    "waiting": lane.waiting,
                    "not_run": lane.dropped,
                }
                for lane in outward.lanes
                if lane.run_count or lane.dropped
            ],
        }
