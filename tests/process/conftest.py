"""Real supervisors with real children for the tests in this directory, and their end whatever a test does."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from harness import rest

from bitcoind_mp.ipc.wire.blocking import call

DEADLINE = 30.0  # seconds; what a test waits for takes a fraction of one, on a machine that is not busy
WORKERS = Path(__file__).resolve().parent / "workers"
T = TypeVar("T")


def wait_for(condition: Callable[[], T], what: str = "", deadline: float = DEADLINE) -> T:
    """The condition's value once it is true. Errors of a connection that isn't there yet count as not yet."""
    begun = time.monotonic()
    while True:
        value = None
        with contextlib.suppress(OSError, TimeoutError):
            value = condition()
        if value:
            return value
        if time.monotonic() > begun + deadline:
            raise AssertionError(f"gave up waiting for {what or condition}; last: {value!r}")
        rest(begun, 0.05)


class FakeSupervisor:
    """A supervisor over `workers/worker.py`, in a data directory of its own."""

    def __init__(self, directory: Path, *, preload: str = "") -> None:
        self.directory = directory
        self.datadir = directory / "data"
        self.network = self.datadir / "regtest"
        self.run_dir = self.network / "run"
        self.logs = self.network / "logs"
        self.plans = directory / "plans"
        self.datadir.mkdir(parents=True, exist_ok=True)
        self.plans.mkdir(exist_ok=True)
        self.process: subprocess.Popen[str] | None = None
        self.environ = {**os.environ, "FAKE_PLANS": str(self.plans), "PYTHONDONTWRITEBYTECODE": "1"}
        self.environ |= {"FAKE_PRELOAD": preload, "PYTHONPATH": str(WORKERS)}
        for name in ("NOTIFY_SOCKET", "JOURNAL_STREAM"):
            self.environ.pop(name, None)
        for name in ("node", "wallet"):
            self.plan(name)

    def plan(self, unit: str, **what: Any) -> None:
        """What the unit's next process is to do."""
        (self.plans / f"{unit}.json").write_text(json.dumps(what))

    def command(self, *options: str) -> list[str]:
        return [
            sys.executable,
            str(WORKERS / "supervisor.py"),
            "-regtest",
            f"-datadir={self.datadir}",
            "-healthinterval=0",
            "-printtoconsole=0",
            *options,
        ]

    def start(self, *options: str, ready: bool = True, **popen: Any) -> "FakeSupervisor":
        """In the foreground; with ``ready``, until both units serve."""
        popen = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **popen}
        self.process = subprocess.Popen(self.command(*options), env=self.environ, start_new_session=True, **popen)
        if ready:
            wait_for(lambda: {each["state"] for each in self.status()["units"]} == {"running"}, "both units to run")
        return self

    def once(self, *options: str, timeout: float = DEADLINE) -> "subprocess.CompletedProcess[str]":
        """The command to its end."""
        return subprocess.run(
            self.command(*options), env=self.environ, capture_output=True, text=True, timeout=timeout, check=False
        )

    def socket(self, role: str) -> str:
        return str(self.run_dir / f"{role}.sock")

    def ask(self, method: str, *params: Any, timeout: float = DEADLINE) -> Any:
        """One of the supervisor's own commands."""
        return call(self.socket("supervisor"), method, params, timeout=timeout)

    def worker(self, unit: str, method: str, *params: Any, timeout: float = DEADLINE) -> Any:
        """Tell a worker to do something."""
        return call(self.socket(unit), method, params, timeout=timeout)

    def status(self) -> dict[str, Any]:
        return self.ask("status")

    def unit(self, name: str) -> dict[str, Any]:
        return self.ask("status", name)["units"][0]

    def pid(self, name: str) -> int:
        return int(self.unit(name)["pid"])

    def wait_state(self, name: str, *states: str) -> dict[str, Any]:
        """The unit's status once it is in one of these states."""

        def there() -> dict[str, Any] | None:
            found = self.unit(name)
            return found if found["state"] in states else None

        return wait_for(there, f"{name} to be {' or '.join(states)}")

    def wait_new(self, name: str, old: int) -> dict[str, Any]:
        """The unit's status once another process of it runs."""

        def there() -> dict[str, Any] | None:
            found = self.unit(name)
            return found if found["state"] == "running" and found["pid"] != old else None

        return wait_for(there, f"a new {name}")

    def stop(self) -> int:
        """Ask it to stop, and wait for its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)

    def log(self, name: str) -> str:
        path = self.logs / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def processes(self) -> list[int]:
        """Every process that has this directory on its command line."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    if os.fsencode(self.directory) in (entry / "cmdline").read_bytes():
                        found.append(int(entry.name))
        return found

    def kill_all(self) -> None:
        for _ in range(100):
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if self.process is not None and self.process.poll() is None:
                self.process.kill()
                self.process.wait(DEADLINE)
            if not self.processes():
                break
        if self.process is not None:
            for stream in (self.process.stdout, self.process.stderr):
                if stream is not None:
                    stream.close()


class Listener:
    """A connection that has shaken hands, and asked to be told something."""

    def __init__(self, path: str, method: str, *params: Any, timeout: float = DEADLINE) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self._stream = self.socket.makefile("rwb")
        hello = {"role": "cli", "protocol": 1, "chain": "regtest", "version": "0", "pid": os.getpid()}
        for identity, name, values in ((1, "init.handshake", [hello]), (2, method, params)):
            request = {"jsonrpc": "2.0", "method": name, "params": values, "id": identity}
            self._stream.write(json.dumps(request).encode() + b"\n")
        self._stream.flush()

    def answered(self) -> Any:
        """Wait for the answer; its result."""
        while True:
            message = json.loads(self._stream.readline())
            assert "error" not in message, message
            if message.get("id") == 2:
                return message["result"]

    def told(self, method: str) -> list[Any]:
        """The params of the next notification of that name. Raises TimeoutError."""
        while True:
            message = json.loads(self._stream.readline())
            assert "error" not in message, message
            if message.get("method") == method:
                params: list[Any] = message["params"]
                return params

    def close(self) -> None:
        self._stream.close()
        self.socket.close()


@pytest.fixture
def listen(supervisor: FakeSupervisor) -> Iterator[Callable[..., Listener]]:
    """listen(method, *params): a `Listener` at the supervisor."""
    made: list[Listener] = []

    def listen(method: str, *params: Any, timeout: float = DEADLINE) -> Listener:
        made.append(Listener(supervisor.socket("supervisor"), method, *params, timeout=timeout))
        return made[-1]

    yield listen
    for listener in made:
        listener.close()


@pytest.fixture
def supervisor(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[FakeSupervisor]:
    """One that is not started yet. Its workers are executed; by the parameter "forked", forked from a preloaded one."""
    made = FakeSupervisor(tmp_path / "s", preload="preloaded" if getattr(request, "param", "") == "forked" else "")
    try:
        yield made
    finally:
        made.kill_all()


@pytest.fixture
def until() -> Callable[..., Any]:
    """`wait_for`, for tests: until(condition, "what", deadline)."""
    return wait_for
