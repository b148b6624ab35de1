"""The life of a worker process, by systemd's protocols: ready, watchdog, reload, stop, exit status.

What the worker does is its `Service`'s affair; what our supervisor does with the process is unknown here.
"""

import asyncio
import contextlib
import faulthandler
import logging
import math
import os
import resource
import select
import signal
import socket
import stat
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, MutableMapping
from typing import Any

from bitcoind_mp.interfaces.channels import CALLER, CALLERS
from bitcoind_mp.interfaces.errors import ExitStatus, FatalError, status_of_os_error
from bitcoind_mp.interfaces.obstacle import NOTIFICATION, Obstacle

from . import logging as service_logging
from .activation import Activation, inherit
from .counters import OwnCounters
from .notify import Notifier, from_environment, watchdog_interval

logger = logging.getLogger("bitcoind_mp")
#: What a process asks for.
_MOST_OPEN_FILES = 65536
#: Without so many the supervisor can't hand descriptors down, nor the node open its databases and take a caller.
_LEAST_OPEN_FILES = 128

_STDERR = 2
#: Milliseconds that a process takes to die.
_DYING = 200

#: While it comes up or goes down, a worker asks every so often for so many seconds more.
_BUSY_EVERY, BUSY_FOR = 5.0, 30.0
#: Bytes that a worker whose disk was full wants free there before it is started again.
_ROOM = 1 << 20


class Host:
    """What `run_worker` gives a service to live with."""

    def __init__(self, activation: Activation, notify: Notifier) -> None:
        self.activation = activation
        self.notify = notify
        self.counters = OwnCounters()
        self.status = ExitStatus.OK
        self.failure: BaseException | None = None
        self.stopping = asyncio.Event()
        self._left: list[socket.socket] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    def request_stop(self, reason: str, status: ExitStatus = ExitStatus.OK) -> None:
        """Stop in order, as at SIGTERM; returns at once. The first call's reason and status count."""
        if not self.stopping.is_set():
            logger.log(logging.ERROR if status else logging.INFO, "Stopping: %s", reason)
            self.status = status
            self.stopping.set()

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
        """Run a task on which the service depends: if it raises, the process stops in order, and exits with a
        FatalError's status or EX_SOFTWARE. Cancelled when the service has stopped."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def stay_alive(self, may_take: Callable[[], float] = lambda: math.inf) -> None:
        """Ask the manager for time until cancelled; no more than what is under way ``may_take``, in seconds."""
        while True:
            left = may_take()
            if left > 0:
                self.notify.extend_timeout(min(BUSY_FOR, left + _BUSY_EVERY))
            await asyncio.sleep(_BUSY_EVERY)

    def callers(self) -> list[socket.socket]:
        """The channel with the connections that the process before us left for us to go on with, once."""
        return self.activation.sockets.pop(CALLERS, [])

    def leave_callers(self, connections: list[socket.socket]) -> None:
        """Have the manager keep these for the next process; they end with this one where it doesn't."""
        self._left += connections  # open until it has them
        self.notify.store(CALLER, *(each.fileno() for each in connections))

    def fail(self, error: BaseException, what: str) -> None:
        """Stop because of an error that the service can't live with. It is logged, and not buried under a line more."""
        if self.failure is None:
            self.failure = error
            report(error, what)
            if (obstacle := obstacle_of(error)) is not None:
                self.notify.send(f"{NOTIFICATION}={obstacle}")
        self.stopping.set()
        self.status = self.status or status_of(error)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error, task.get_name())

    async def cancel_tasks(self) -> None:
        """Cancel what was spawned and wait for it."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


class Service(ABC):
    """What one worker does."""

    @abstractmethod
    async def start(self, host: Host) -> None:
        """Come up; READY=1 is sent when this returns. May serve callers (health, warm-up) before it returns.
        FatalError ends the process with its status. Cancelled when the process is told to stop meanwhile."""

    @abstractmethod
    async def stop(self) -> None:
        """Go down in order. Also called after a `start` that was interrupted or failed."""

    async def reload(self) -> None:  # noqa: B027 (a service need not have anything to reload)
        """SIGHUP."""

    def ready_status(self) -> str:
        """The line that READY=1 comes with."""
        return "Ready"


def run_worker(service: Service, *, name: str, environ: MutableMapping[str, str]) -> int:
    """Run until stopped; the exit status, for ``__main__`` to exit with. Call it on the main thread.

    SIGTERM and SIGINT stop; SIGHUP reloads, and gives the manager the inherited sockets to keep, and says how
    often WATCHDOG=1 comes; the lifeline's end of
    file stops; SIGABRT prints every thread's stack to stderr and dies. WATCHDOG=1 is sent by the serving loop alone, at
    half of WATCHDOG_USEC.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):  # a stderr without a descriptor
        faulthandler.enable(all_threads=True)
    pid = os.getpid()
    activation = inherit(environ, pid=pid)
    notify = from_environment(environ)
    watchdog = watchdog_interval(environ, pid=pid)
    try:
        raise_open_files()
        return int(asyncio.run(_live(service, name, Host(activation, notify), watchdog)))
    except Exception as error:  # noqa: BLE001 (reported with its traceback)
        report(error, name)
        return int(status_of(error))
    finally:
        notify.close()


