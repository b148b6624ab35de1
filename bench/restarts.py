"""How long a process is gone: from kill -9 to its replacement's first instruction, under us and under others.

Each supervisor keeps the same trivial program running, which writes a line into a FIFO first of all; what isn't
installed is said to be so. systemd is the machine's own, where that runs it. For our workers the first instruction is
the moment at which their process bears their name, which is the last thing before their program begins.
"""

import contextlib
import os
import select
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

RUNS = 7
#: Seconds that a process has run when it is killed: runit holds one back that ends in its first second.
_AGE = 1.1
DEADLINE = 30.0
NOT_INSTALLED = "not there"
#: Our supervisor as it is, with the trivial program for its node and nothing else.
_OURS = """
import sys
from dataclasses import replace
from bitcoind_mp.supervisor import plan
from bitcoind_mp.supervisor.__main__ import run
program = sys.argv.pop(1)
def plans(config):
    node = plan.units(config)[0]
    return [replace(node, argv=(program,), preload="", policy=replace(node.policy, backoff_first=0.0, start_limit=0))]
sys.exit(run(sys.argv[1:], plans))
"""
_SUPERVISORD = """[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile={directory}/supervisord.pid
[program:trivial]
command={program}
autorestart=true
startsecs=0
startretries=1000
"""


@dataclass(frozen=True)
class Rival:
    """Somebody who starts a program again. ``start`` makes its process in a directory, to keep ``program`` running."""

    name: str
    executable: str
    start: Callable[[Path, Path], "subprocess.Popen[bytes]"]


def _quiet(*argv: str) -> "subprocess.Popen[bytes]":
    nothing = subprocess.DEVNULL
    return subprocess.Popen(argv, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)


def _ours(directory: Path, program: Path) -> "subprocess.Popen[bytes]":
    datadir = directory / "data"
    datadir.mkdir()
    options = ("-regtest", f"-datadir={datadir}", "-noconf", "-disablewallet", "-healthinterval=0", "-watchdog=0")
    return _quiet(sys.executable, "-c", _OURS, str(program), *options)


def _supervisord(directory: Path, program: Path) -> "subprocess.Popen[bytes]":
    configuration = directory / "supervisord.conf"
    configuration.write_text(_SUPERVISORD.format(directory=directory, program=program))
    return _quiet("supervisord", "--configuration", str(configuration))


def _runit(directory: Path, program: Path) -> "subprocess.Popen[bytes]":
    service = directory / "service"
    service.mkdir()
    (service / "run").symlink_to(program)
    return _quiet("runsv", str(service))


def _systemd(directory: Path, program: Path) -> "subprocess.Popen[bytes]":
    settings = ("--property=Restart=always", "--property=RestartSec=0", "--property=StartLimitIntervalSec=0")
    return _quiet("systemd-run", "--wait", "--unit=bitcoind-mp-bench", *settings, str(program))


RIVALS = (
    Rival("our supervisor", sys.executable, _ours),
    Rival("runit", "runsv", _runit),
    Rival("supervisord", "supervisord", _supervisord),
    Rival("systemd, RestartSec=0", "systemd-run", _systemd),
)


class _Fifo:
    """Where the trivial program writes its pid."""

    def __init__(self, directory: Path) -> None:
        path = directory / "fifo"
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDWR)
        self.program = directory / "trivial"
        self.program.write_text(f"#!/bin/sh\necho $$ >{path}\nexec sleep 1000000\n")
        self.program.chmod(0o755)

    def pid(self) -> int:
        return int(os.read(self._fd, 100).split()[-1])

    def close(self) -> None:
        os.close(self._fd)


def is_there(rival: Rival) -> bool:
    if rival.executable == "systemd-run" and not (Path("/run/systemd/system").is_dir() and os.geteuid() == 0):
        return False
    return shutil.which(rival.executable) is not None


def first_instruction(rival: Rival, directory: Path) -> float:
    """Median seconds from a kill -9 of the trivial program to the first thing that the next one does."""
    directory.mkdir()
    fifo = _Fifo(directory)
    process = rival.start(directory, fifo.program)
    pid = 0
    try:
        pid = fifo.pid()
        taken = []
        for _ in range(RUNS):
            time.sleep(_AGE)
            begun = time.perf_counter()
            os.kill(pid, signal.SIGKILL)
            pid = fifo.pid()
            taken.append(time.perf_counter() - begun)
        return statistics.median(taken)
    finally:
        if rival.executable == "systemd-run":
            subprocess.run(["systemctl", "stop", "bitcoind-mp-bench"], check=False, capture_output=True)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(DEADLINE)
        for each in (pid, process.pid):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(each, signal.SIGKILL)
        fifo.close()


def rivals(directory: Path) -> Iterator[tuple[str, float | None]]:
    """Each one's name and its seconds, None where it isn't installed."""
    for number, rival in enumerate(RIVALS):
        yield rival.name, first_instruction(rival, directory / f"rival-{number}") if is_there(rival) else None


def replacement(supervisor: int, old: int, role: str) -> tuple[float, float]:
    """Kill the worker ``old``; seconds until the kernel tells of its end, which it does when it has freed all of its
    memory, and until another child of the supervisor's bears the name of a worker of that role."""
    end = os.pidfd_open(old)
    try:
        return _replacement(supervisor, old, role, end)
    finally:
        os.close(end)


def _replacement(supervisor: int, old: int, role: str, end: int) -> tuple[float, float]:
    ended = select.poll()
    ended.register(end, select.POLLIN)
    gone = 0.0
    path = Path(f"/proc/{supervisor}/task/{supervisor}/children")
    known = {str(old)} | {pid for pid in path.read_text().split() if _is_worker(pid, role)}
    begun = time.perf_counter()
    os.kill(old, signal.SIGKILL)
    while time.perf_counter() - begun < DEADLINE:
        gone = gone or (time.perf_counter() - begun if ended.poll(0.2) else 0.0)
        for pid in path.read_text().split():
            if pid not in known and _is_worker(pid, role):
                return gone, time.perf_counter() - begun
    raise SystemExit(f"bench: the {role} was not started again")


def _is_worker(pid: str, role: str) -> bool:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return f"bitcoind_mp.{role}".encode() in words and b"bitcoind_mp.service.template" not in words
    return False
