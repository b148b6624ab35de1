"""One preloaded process of a unit's program, from which the unit's own are forked (``service/template.py``).

How it is made, asked and ended belongs here; when is ``manager.py``'s. Its state is told by its socket and its pidfd:
nothing here waits longer than `_PATIENCE`.
"""

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence

from bitcoind_mp.service.template import CONTROL, READY, Order

from .process import Command, Process, command, release

log = logging.getLogger("bitcoind_mp.supervisor")
#: Seconds that a template has to fork. It takes 5 ms; one that is stopped or swapped out must not hold us up.
_PATIENCE = 1.0
_LARGEST_REPLY = 64
#: prctl(2)
_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> None:
    """Have what our descendants leave behind become our children: forks of templates do. `reap_strays` is then due."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def reap_strays(ours: Callable[[int], bool]) -> None:
    """Take leave of children that ended and that nobody waits for: what a worker had started and left behind."""
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or ours(found.si_pid):
            return
        os.waitpid(found.si_pid, 0)


class Template:
    """From its start to `close`. ``told`` is called, in the loop, when it is ready and when it has ended by itself."""

    def __init__(
        self, module: str, arguments: Sequence[str], environ: Mapping[str, str], output: int, told: Callable[[], None]
    ) -> None:
        self.module = module
        self.is_ready = False
        self.has_ended = False
        self._told = told
        self._loop = asyncio.get_running_loop()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        argv = (sys.executable, "-P", "-m", "bitcoind_mp.service.template", module, *arguments)
        made = command(argv, environ, fds=[(CONTROL, theirs.fileno())], output=output, notify="", watchdog=0)
        try:
            self._process = Process.spawn(made)
        except OSError:
            self._control.close()
            raise
        finally:
            release(made)
            theirs.close()
        self._control.settimeout(_PATIENCE)
        self._loop.add_reader(self._control, self._hear)

    @property
    def pid(self) -> int:
        return self._process.pid

    def fork(self, what: Command, known: Callable[[int], None]) -> Process:
        """A new process of the unit, a child of ours. ``known`` is told its pid before it begins.

        Raises:
            OSError: none could be made, TimeoutError among it: this template is then of no use any more.
        """
        waiting, go = os.pipe2(os.O_CLOEXEC)
        try:
            Order(what.argv, what.environment).send(
                self._control, (what.output, waiting, *(descriptor for _, descriptor in what.fds))
            )
            pid = int(self._control.recv(_LARGEST_REPLY) or b"-1")
            if pid <= 0:
                raise OSError("the preloaded process could not fork")
            process = Process.of_child(pid)
            known(pid)
            os.write(go, b"1")  # only now, when we know it: one that came too late for us ends by itself
            return process
        finally:
            os.close(waiting)
            os.close(go)

    def close(self) -> None:
        """End it, if it hasn't, and forget it. Its forks live on."""
        if not self.has_ended:
            self._process.send(signal.SIGKILL)
            self._forget()

    def _hear(self) -> None:
        """It is ready; or it is gone, and its end of the socket with it."""
        try:
            self.is_ready = self._control.recv(_LARGEST_REPLY) == READY
        except OSError:
            self.is_ready = False
        self._loop.remove_reader(self._control)
        if self.is_ready:
            self._loop.add_reader(self._process.pidfd, self._ended)
        else:
            self._forget()
        self._told()

    def _ended(self) -> None:
        self._forget()
        self._told()

    def _forget(self) -> None:
        self.has_ended, self.is_ready = True, False
        self._loop.remove_reader(self._control)
        self._loop.remove_reader(self._process.pidfd)
        self._control.close()
        self._process.kill_group()
        self._process.wait()
        self._process.close()
