"""A node whose loop, or whose kernel's thread, stands still, under the real supervisor: each alone.

The loop is made to stand still by stopping its one thread with ptrace(2), the kernel's by a file of blocks that
doesn't come.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.ipc.wire.blocking import call

ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000
"""``__WALL`` of wait(2): also what isn't our child."""


class Supervised:
    """A supervisor and its node."""

    def __init__(self, directory: Path) -> None:
        self.datadir = directory
        self.run = directory / "regtest" / "run"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        command = [sys.executable, "-m", "bitcoind_mp.supervisor", "-regtest", f"-datadir={self.datadir}"]
        fixed = ["-disablewallet", "-listen=0", "-watchdog=1.5", "-restartdelay=0.05", "-healthinterval=0.5"]
        self.process = subprocess.Popen(
            [*command, *fixed, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def node(self, method: str, *params: Any, timeout: float = 30) -> Any:
        return call(str(self.run / "node.sock"), method, list(params), timeout=timeout)

    def unit(self) -> dict[str, Any]:
        return call(str(self.run / "supervisor.sock"), "status", ["node"], timeout=30)["units"][0]

    def log(self) -> str:
        return (self.datadir / "regtest" / "logs" / "node.log").read_text(errors="replace")

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            pid = None
            with contextlib.suppress(Exception):
                pid = self.unit()["pid"]
            self.process.kill()
            self.process.wait(30)
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Supervised]:
    made = Supervised(tmp_path)
    yield made
    made.close()


def stop_thread(tid: int) -> None:
    """Stop one thread of another process; it goes on when we end, if not before."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if libc.ptrace(PTRACE_SEIZE, tid, None, None) or libc.ptrace(PTRACE_INTERRUPT, tid, None, None):
        pytest.skip(f"may not stop another process's thread: {os.strerror(ctypes.get_errno())}")
    os.waitid(os.P_PID, tid, os.WSTOPPED | os.WNOWAIT | WALL)


def free_thread(tid: int) -> None:
    """Let it go on."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    assert libc.ptrace(PTRACE_DETACH, tid, None, None) == 0, os.strerror(ctypes.get_errno())


def reap(tid: int) -> None:
    """Whoever traces a process hears of its end first, and must take note before its parent can."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(tid, os.WNOHANG | WALL)


def test_a_loop_that_stands_still_is_noticed_and_the_node_replaced(supervised, eventually) -> None:
    supervised.start()
    eventually(lambda: supervised.node("getblockcount") == 0)
    supervised.node("generatetoaddress", 3, ADDRESS)
    old = supervised.unit()["pid"]
    stop_thread(old)

    def replaced() -> bool:
        reap(old)
        unit = supervised.unit()
        return bool(unit["state"] == "running" and unit["pid"] != old)

    eventually(replaced, "another process of the node")
    assert eventually(lambda: supervised.node("getblockcount") == 3), "and has lost nothing"
    assert "watchdog" in str(supervised.unit()).lower() or "watchdog" in supervised.log().lower()
    assert "File " in supervised.log() and "most recent call first" in supervised.log(), "its stacks are in the log"
    assert supervised.stop() == 0


def test_a_kernel_that_stands_still_is_reported_and_the_node_left_alone(supervised, tmp_path, eventually) -> None:
    fifo = tmp_path / "blocks"
    os.mkfifo(fifo)
    supervised.start(f"-loadblock={fifo}")
    eventually(lambda: supervised.node("getblockcount") == 0)
    old = supervised.unit()["pid"]
    with pytest.raises(TimeoutError):
        supervised.node("generatetoaddress", 1, ADDRESS, timeout=3)
    assert supervised.unit()["pid"] == old
    assert supervised.unit()["state"] == "running"
    with fifo.open("wb"):
        pass
    eventually(lambda: supervised.node("getblockcount") == 1)
    assert supervised.unit()["pid"] == old
    assert supervised.stop() == 0


def test_a_reindex_that_takes_longer_than_a_start_may_gets_nobody_killed(supervised, tmp_path, eventually) -> None:
    """Its second file of blocks is one that doesn't come before the test says so."""
    supervised.start()
    eventually(lambda: supervised.node("getblockcount") == 0)
    supervised.node("generatetoaddress", 20, ADDRESS)
    assert supervised.stop() == 0
    fifo = tmp_path / "regtest" / "blocks" / "blk00001.dat"
    os.mkfifo(fifo)
    supervised.start("-reindex", "-starttimeout=node:6")
    eventually(lambda: supervised.unit()["status"] == "Reindexing blocks…")
    pid, late = supervised.unit()["pid"], time.monotonic() + 8
    eventually(lambda: time.monotonic() > late)
    unit = supervised.unit()
    assert (unit["state"], unit["pid"], unit["restarts"]) == ("starting", pid, 0)
    with pytest.raises(RpcError, match="Reindexing blocks") as told:
        supervised.node("getblockcount")
    assert told.value.code == RpcCode.IN_WARMUP, "its loop turns meanwhile"
    with fifo.open("wb"):
        pass
    eventually(lambda: supervised.unit()["state"] == "running")
    assert supervised.node("getblockcount") == 20
    assert (supervised.unit()["pid"], supervised.unit()["restarts"]) == (pid, 0)


def test_a_flush_that_takes_longer_than_a_stop_may_gets_nobody_killed(supervised, eventually) -> None:
    """Every thread but the loop's is held up, so that what is to be written isn't before the test says so."""
    supervised.start("-stoptimeout=node:2")
    eventually(lambda: supervised.node("getblockcount") == 0)
    supervised.node("generatetoaddress", 20, ADDRESS)
    pid = supervised.unit()["pid"]
    others = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir() if int(task.name) != pid]
    for tid in others:
        stop_thread(tid)
    supervised.process.send_signal(signal.SIGTERM)
    eventually(lambda: supervised.unit()["state"] == "stopping")
    late = time.monotonic() + 4
    eventually(lambda: time.monotonic() > late)
    assert (supervised.unit()["state"], supervised.unit()["pid"]) == ("stopping", pid)
    for tid in others:
        free_thread(tid)
    assert supervised.process.wait(60) == 0
    assert "SIGKILL" not in (supervised.datadir / "regtest" / "logs" / "supervisor.log").read_text()
    journal = supervised.datadir / "regtest" / "block-journal.dat"
    assert journal.stat().st_size == 8, "all is with the kernel"
