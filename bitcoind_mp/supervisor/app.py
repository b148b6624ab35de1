"""Puts the supervisor together: lock, sockets, units, commands; the order of coming up and of going down.

What belongs here: which part is made when, and what it is given. What each part does is in its own file.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bitcoind_mp import __version__
from bitcoind_mp.config import Config
from bitcoind_mp.config.invocation import command_line
from bitcoind_mp.interfaces.errors import ExitStatus, FatalError
from bitcoind_mp.interfaces.init import Hello
from bitcoind_mp.interfaces.journal import Event, event
from bitcoind_mp.ipc.declared import manifest
from bitcoind_mp.ipc.events import Publisher
from bitcoind_mp.ipc.limits import MAX_FROM_WORKER
from bitcoind_mp.ipc.proxy import on_disconnect
from bitcoind_mp.ipc.serve.door import Door
from bitcoind_mp.ipc.serve.server import Server
from bitcoind_mp.ipc.wire.credentials import own_user
from bitcoind_mp.ipc.wire.passing import take_from
from bitcoind_mp.ipc.wire.unix import bind_listener, is_answered
from bitcoind_mp.service import lock, notify
from bitcoind_mp.service import logging as service_logging
from bitcoind_mp.service.activation import inherit
from bitcoind_mp.service.corelock import require_no_core
from bitcoind_mp.service.journal import Entries, JournalSocket

from . import plan
from .announce import Announcer
from .arrival import Arrival
from .callers import Callers
from .checks.files import ConfigurationFiles, Trial
from .checks.health import HealthMonitor
from .control import ControlCommands
from .doorman import Doorman
from .handover import Handover
from .manager import Manager, log
from .output.logbook import Logbook
from .output.ownlog import OwnLog
from .outward.outward import EventCommands, Outward
from .outward.scrape import Scraping, listen
from .parts import SharedCommands
from .places import Given, Listeners, prepare, roles, tables_of, write_pid
from .processes import adoption
from .processes.asking import Questions
from .processes.notify import NotifySocket
from .processes.orphans import Orphan, Register, boot_id, find
from .processes.private import Private, adoptable, made
from .processes.process import Foundling
from .processes.template import become_subreaper, reap_strays
from .reload import Reload, Reloads
from .report import WallClock
from .streams import LogStreams, UnitTopic
from .supervised import Supervised
from .units import events as ev
from .units.states import SERVING
from .units.unit import Unit
from .upgrade import Upgrade, become, hold_back, let_through
from .upkeep import upkeep_of
from .upward import Upward
from .wallet_units import WalletUnits, sweep

Plans = Callable[[Config], list[plan.Plan]]


@dataclass(frozen=True)
class Start:
    """What a supervisor is started with: ``reread`` reads the configuration anew (SIGHUP), ``plans`` makes the
    units of one, ``announcer`` tells whoever waits for the start; ``handed`` is what the program before us in this
    process gave, None where there was none."""

    environ: Mapping[str, str]
    announcer: Announcer
    reread: Callable[[], Config]
    plans: Plans = plan.units
    handed: Handover | None = None


class Supervisor:
    """One supervisor, from its lock to its end."""

    def __init__(self, config: Config, start: Start) -> None:
        self._config = config
        self._environ = dict(start.environ)
        self._announcer = start.announcer
        self._reread = start.reread
        self._plans = start.plans
        self._handed = start.handed
        self._loop = asyncio.get_running_loop()
        self._access = own_user(config.get_str("ipcgroup"))
        in_journal = service_logging.stderr_is_journal(start.environ)
        self._entries = Entries("bitcoind-mp", JournalSocket()) if in_journal else None
        self._logs = Logbook(config, journal=self._entries)
        self._sockets = Listeners(config, self._access.gid)
        self._asked = asyncio.Event()
        self._questions = Questions(start.environ)
        self._upgrade = Upgrade(self._questions)
        self._starter: int | None = None
        self._notify: NotifySocket
        self._door: Door
        self._adopted: dict[str, int] = {}
        self._watchdogs: dict[str, float] = {}
        self._private = Private(self._handed.private if self._handed is not None else {})
        self._since = self._handed.since if self._handed is not None else self._loop.time()
        self._reload_wanted = asyncio.Event()
        self._failure: FatalError | None = None
        self._arrival = Arrival(
            start.announcer,
            # Somebody waits for us to be ready: then a unit that can't start ends us, with what it said.
            awaited="NOTIFY_SOCKET" in start.environ or config.get_bool("daemonwait"),
            at_terminal=config.get_bool("daemonwait"),
            in_foreground=not config.get_bool("daemon"),
            give_up=self._give_up,
        )
        self._arrival.is_over = self._handed is not None

    async def run(self) -> None:
        """Come up, stay until asked to stop, go down. Raises FatalError for what kept it from starting."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self.shut_down)
        # Where nothing handles it, it kills: a reload may be asked for at any moment.
        self._loop.add_signal_handler(signal.SIGHUP, self._reload_wanted.set)
        if self._config.get_bool("daemonwait"):  # whoever doesn't wait has the units held until it has ended
            require_no_core(self._config.network_dir)
        prepare(self._config)
        held = self._hold()
        try:
            self._open_log()
            interval = notify.watchdog_interval(self._environ, pid=os.getpid())
            upward = Upward(notify.from_environment(self._environ), watchdog=interval)
            try:
                upward.busy()
                await self._run_alone(upward, held)
            finally:
                upward.close()
                self._logs.close()
        finally:
            held.release()
        if self._failure is not None:
            raise self._failure

    def shut_down(self) -> None:
        """Begin the end of everything; returns at once."""
        self._upgrade.is_due = False
        self._asked.set()

    async def _ask_for_upgrade(self, manager: Manager) -> str:
        """The version of the new program, which takes over as soon as that is answered, and answers who comes then."""
        version = await self._upgrade.ask(manager)
        if not self._asked.is_set():
            self._upgrade.listeners, self._upgrade.bound = self._sockets.hand_over()
            await self._door.close()
            self._upgrade.is_due = True
            self._asked.set()
        return version

    def _hold(self) -> lock.DirectoryLock:
        """The lock that says which supervisor of the data directory we are."""
        path = self._config.network_dir / "supervisor.lock"
        if self._handed is not None:
            return lock.DirectoryLock(path, self._handed.lock)
        return lock.acquire(path, program="bitcoind-mp")

    def _starter_gone(self, lifeline: int) -> None:
        """Whoever started us for itself (a shell) holds the other end and writes nothing: it has ended."""
        self._loop.remove_reader(lifeline)
        log.info("whoever started this supervisor has ended")
        self.shut_down()

    async def _run_alone(self, upward: Upward, held: lock.DirectoryLock) -> None:
        """We have the lock: no other supervisor is on this data directory. Workers of one before us may be."""
        pid_file = self._config.pid_file
        try:
            given = inherit(self._environ, pid=os.getpid())
            self._starter = given.lifeline if self._handed is None else self._handed.starter
            if self._starter is not None:
                self._loop.add_reader(self._starter, self._starter_gone, self._starter)
            if self._handed is not None:
                self._notify = NotifySocket.taken(*self._handed.notify)
                self._sockets.take_over(self._handed.listeners, self._handed.bound)
                orphans = []
            else:
                self._notify = NotifySocket(self._config.run_dir)
                orphans = await self._find_orphans(given.socket)
                if pid_file is not None:
                    write_pid(pid_file)
            await self._supervise(upward, orphans, held)
        finally:
            if pid_file is not None:
                with contextlib.suppress(OSError):
                    pid_file.unlink()
            self._sockets.close()
            self._private.close()

    async def _find_orphans(self, given: Given) -> list[Orphan]:
        """The workers that an earlier supervisor left; and every listening socket, theirs among them where they are
        to be taken over."""
        orphans = list(find(self._config.run_dir / "units", self._config.network_dir, boot_id(self._environ)))
        if self._config.get_bool("adopt"):
            left = await adoption.listeners(self._notify, orphans, self._config.network_dir)
            wanted = plan.channels(self._config)
            self._watchdogs = left.watchdogs
            self._adopted, self._private = adoptable(left.listeners, left.ends, wanted=wanted)
        sweep(self._config.run_dir, is_answered, {orphan.unit for orphan in orphans})
        going = {orphan.unit for orphan in orphans if orphan.unit not in self._adopted}
        self._sockets.open(bind_listener, given, going, self._adopted)
        for name in self._adopted.keys() - set(roles(self._config)):
            self._sockets.adopt(name, self._adopted[name])
        return orphans

    async def _supervise(self, upward: Upward, orphans: list[Orphan], held: lock.DirectoryLock) -> None:
        """The units' whole life."""
        self._private = made(self._private, wanted=plan.channels(self._config))
        manager = self._make_manager(orphans)
        hello = Hello.ours("supervisor", self._config.chain)
        paths = {name: self._config.socket_path(name) for name in manager.units}
        trial = Trial(self._plans, self._questions, self._config)
        health = HealthMonitor(
            *(manager, paths, plan.health(self._config)),
            hello=hello,
            disk=self._config.network_dir,
            files=ConfigurationFiles(self._config, self._reread, trial),
        )
        publisher, streams = Publisher(["unit"]), LogStreams(manager, self._own_log, on_disconnect)
        doorman = Doorman(command_line(self._config), self._private, take_from, lambda: manager.stopping)
        outward = Outward(
            *(self._config, manager, health),
            environ=self._environ,
            hello=hello,
            paths=paths,
            on_disconnect=on_disconnect,
        )
        tables = {name: path.with_suffix(".json") for name, path in paths.items()}
        upkeep = upkeep_of(
            self._config, self._sockets.bound, manager.units, partial(manifest.read, wait=False), manifest.write
        )
        self._wallets = WalletUnits(
            manager, self._config, self._sockets, self._logs,
            bind=bind_listener, doorman=doorman, learners=(health, outward, upkeep), tables=tables,
        )  # fmt: skip

        def apply(config: Config) -> None:
            """Have that one for everything's next start, and what can be changed at once."""
            for each in self._plans(config):
                if each.name in manager.units:  # a signer that wasn't asked for before takes a restart
                    manager.configure(each)
            self._wallets.configure(config)
            health.configure(plan.health(config))
            self._logs.configure(config)
            outward.configure(config)

        reload = Reload(self._config, self._reread, trial, apply)
        reloads = Reloads(reload, manager, self._logs, upward, self._arrival)
        server = self._make_server(manager, health, publisher, streams, hello, tables, reload)
        server.add(outward.followers, EventCommands(outward))
        doors = contextlib.AsyncExitStack()
        doors.push_async_callback(self._close_server, server)
        keeper = None
        if plan.wallets_apart(self._config):
            keeper = Server([self._wallets], hello=hello, access=self._access, limit=MAX_FROM_WORKER, batches=False)
            doors.push_async_callback(keeper.close)
        self._door = Door(self._sockets["supervisor"], Callers(manager.whose, server, keeper).chosen)
        doors.push_async_callback(self._door.close)
        doors.callback(publisher.close)
        doors.push_async_callback(health.close)
        doors.push_async_callback(streams.close)
        doors.callback(doorman.close)
        health.on_round(upkeep.look)
        health.on_round(manager.register.look)
        doors.callback(upkeep.close)
        doors.push_async_callback(outward.close)

        def reap() -> None:
            """Take leave of the children that nobody here waits for."""
            reap_strays(lambda pid: manager.owns(pid) or self._questions.owns(pid) or outward.owns(pid))

        def changed(supervised: Supervised, before: Unit) -> None:
            doorman.watch(supervised, self._sockets[supervised.name])
            upward.units(manager.units)
            if self._arrival.look(manager.units.values()):
                upward.ready()
                outward.ready()
                self._announcer.ready()
            reap()
            if supervised.unit.state in SERVING and before.state not in SERVING:
                upkeep.look()

        manager.on_change(changed)
        become_subreaper()
        self._loop.add_signal_handler(signal.SIGCHLD, reap)
        outward.on_reaped(reap)
        try:
            await self._expose(doors, manager, health, outward)
            self._door.open()
            for path, table in tables_of(self._config, server.manifest()).items():
                try:
                    manifest.write(path, table)
                except OSError as error:
                    if self._handed is None:
                        raise
                    # An upgrade on a full disk: the units run, and callers have the table of the program before.
                    log.error("%s can't be written, and stays as it was: %s", path, error.strerror)
            let_through()
            if self._handed is None:
                self._wallets.come_up(orphans, self._adopted)
                self._adopt(manager, orphans)
                self._start_units(manager, doorman)
            else:
                self._resume(manager, doorman, upward)
                for descriptor in self._handed.callers:
                    self._door.admit(socket.socket(fileno=descriptor))
            self._loop.add_signal_handler(signal.SIGHUP, reloads.begin)
            if self._reload_wanted.is_set():
                reloads.begin()
            health.start()
            outward.start()
            self._announcer.started()
            await self._asked.wait()
        finally:
            self._arrival.is_given_up = True
            await self._upgrade.close()  # else it would go on to restart what stops
            await reloads.close()
            if self._upgrade.is_due:
                await self._hand_over(manager, upward, doors, held)
            self._loop.add_signal_handler(signal.SIGHUP, self._logs.reopen)
            upward.stopping()
            log.info("stopping")
            await outward.shutting_down()
            await manager.stop(plan.STOP_ORDER)
            self._wallets.end()
            await doors.aclose()
            manager.close()
            log.info("stopped", extra=event(Event.SUPERVISOR_STOPPED))

    async def _expose(
        self, doors: contextlib.AsyncExitStack, manager: Manager, health: HealthMonitor, outward: Outward
    ) -> None:
        """Answer Prometheus where -metrics says. Its library is loaded for that alone."""
        address = self._config.get_str("metrics")
        if not address:
            return
        from .outward.metrics import About, Metrics

        base = self._config.network_dir
        metrics = Metrics(About(__version__, self._config.chain, self._since, base), manager, health, outward)
        try:
            scraping = Scraping(*listen(address, base, bind_listener, self._access.gid), metrics.text)
        except FatalError as error:
            if self._handed is None:
                raise
            log.error("%s", error)  # the units run, and are worth more
            return
        doors.callback(scraping.close)
        await scraping.start()

    async def _close_server(self, server: Server) -> None:
        """Answer no more; whoever calls a program that is to be another's is to go on with that."""
        await server.close(keep=self._upgrade.callers.extend if self._upgrade.is_due else None)

    async def _hand_over(
        self, manager: Manager, upward: Upward, doors: contextlib.AsyncExitStack, held: lock.DirectoryLock
    ) -> None:
        """Become the new program. Returns only where that fails, or a stop was asked for: then everything stops."""
        hold_back()  # a signal that comes from now on is the new program's
        await doors.aclose()  # whoever asked has the answer; whoever comes now waits in the queue
        if not self._upgrade.is_due:
            let_through()
            return
        log.info("executing the program anew", extra=event(Event.SUPERVISOR_UPGRADING))
        upward.reloading()
        handover = self._upgrade.handover(
            manager, lock=held.descriptor, starter=self._starter, since=self._since, private=dict(self._private.ends)
        )
        become(handover, os.environ)
        self._failure = FatalError("The new program could not be executed.", status=ExitStatus.OS_ERROR)

    # Coming up

    def _make_manager(self, orphans: list[Orphan]) -> Manager:
        run_dir = self._config.run_dir
        plans = self._plans(self._config)
        names, handed = [each.name for each in plans], self._handed
        if handed is not None:
            orphans = [Orphan(name, unit.pid, -1) for name, unit in handed.units.items() if unit.pid is not None]
        manager = Manager(
            self._notify,
            Register(
                run_dir / "units",
                list(dict.fromkeys([*names, *(each.unit for each in orphans)])),
                orphans,
                boot=boot_id(self._environ),
            ),
            run_dir,
            environ=self._environ,
            journal=self._logs.journal,
            outlived=self._config.get_bool("adopt"),
            private=self._private,
        )
        for each in plans:
            output, listener = self._logs.open(each.name), self._sockets[each.name].fileno()
            if handed is not None and each.name in handed.units:
                manager.take_over(each, output, listener, handed.units[each.name])
            else:
                manager.add(each, output, listener)
        return manager

    def _make_server(
        self,
        manager: Manager,
        health: HealthMonitor,
        publisher: Publisher,
        streams: LogStreams,
        hello: Hello,
        tables: dict[str, Path],
        reload: Reload,
    ) -> Server:
        clock = WallClock(self._loop.time())
        UnitTopic(manager, health, publisher, clock).publish()
        about = {
            "pid": hello.pid,
            "version": hello.version,
            "chain": hello.chain,
            "datadir": str(self._config.datadir),
            "log_file": None if self._logs.journal else str(self._config.log_dir / "supervisor.log"),
        }
        server = Server([], hello=hello, access=self._access)
        control = ControlCommands(
            manager,
            health,
            clock,
            about=about,
            since=self._since,
            shut_down=self.shut_down,
            stopping=lambda: self._asked.is_set() and not self._upgrade.is_due,
            upgrade=lambda: self._ask_for_upgrade(manager),
            upgraded=self._upgrade.outcome,
            configure=reload.if_changed,
            own_log=self._own_log,
        )
        server.add(control, publisher, streams, self._wallets)
        server.add(SharedCommands(lambda: server.methods, health.connected, tables))
        return server

    def _adopt(self, manager: Manager, orphans: list[Orphan]) -> None:
        """Workers that a killed supervisor left: those that handed over their sockets stay. The others are on their way
        out; what they start on is theirs until then."""
        for orphan in orphans:
            if orphan.unit in manager.units and orphan.unit in self._adopted:
                process = Foundling(orphan.pid, orphan.pidfd)
                manager.own(manager.units[orphan.unit], process, self._watchdogs.get(orphan.unit))
            elif orphan.unit in manager.units:
                manager.adopt(manager.units[orphan.unit], Foundling(orphan.pid, orphan.pidfd))
                self._announcer.progress(
                    f"Waiting for the {orphan.unit} that an earlier supervisor left (pid {orphan.pid}) to stop."
                )

    def _resume(self, manager: Manager, doorman: Doorman, upward: Upward) -> None:
        """The units are as they were; they are to have the new program too."""
        assert self._handed is not None
        self._wallets.take_over(self._handed)
        for supervised in manager.units.values():
            doorman.watch(supervised, self._sockets[supervised.name])
        manager.resume()
        upward.units(manager.units)
        self._upgrade.roll(manager, tuple(reversed(plan.STOP_ORDER)), upward.ready)

    def _start_units(self, manager: Manager, doorman: Doorman) -> None:
        for supervised in manager.units.values():
            if supervised.plan.enabled:
                manager.tell(supervised, ev.StartRequested())
            else:
                doorman.watch(supervised, self._sockets[supervised.name])

    def _give_up(self, why: FatalError) -> None:
        self._failure = self._failure or why
        self.shut_down()

    def _open_log(self) -> None:
        """Our own log; which categories it has is set as for the workers."""
        try:
            debug, exclude = self._config.get_list("debug"), self._config.get_list("debugexclude")
            service_logging.setup(console=False, debug=debug, exclude=exclude)
        except ValueError as error:
            raise FatalError(str(error), status=ExitStatus.CONFIG) from None
        self._own_log = self._logs.open("supervisor", forward=self._entries is None)
        formatter = service_logging.LineFormatter(with_time=self._entries is None)
        logging.getLogger().addHandler(OwnLog(self._own_log, formatter))
        if self._entries is not None:
            logging.getLogger().addHandler(service_logging.JournalHandler(self._entries, "supervisor", "supervisor: "))
        service_logging.drain_in(self._loop)
        started = f"bitcoind-mp {__version__} on chain {self._config.chain}, data directory {self._config.datadir}"
        log.info("%s", started, extra=event(Event.SUPERVISOR_STARTED))
