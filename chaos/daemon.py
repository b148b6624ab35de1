"""A supervisor with its workers on regtest, as the operator sees it: started, called, looked at, stopped."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.ipc.declared.manifest import read
from bitcoind_mp.ipc.wire.blocking import call

BIN = Path(sys.executable).parent
#: Seconds for what takes a few at most, on a machine that is busy.
DEADLINE = 90.0
#: Seconds of a unit's watchdog: short, so that a run of a minute sees it bite.
WATCHDOG = 3.0
ROLES = ("node", "wallet", "signer")
OPTIONS = (
    "-keypool=20",
    "-fallbackfee=0.0002",
    "-txindex",
    "-blockfilterindex",
    "-startlimit=0",
    "-restartmaxdelay=0.5",
    "-healthinterval=2",
    f"-watchdog={WATCHDOG:g}",
    "-signerprocess",
)


class GaveUpError(Exception):
    """Something didn't come within its deadline; the text says what."""


def wait_until(what: str, condition: Callable[[], Any], deadline: float = DEADLINE) -> Any:
    """The condition's first true value. Raises `GaveUpError`."""
    end = time.monotonic() + deadline
    while not (value := condition()):
        if time.monotonic() > end:
            raise GaveUpError(f"gave up after {deadline:.0f} s waiting until {what}")
        time.sleep(0.02)
    return value


class Daemon:
    """``directory`` is its data directory, ``options`` go to the supervisor."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.network = directory / "regtest"
        self.run_dir = self.network / "run"
        self.options = options
        directory.mkdir(exist_ok=True)
        self.environment = {k: v for k, v in os.environ.items() if k not in ("NOTIFY_SOCKET", "JOURNAL_STREAM")}
        self.environment["HOME"] = str(directory.parent)

    def command(self, program: str, *arguments: str) -> list[str]:
        return [str(BIN / program), "-regtest", f"-datadir={self.directory}", *arguments]

    def run(self, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """One of our executables to its end. Raises GaveUpError."""
        try:
            return subprocess.run(
                self.command(program, *arguments),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=DEADLINE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            words = " ".join([program, *arguments])
            raise GaveUpError(f"{words} had not ended after {DEADLINE:.0f} s") from None

    def start(self, *options: str) -> None:
        """In the background; returns when a start was tried. Raises GaveUpError where it failed."""
        done = self.run("bitcoind-mp", "-daemon", *self.options, *options)
        if done.returncode:
            raise GaveUpError(f"bitcoind-mp {' '.join(options)} did not start: {done.stderr.strip()}")

    def stop(self) -> None:
        """In order, and see that everything has ended."""
        done = self.run("bitcoin-mp", "stop")
        if done.returncode:
            raise GaveUpError(f"bitcoin-mp stop: {done.stderr.strip()}")
        wait_until("every process has ended", lambda: not self.processes(front_ends=False))

    # What it says

    def socket(self, role: str) -> str:
        return str(self.run_dir / f"{role}.sock")

    def table(self, role: str) -> Path:
        return self.run_dir / f"{role}.json"

    def ask(self, role: str, method: str, *params: Any, wallet: str | None = None, timeout: float = DEADLINE) -> Any:
        """One call over a role's socket. Raises what `ipc.blocking.call` raises."""
        return call(self.socket(role), method, list(params), wallet=wallet, timeout=timeout)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("supervisor", "status")
        return found

    def unit(self, name: str) -> dict[str, Any]:
        return next(unit for unit in self.status()["units"] if unit["name"] == name)

    def pid(self, name: str) -> int:
        """Of a unit, of the supervisor, or (``node template``) of what a unit is forked from; 0 for none now. A
        wallet's unit may be none of the supervisor's for a moment, after that was killed."""
        role, _, template = name.partition(" ")
        status = self.status()
        if role == "supervisor":
            return int(status["supervisor"]["pid"])
        unit = next((unit for unit in status["units"] if unit["name"] == role), None)
        return int((unit["preloaded"] if template else unit["pid"]) or 0) if unit is not None else 0

    def why_unwell(self, wallets: tuple[str, ...] = ()) -> str:
        """Why it doesn't serve everything at this moment, empty where it does."""
        try:
            units = self.ask("supervisor", "status", timeout=5)["units"]
            for unit in units:
                if unit["state"] != "running":
                    return f"the {unit['name']} is {unit['state']}: {unit['reason'] or unit['last_words']}"
            self.ask("node", "getblockcount", timeout=5)
            loaded = self.ask("wallet", "listwallets", timeout=5)
            if missing := [name for name in wallets if name not in loaded]:
                return f"not loaded: {', '.join(missing)}"
            self.ask("signer", "getsignerinfo", timeout=5)
            names = ("supervisor", *(unit["name"] for unit in units))
            if torn := [name for name in names if not read(self.table(name), wait=False)]:
                return f"no table of commands: {', '.join(torn)}"
        except (OSError, RpcError) as error:
            return f"{type(error).__name__}: {error}"
        return ""

    # What is left of it

    def processes(self, *, front_ends: bool = True) -> list[psutil.Process]:
        """Every process of the daemon's: all name the directory on their command lines."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            line = process.info["cmdline"] or ()
            if f"-datadir={self.directory}" in line and (front_ends or str(BIN / "bitcoin-mp") not in line):
                found.append(process)
        return found

    def kill_everything(self) -> None:
        """A supervisor may be starting more meanwhile."""

        def all_gone() -> bool:
            left = self.processes()
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            return not left

        wait_until("nothing is left", all_gone)