async def _live(service: Service, name: str, host: Host, watchdog: float) -> ExitStatus:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_loop_error)
    service_logging.drain_in(loop)
    reloads = _Reloads(service, host, watchdog)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, host.request_stop, number.name)
    loop.add_signal_handler(signal.SIGHUP, reloads.request)
    if host.activation.lifeline is not None:
        _watch_lifeline(host, host.activation.lifeline)
    _feed_watchdog(loop, host.notify, watchdog / 2)
    if await _started(service, name, host):
        host.notify.ready(service.ready_status())
        reloads.allow()
        await host.stopping.wait()
    host.notify.stopping()
    try:
        await service.stop()
    except Exception as error:  # noqa: BLE001 (reported with its traceback)
        host.fail(error, f"stopping the {name}")
    await host.cancel_tasks()
    return host.status


async def _started(service: Service, name: str, host: Host) -> bool:
    """Start; False where it failed, or was told to stop meanwhile."""
    starting = asyncio.ensure_future(service.start(host))
    stopping = asyncio.ensure_future(host.stopping.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
    if starting.cancelled():
        return False
    if (error := starting.exception()) is not None:
        host.fail(error, name)
        return False
    return not host.stopping.is_set()


def _feed_watchdog(loop: asyncio.AbstractEventLoop, notify: Notifier, interval: float) -> None:
    if interval > 0 and notify.connected:
        notify.watchdog()
        loop.call_later(interval, _feed_watchdog, loop, notify, interval)


def _watch_lifeline(host: Host, descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    os.set_blocking(descriptor, False)

    def readable() -> None:
        try:
            data = os.read(descriptor, 4096)
        except BlockingIOError:
            return
        if not data:
            loop.remove_reader(descriptor)
            _wait_until_unread(_STDERR)
            host.request_stop("the supervisor is gone")

    loop.add_reader(descriptor, readable)


def _wait_until_unread(output: int) -> None:
    """The supervisor is dying, and its descriptors are closed one after the other: what is written into the pipe before
    that one's turn, nobody reads. A moment, at most: it may live, and only the lifeline be cut."""
    if stat.S_ISFIFO(os.fstat(output).st_mode):
        reader = select.poll()
        reader.register(output, 0)
        reader.poll(_DYING)


class _Reloads:
    """SIGHUP: one reload at a time, and none before the service is up; those that come meanwhile make one more."""

    def __init__(self, service: Service, host: Host, watchdog: float) -> None:
        self._service = service
        self._host = host
        self._watchdog = watchdog
        self._wanted = False
        self._busy = True

    def request(self) -> None:
        self._wanted = True
        if not self._busy:
            self._begin()

    def allow(self) -> None:
        self._busy = False
        if self._wanted:
            self._begin()

    def _begin(self) -> None:
        self._wanted, self._busy = False, True
        self._host.notify.reloading(time.monotonic_ns() // 1000)
        task = asyncio.get_running_loop().create_task(self._service.reload(), name="reload")
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            report(error, "reload")
        self._host.notify.send(f"WATCHDOG_USEC={round(self._watchdog * 1_000_000)}")
        for name, sockets in reversed(self._host.activation.sockets.items()):  # its own last: then all are there
            self._host.notify.store(name, sockets[0].fileno())
        self._host.notify.ready(self._service.ready_status())
        self.allow()


def _log_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    logger.error("%s", context.get("message", "an error in the event loop"), exc_info=error)


def status_of(error: BaseException) -> ExitStatus:
    """The exit status that an error ends the process with."""
    if isinstance(error, FatalError):
        return error.status
    if isinstance(error, MemoryError):
        return ExitStatus.OUT_OF_MEMORY
    return status_of_os_error(error) if isinstance(error, OSError) else ExitStatus.SOFTWARE


def obstacle_of(error: BaseException) -> Obstacle | None:
    """What must be gone before another start can do better, None where that isn't known."""
    if isinstance(error, FatalError):
        return error.obstacle
    if isinstance(error, OSError) and error.filename and status_of_os_error(error) is ExitStatus.DISK_FULL:
        return Obstacle("disk", os.path.dirname(os.path.abspath(os.fsdecode(error.filename))), _ROOM)  # noqa: PTH100, PTH120
    return None


def report(error: BaseException, what: str) -> None:
    """Log what ended the process: one line for a FatalError and a full disk, the traceback too for what shouldn't have
    happened. Where nothing is set up to log, or nowhere to, stderr gets it."""
    if all(isinstance(handler, logging.NullHandler) for handler in logging.getLogger().handlers):
        last = logging.StreamHandler(sys.stderr)
        last.setLevel(logging.ERROR)
        last.setFormatter(logging.Formatter("Error: %(message)s"))
        logging.getLogger().addHandler(last)
    if isinstance(error, FatalError):
        logger.error("%s", error)
    elif isinstance(error, OSError) and error.strerror:
        words = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
        unexpected = status_of_os_error(error) is not ExitStatus.DISK_FULL
        logger.error("%s failed: %s", what, words, exc_info=error if unexpected else None)
    else:
        logger.error("%s failed: %s", what, type(error).__name__, exc_info=error)


def raise_open_files() -> None:
    """Lift the limit on open files to what may be had: a thousand idle callers must not starve the rest.

    Raises:
        FatalError: CONFIG, it may not be lifted far enough to work at all.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_OPEN_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted >= _LEAST_OPEN_FILES:
        return
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    available, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if available < _LEAST_OPEN_FILES:
        raise FatalError(
            f"Not enough file descriptors available. {available} available, {_LEAST_OPEN_FILES} required.",
            hint="Raise the limit (ulimit -Hn, LimitNOFILE=).",
            status=ExitStatus.CONFIG,
        )
