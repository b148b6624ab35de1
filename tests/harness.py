"""Whole daemons for tests: started as a person starts them, called over their sockets, stopped without leftovers."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from bitcoind_mp.interfaces.errors import Disconnected, RpcError
from bitcoind_mp.ipc.wire.blocking import call

BIN = Path(sys.executable).parent
DEADLINE = 60.0


def rest(begun: float, most: float = 0.1) -> None:
    """The pause before one looks again: a tenth of what was waited already, so that a short wait is told at once and a
    long one takes little of the machine from what is waited for."""
    time.sleep(min(most, max(0.005, (time.monotonic() - begun) / 10)))


def wait_until(what: str, condition: Callable[[], Any], deadline: float = DEADLINE) -> Any:
    """The condition's first true value; fails after ``deadline`` seconds."""
    begun = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < begun + deadline, f"gave up waiting until {what}"
        rest(begun)


def seconds_in(text: str) -> float:
    """The first time that a message tells: what a deadline's length is held against, since it may run out late."""
    found = re.search(r"([\d.]+) s\b", text)
    assert found, text
    return float(found[1])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Daemon:
    """A supervisor with its workers on regtest, in ``directory``."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.options = options if any(option.startswith("-listen") for option in options) else (*options, "-listen=0")
        directory.mkdir(exist_ok=True)
        self.environment = {k: v for k, v in os.environ.items() if k not in ("NOTIFY_SOCKET", "JOURNAL_STREAM")}
        self.environment["HOME"] = str(directory)

    def run(
        self, program: str, *arguments: str, check: bool = True, input: str = ""
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(BIN / program), "-regtest", f"-datadir={self.directory}", *arguments],
            cwd=self.directory,
            env=self.environment,
            input=input,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
        assert not check or done.returncode == 0, f"{program} {arguments}: {done.stdout}{done.stderr}{self.logs()}"
        return done

    def start(self) -> None:
        self.run("bitcoind-mp", "-daemonwait", *self.options)

    def socket(self, role: str) -> str:
        return str(self.directory / "regtest" / "run" / f"{role}.sock")

    def node(self, method: str, *params: Any) -> Any:
        return call(self.socket("node"), method, list(params), timeout=DEADLINE)

    def wallet(self, name: str | None, method: str, *params: Any) -> Any:
        return call(self.socket("wallet"), method, list(params), wallet=name, timeout=DEADLINE)

    def supervisor(self, method: str, *params: Any) -> Any:
        return call(self.socket("supervisor"), method, list(params), timeout=DEADLINE)

    def unit(self, name: str) -> dict[str, Any]:
        units: list[dict[str, Any]] = self.supervisor("status")["units"]
        return next(unit for unit in units if unit["name"] == name)

    def pid(self, unit: str) -> int:
        return int(self.unit(unit)["pid"])

    def kill(self, unit: str) -> int:
        """SIGKILL the worker; the pid it had."""
        pid = self.pid(unit)
        os.kill(pid, signal.SIGKILL)
        return pid

    def patiently(self, work: Callable[[], Any]) -> Any:
        """The work's result, however often the worker dies under a call that may be repeated."""

        def attempt() -> list[Any]:
            try:
                return [work()]
            except (Disconnected, OSError):
                return []
            except RpcError as error:
                if error.code == -28:  # still loading
                    return []
                raise

        return wait_until("a worker answers", attempt)[0]

    def processes(self) -> list[psutil.Process]:
        """Every process of the daemon's, which all name the directory on their command lines."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            if f"-datadir={self.directory}" in (process.info["cmdline"] or ()):
                found.append(process)
        return found

    def log(self, name: str) -> str:
        """All that the supervisor's log file of that name holds."""
        path = self.directory / "regtest" / "logs" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def tracebacks(self) -> list[str]:
        """Each traceback in any log, with some lines around it."""
        found = []
        for path in self.directory.rglob("*.log*"):
            lines = path.read_text(errors="replace").splitlines()
            starts = [number for number, line in enumerate(lines) if "Traceback (most recent" in line]
            found += [f"{path.name}: " + "\n".join(lines[max(0, at - 2) : at + 40]) for at in starts]
        return found

    def logs(self) -> str:
        return "".join(
            f"\n--- {path.name}\n{path.read_text(errors='replace')[-3000:]}"
            for path in self.directory.rglob("logs/*.log")
        )

    def running(self, *units: str) -> bool:
        """Whether these units (both, where none is named) serve."""
        try:
            found = self.supervisor("status")["units"]
        except (Disconnected, OSError):
            return False
        return all(unit["state"] == "running" for unit in found if unit["name"] in (units or ("node", "wallet")))

    def until_running(self, *units: str) -> None:
        wait_until(f"{units or 'everything'} to run", lambda: self.running(*units))

    def kill_supervisor(self) -> int:
        """SIGKILL the supervisor; the pid it had."""
        pid = int(self.supervisor("status")["supervisor"]["pid"])
        os.kill(pid, signal.SIGKILL)
        return pid

    def stop(self) -> None:
        self.run("bitcoin-mp", "stop")
        wait_until("everything has ended", lambda: not self.processes())

    def clean_up(self) -> None:
        """Kill what is left; a supervisor may be starting more meanwhile."""

        def all_gone() -> bool:
            left = self.processes()
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            return not left

        wait_until("nothing is left", all_gone)
