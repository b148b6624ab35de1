"""Real node processes on directories of the test's own, and their end whatever a test does."""

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from forks import Launch, Launched, launch
from harness import rest

from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcError
from bitcoind_mp.ipc.wire.blocking import call

DEADLINE = 30.0


class NodeProcess:
    """A node that runs alone. ``start`` returns when it says READY=1."""

    def __init__(self, directory: Path, launch: Launch) -> None:
        self._launch = launch
        self.datadir = directory / "data"
        self.datadir.mkdir(parents=True, exist_ok=True)
        self.network = self.datadir / "regtest"
        self.socket = self.network / "run" / "node.sock"
        self.log = directory / "log"
        self.process: Launched | None = None
        self.messages: list[str] = []
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._notify.bind(str(directory / "notify"))
        self._environ = {**os.environ, "NOTIFY_SOCKET": str(directory / "notify")}

    def spawn(self, *options: str, **environ: str) -> "NodeProcess":
        """Start it and don't wait."""
        command = [sys.executable, "-m", "bitcoind_mp.node", "-regtest", f"-datadir={self.datadir}", "-listen=0"]
        self.messages.clear()
        self._forget_messages()
        self.process = self._launch([*command, *options], {**self._environ, **environ}, Path.cwd(), self.log)
        return self

    def start(self, *options: str, **environ: str) -> "NodeProcess":
        """Start it and wait until it is ready."""
        self.spawn(*options, **environ)
        self.wait_for_message("READY=1")
        return self

    def _forget_messages(self) -> None:
        """What a process that was killed had sent, and nobody has read."""
        self._notify.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._notify.recv(65536)

    def wait_for_message(self, start: str) -> str:
        """The next notification that begins so; the others before it are kept in ``messages``."""
        end = time.monotonic() + DEADLINE
        while True:
            self._notify.settimeout(0.25)
            with contextlib.suppress(TimeoutError):
                for line in self._notify.recv(65536).decode().splitlines():
                    self.messages.append(line)
                    if line.startswith(start):
                        return line
            assert self.process is not None
            if self.process.poll() is not None:
                raise AssertionError(f"the node exited with {self.process.returncode}\n{self.output}")
            if time.monotonic() > end:
                raise AssertionError(f"no {start} from the node\n{self.output}")

    @property
    def output(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def call(self, method: str, *params: Any, timeout: float = DEADLINE) -> Any:
        return call(str(self.socket), method, list(params), timeout=timeout)

    def kill(self) -> None:
        """SIGKILL, and wait."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(DEADLINE)

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(DEADLINE)
        self._notify.close()


@pytest.fixture(name="launch")
def launch_fixture() -> Launch:
    """How nodes are started. Files whose tests start one again and again have `fork` instead."""
    return launch


@pytest.fixture
def make_node(tmp_path: Path, launch: Launch) -> Iterator[Callable[[str], NodeProcess]]:
    made = []

    def make(name: str = "node") -> NodeProcess:
        (tmp_path / name).mkdir(exist_ok=True)
        node = NodeProcess(tmp_path / name, launch)
        made.append(node)
        return node

    yield make
    for node in made:
        node.close()


@pytest.fixture
def node(make_node: Callable[[str], NodeProcess]) -> NodeProcess:
    return make_node("node")


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """The condition's value once it is true; errors of a node that isn't there count as not yet."""

    def wait(condition: Callable[[], Any], what: str = "", deadline: float = DEADLINE) -> Any:
        begun = time.monotonic()
        while True:
            value = None
            with contextlib.suppress(OSError, RpcError, Disconnected, CallTimeout):
                value = condition()
            if value:
                return value
            if time.monotonic() > begun + deadline:
                raise AssertionError(f"gave up waiting for {what or condition}")
            rest(begun, 0.05)

    return wait
