"""`run_worker` in a real child: what systemd, or our supervisor, sees of it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import asyncio, os, signal, sys, threading, time
from bitcoind_mp.interfaces.command import command
from bitcoind_mp.interfaces.errors import ExitStatus, FatalError
from bitcoind_mp.interfaces.init import Hello
from bitcoind_mp.ipc.serve.server import Server
from bitcoind_mp.service import logging
from bitcoind_mp.service.worker import Service, run_worker

MODE = sys.argv[1]

class Commands:
    @command("control")
    def hang(self) -> None:
        '''Block the loop.'''
        time.sleep(60)
    @command("control")
    def descriptors(self) -> list[str]:
        '''The environment's rest.'''
        return [name for name in os.environ if name.startswith(("LISTEN", "NOTIFY", "WATCHDOG"))]

class Worker(Service):
    async def start(self, host):
        self.host = host
        if MODE == "fatal":
            raise FatalError("The configuration is wrong.", hint="Mend it.", status=ExitStatus.CONFIG)
        if MODE == "crash":
            raise RuntimeError("nobody expected this")
        if MODE == "disk":
            raise OSError(28, "No space left on device")
        if MODE == "slow":
            host.notify.status("starting")
            await asyncio.sleep(60)
        if MODE == "task":
            host.spawn(self.fail_later(), "the follower")
        self.server = Server([Commands()], hello=Hello("node", 1, "regtest", "0", os.getpid()))
        if host.activation.socket("ipc"):
            await self.server.serve(host.activation.socket("ipc"))
        if MODE == "abort":
            os.kill(os.getpid(), signal.SIGABRT)
    async def fail_later(self):
        await asyncio.sleep(0)
        raise ValueError("the follower lost its way")
    async def stop(self):
        print("stopped", flush=True)
        if MODE == "badstop":
            raise ValueError("could not stop")
    async def reload(self):
        print("reloaded", flush=True)
        if MODE == "badreload":
            raise ValueError("could not reload")
    def ready_status(self):
        return "serving"

logging.setup()
sys.exit(run_worker(Worker(), name="node", environ=os.environ))
"""


class Child:
    """The worker, the notification socket it speaks to, and the lifeline's far end."""

    def __init__(self, tmp_path: Path, mode: str, *, watchdog: float = 0, lifeline: bool = False) -> None:
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(tmp_path / "notify"))
        self.manager.settimeout(10)
        self.path = str(tmp_path / "node.sock")
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(self.path)
        self.listening.listen()
        self.reading, self.far_end = os.pipe()
        handed = [self.listening.fileno(), *([self.reading] if lifeline else [])]
        names = ":".join(["ipc", "lifeline"][: len(handed)])
        environ = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "LISTEN_FDS": str(len(handed))}
        environ["LISTEN_FDNAMES"] = names
        if watchdog:
            environ["WATCHDOG_USEC"] = str(int(watchdog * 1_000_000))
        moves = "".join(f"exec {3 + index}<&{fd}; " for index, fd in enumerate(handed))
        script = f'{moves}export LISTEN_PID=$$; exec "$@"'
        self.process = subprocess.Popen(
            ["bash", "-c", script, "sh", sys.executable, "-c", PROGRAM, mode],
            env=environ,
            pass_fds=handed,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        os.close(self.reading)

    def notice(self) -> str:
        return self.manager.recv(1000).decode()

    def until_notice(self, text: str) -> str:
        while text not in (got := self.notice()):
            pass
        return got

    def ended(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=10)
        return self.process.returncode, out.decode(), err.decode()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        with contextlib.suppress(ValueError):
            self.process.communicate(timeout=10)
        with contextlib.suppress(OSError):
            os.close(self.far_end)
        self.listening.close()
        self.manager.close()


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Any]:
    made: list[Child] = []

    def make(mode: str, **kwargs: Any) -> Child:
        made.append(Child(tmp_path, mode, **kwargs))
        return made[-1]

    yield make
    for one in made:
        one.close()


