"""One child: what it inherits, how it ends, what it leaves behind."""

import json
import os
import select
import signal
import sys
from pathlib import Path

import pytest

from bitcoind_mp.supervisor.processes.process import Command, Process, command, keep_to_ourselves, release
from bitcoind_mp.supervisor.units.policy import Exit

DEADLINE = 20_000  # milliseconds


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class Child:
    """A process that runs ``code``, with its output in a pipe."""

    def __init__(self, code: str, *, fds: list[tuple[str, int]] | None = None, watchdog: float = 0) -> None:
        self.reader, self.writer = os.pipe()
        environ = {**os.environ, "NOTIFY_SOCKET": "/above", "LISTEN_PID": "1", "JOURNAL_STREAM": "1:2"}
        argv = (sys.executable, "-I", "-S", "-c", code)
        self.command: Command = command(
            argv, environ, fds=fds or [], output=self.writer, notify="/ours", watchdog=watchdog
        )
        self.process = Process.spawn(self.command)

    def wait(self) -> Exit:
        ended = select.poll()
        ended.register(self.process.pidfd, select.POLLIN)
        assert ended.poll(DEADLINE), "it should have ended"
        result = self.process.reap()
        assert result is not None
        self.process.close()
        release(self.command)
        os.close(self.writer)
        return result

    def line(self) -> str:
        data = b""
        while not data.endswith(b"\n"):
            data += os.read(self.reader, 1000)
        return data.decode().strip()

    def output(self) -> str:
        with os.fdopen(self.reader, "rb") as stream:
            return stream.read().decode()


def test_it_is_told_its_own_pid_and_nothing_of_what_we_were_told() -> None:
    code = "import os, json; print(json.dumps(dict(os.environ, REAL=str(os.getpid()))))"
    reading, writing = os.pipe()
    child = Child(code, fds=[("node", reading), ("lifeline", writing)], watchdog=2.5)
    assert child.wait() == Exit(code=0)
    environ = json.loads(child.output())
    assert environ["LISTEN_PID"] == environ["WATCHDOG_PID"] == environ["REAL"] == str(child.process.pid)
    assert (environ["LISTEN_FDS"], environ["LISTEN_FDNAMES"]) == ("2", "node:lifeline")
    assert (environ["NOTIFY_SOCKET"], environ["WATCHDOG_USEC"]) == ("/ours", "2500000")
    assert "JOURNAL_STREAM" not in environ
    os.close(reading)
    os.close(writing)


def test_without_a_watchdog_it_is_told_of_none() -> None:
    child = Child("import os; print('WATCHDOG_USEC' in os.environ, 'LISTEN_FDS' in os.environ)")
    child.wait()
    assert child.output() == "False False\n"


def test_it_inherits_exactly_what_it_is_given() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    keep_to_ourselves()
    child = Child(
        "import os\nfor fd in range(1000):\n"
        "    try: print(fd, os.fstat(fd).st_ino, os.readlink(f'/proc/self/fd/{fd}'))\n"
        "    except OSError: pass",
        fds=[("lifeline", reading)],
    )
    output = os.fstat(child.writer).st_ino
    child.wait()
    found = [line.split() for line in child.output().splitlines()]
    assert [fd for fd, _, _ in found] == ["0", "1", "2", "3"]
    assert found[0][2] == "/dev/null"
    assert [int(inode) for _, inode, _ in found[1:]] == [output, output, os.fstat(reading).st_ino]
    os.close(reading)
    os.close(writing)


def test_descriptors_land_where_they_should_wherever_they_were() -> None:
    """Those to be handed down stand just where they are to go, in the wrong order."""
    pipes = [os.pipe() for _ in range(3)]
    readers = [reading for reading, _ in pipes]
    code = "import os; print([os.fstat(fd).st_ino for fd in (3, 4, 5)])"
    child = Child(code, fds=[("a", readers[2]), ("b", readers[0]), ("c", readers[1])])
    child.wait()
    assert eval(child.output()) == [os.fstat(fd).st_ino for fd in (readers[2], readers[0], readers[1])]
    for pair in pipes:
        for fd in pair:
            os.close(fd)


def test_signals_are_as_in_any_new_process() -> None:
    """Ours ignore SIGPIPE, as Python does, and others; a child is not to inherit that."""
    previous = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    try:
        code = "print([l for l in open('/proc/self/status') if l.startswith(('SigBlk', 'SigIgn'))])"
        child = Child(code)
        child.wait()
    finally:
        signal.signal(signal.SIGTSTP, previous)
    blocked, ignored = eval(child.output())
    assert int(blocked.split()[1], 16) == 0
    python_ignores = 1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1)
    named = 0x7FFFFFFF  # those from 32 on are the C library's
    assert int(ignored.split()[1], 16) & named & ~python_ignores == 0


def test_how_it_ended() -> None:
    assert Child("raise SystemExit(78)").wait() == Exit(code=78)
    child = Child("import signal; print('up', flush=True); signal.pause()")
    assert child.line() == "up"
    assert child.process.reap() is None
    child.process.send(signal.SIGTERM)
    assert child.wait() == Exit(signal=15)


def test_a_signal_to_one_that_has_ended_is_nothing() -> None:
    child = Child("pass")
    ended = select.poll()
    ended.register(child.process.pidfd, select.POLLIN)
    assert ended.poll(DEADLINE)
    child.process.send(signal.SIGTERM)
    child.process.kill_group()
    assert child.wait() == Exit(code=0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGABRT])
def test_one_that_was_stopped_ends_as_it_is_told_to(number: signal.Signals) -> None:
    code = f"import signal, sys; signal.signal({number}, lambda *_: sys.exit(9)); print(1, flush=True); signal.pause()"
    child = Child(code)
    child.line()
    child.process.send(signal.SIGSTOP)
    os.waitid(os.P_PIDFD, child.process.pidfd, os.WSTOPPED)
    child.process.send(number)
    assert child.wait() == Exit(code=9)


def test_what_it_started_does_not_outlive_it() -> None:
    code = "import subprocess; p = subprocess.Popen(['sleep', '1000']); print(p.pid, flush=True)"
    child = Child(code)
    grandchild = int(child.line())
    watch = os.pidfd_open(grandchild)
    assert child.wait() == Exit(code=0)
    poll = select.poll()
    poll.register(watch, select.POLLIN)
    assert poll.poll(DEADLINE), "the grandchild should have been killed"
    os.close(watch)
    os.close(child.reader)


def test_what_cannot_be_executed_ends_with_the_shells_words(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    made = command((str(tmp_path / "nothing"),), os.environ, fds=[], output=writing, notify="/n", watchdog=0)
    process = Process.spawn(made)
    poll = select.poll()
    poll.register(process.pidfd, select.POLLIN)
    assert poll.poll(DEADLINE)
    assert process.reap() == Exit(code=127)
    process.close()
    release(made)
    os.close(writing)
    with os.fdopen(reading) as stream:
        assert "not found" in stream.read()


@pytest.mark.parametrize("times", [50])
def test_many_children_leave_no_descriptor_behind(times: int) -> None:
    before = descriptors()
    for _ in range(times):
        child = Child("pass")
        child.wait()
        os.close(child.reader)
    assert descriptors() == before
