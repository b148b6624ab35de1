"""Workers that are forked from a process that has imported their programs, as supervisors do it.

For tests that start one again and again, to which importing, most of a start, is of no matter. `launch` executes a
command line, `fork` does the same by the forking process: one for all tests of a process, made at the first call.

Run as a program it is that process. Each line of its standard input is an `Order`; it answers with the new process's
pid, and each time one ended with its pid and exit status.
"""

import atexit
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

MODULES = ("bitcoind_mp.node", "bitcoind_mp.wallet", "bitcoind_mp.signer")


@dataclass(frozen=True)
class Order:
    """A process: Python's options, that is a script or ``-m`` and a module, and what follows; what it inherits; the
    file that its output is added to."""

    argv: list[str]
    environment: dict[str, str]
    directory: str
    log: str


def launch(command: list[str], environment: dict[str, str], directory: Path, log: Path) -> "subprocess.Popen[bytes]":
    """Execute it, in a session of its own."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def fork(command: list[str], environment: dict[str, str], directory: Path, log: Path) -> "Forked":
    """The same of a command that is a Python's."""
    assert command[0] == sys.executable, command
    return _forking().fork(Order(command[1:], environment, str(directory), str(log)))


Launched: TypeAlias = "subprocess.Popen[bytes] | Forked"
Launch = Callable[[list[str], dict[str, str], Path, Path], Launched]


@functools.cache
def _forking() -> "_Forking":
    made = _Forking()
    atexit.register(made.close)
    return made


class _Forking:
    """The process that forks."""

    def __init__(self) -> None:
        root = Path(__file__).resolve().parents[1]
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root
        )
        assert self._process.stdin and self._process.stdout
        self._orders, self._answers = self._process.stdin, self._process.stdout.fileno()
        self._rest = b""
        self._ended: dict[int, int] = {}

    def fork(self, order: Order) -> "Forked":
        self._orders.write(json.dumps(asdict(order)).encode() + b"\n")
        self._orders.flush()
        while (pid := self._hear()) is None:
            pass
        return Forked(self, pid)

    def ended(self, pid: int, timeout: float) -> int | None:
        """That process's exit status, as soon as it has one."""
        end = time.monotonic() + timeout
        while pid not in self._ended and self._has_said_something(max(0.0, end - time.monotonic())):
            self._hear()
        return self._ended.pop(pid, None)

    def _has_said_something(self, timeout: float) -> bool:
        return b"\n" in self._rest or bool(select.select([self._answers], [], [], timeout)[0])

    def _hear(self) -> int | None:
        """Take one answer; the pid, where it is that of a new process."""
        while b"\n" not in self._rest:
            read = os.read(self._answers, 1 << 16)
            assert read, "the process that forks has ended"
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\n")
        pid, *status = map(int, line.split())
        if not status:
            return pid
        self._ended[pid] = status[0]
        return None

    def close(self) -> None:
        self._orders.close()
        self._process.wait(30)
        assert self._process.stdout
        self._process.stdout.close()


class Forked:
    """As much of `subprocess.Popen` as is needed."""

    def __init__(self, forking: _Forking, pid: int) -> None:
        self._forking = forking
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._forking.ended(self.pid, 0)
        return self.returncode

    def wait(self, timeout: float) -> int:
        if self.returncode is None:
            self.returncode = self._forking.ended(self.pid, timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _serve() -> Order | None:
    """Fork as told. Returns in each fork, with what it is to be; in the process itself None, once nobody is left."""
    gc.collect()
    gc.freeze()
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 1000)
            _tell_who_ended()
        if 0 in ready:
            order = os.read(0, 1 << 20)
            if not order:
                return None
            while not order.endswith(b"\n"):
                order += os.read(0, 1 << 20)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.close(woken)
                os.close(wake)
                return Order(**json.loads(order))
            _say(pid)


def _say(*numbers: int) -> None:
    os.write(1, " ".join(map(str, numbers)).encode() + b"\n")


def _tell_who_ended() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        _say(pid, os.waitstatus_to_exitcode(status))


def _become(order: Order) -> Any:
    os.setsid()
    nothing, output = (
        os.open(os.devnull, os.O_RDONLY),
        os.open(order.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666),
    )
    for number, descriptor in ((0, nothing), (1, output), (2, output)):
        os.dup2(descriptor, number)
    os.close(nothing)
    os.close(output)
    os.chdir(order.directory)
    os.environ.clear()
    os.environ.update(order.environment)
    option, *rest = order.argv
    if option == "-m":
        sys.argv = rest
        return runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    sys.argv = order.argv
    return runpy.run_path(option, run_name="__main__")


if __name__ == "__main__":
    for module in MODULES:
        importlib.import_module(f"{module}.preload").preload()
    order = _serve()
    if order is not None:
        _become(order)