def ask(path: str, method: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as connected:
        connected.settimeout(10)
        connected.connect(path)
        connected.sendall(b'{"jsonrpc":"2.0","method":"%s","id":1}\n' % method.encode())
        return connected.recv(10_000)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_gets_ready_serves_on_what_it_inherited_and_stops_in_order(child: Any, number: int) -> None:
    worker = child("serve")
    assert worker.until_notice("READY=1") == "READY=1\nSTATUS=serving"
    assert ask(worker.path, "descriptors") == b'{"jsonrpc":"2.0","result":[],"id":1}\n'
    worker.process.send_signal(number)
    assert worker.until_notice("STOPPING=1")
    status, out, err = worker.ended()
    assert (status, out) == (0, "stopped\n") and signal.Signals(number).name in err


def test_a_stop_while_it_starts_is_obeyed(child: Any) -> None:
    worker = child("slow")
    worker.until_notice("STATUS=starting")
    worker.process.terminate()
    status, out, _ = worker.ended()
    assert (status, out) == (0, "stopped\n")


def test_sighup_reloads(child: Any) -> None:
    worker = child("serve")
    worker.until_notice("READY=1")
    worker.process.send_signal(signal.SIGHUP)
    reloading = worker.until_notice("RELOADING=1")
    assert int(reloading.split("MONOTONIC_USEC=")[1]) <= time.monotonic_ns() // 1000
    assert worker.until_notice("READY=1")
    worker.process.terminate()
    status, out, _ = worker.ended()
    assert (status, out) == (0, "reloaded\nstopped\n")


def test_a_reload_that_fails_is_logged_and_the_worker_goes_on(child: Any) -> None:
    worker = child("badreload")
    worker.until_notice("READY=1")
    worker.process.send_signal(signal.SIGHUP)
    worker.until_notice("READY=1")
    assert b'"result":[]' in ask(worker.path, "descriptors")
    worker.process.terminate()
    status, _, err = worker.ended()
    assert status == 0 and "ValueError: could not reload" in err


def test_the_end_of_the_lifeline_stops_it(child: Any) -> None:
    worker = child("serve", lifeline=True)
    worker.until_notice("READY=1")
    os.write(worker.far_end, b"still here")
    assert b'"result":[]' in ask(worker.path, "descriptors")
    os.close(worker.far_end)
    status, out, err = worker.ended()
    assert (status, out) == (0, "stopped\n") and "the supervisor is gone" in err


@pytest.mark.parametrize(
    "mode, status, words",
    [
        ("fatal", 78, "[error] The configuration is wrong. Mend it.\n"),
        ("crash", 70, "RuntimeError: nobody expected this"),
        ("disk", 74, "No space left on device"),
        ("task", 70, "ValueError: the follower lost its way"),
    ],
)
def test_how_it_failed_is_its_exit_status_and_in_its_log(child: Any, mode: str, status: int, words: str) -> None:
    worker = child(mode)
    got, out, err = worker.ended()
    assert (got, out) == (status, "stopped\n") and words in err
    assert ("Traceback" in err) == (mode in ("crash", "task"))


def test_a_stop_that_fails_is_a_failure(child: Any) -> None:
    worker = child("badstop")
    worker.until_notice("READY=1")
    worker.process.terminate()
    status, _, err = worker.ended()
    assert status == 70 and "ValueError: could not stop" in err


def test_sigabrt_shows_every_thread_s_stack(child: Any) -> None:
    worker = child("abort")
    status, _, err = worker.ended()
    assert status == -signal.SIGABRT
    assert "Fatal Python error: Aborted" in err and "in start" in err


def test_the_watchdog_is_fed_by_the_loop_and_starves_with_it(child: Any) -> None:
    worker = child("serve", watchdog=0.2)
    worker.until_notice("READY=1")
    for _ in range(3):
        worker.until_notice("WATCHDOG=1")
    with socket.socket(socket.AF_UNIX) as connected:
        connected.connect(worker.path)
        connected.sendall(b'{"jsonrpc":"2.0","method":"hang","id":1}\n')
        worker.manager.settimeout(1)
        # Notices sent before the loop got to the request may still be queued; then there are none.
        with pytest.raises(TimeoutError):
            for _ in range(100):
                worker.notice()
    worker.process.send_signal(signal.SIGABRT)
    status, _, err = worker.ended()
    assert status == -signal.SIGABRT and "in hang" in err
