"""A supervisor of the shell's own: the real one, with a real node and wallet. Started when agreed to, gone with the
shell, however that ends."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
READY = "● node  ● wallet"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """The home of `shell`, its default data directory set to stay off the network; nothing of it runs afterwards."""
    datadir = tmp_path / ".bitcoind-mp"
    datadir.mkdir()
    (datadir / "bitcoin.conf").write_text("listen=0\nkeypool=2\nhealthinterval=0\n")
    yield tmp_path
    for pid in of(datadir):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def of(datadir: Path) -> list[int]:
    """Our processes on that data directory."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and f"-datadir={datadir}".encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def status(home: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bitcoind_mp.cli", "-regtest", "-json", "status"],
        cwd=ROOT,
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        timeout=30,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def pids(answer: dict[str, Any]) -> list[int]:
    return [answer["supervisor"]["pid"], *(unit["pid"] for unit in answer["units"])]


def wait_until(what: str, condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.05)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_one_is_offered_started_and_ended_with_the_shell(shell, home: Path) -> None:
    terminal = shell(datadir=None)
    terminal.sees("Start a private supervisor, which ends with this shell? [Y/n]")
    terminal.type("\r")
    terminal.sees(READY)
    terminal.type("getblockcount\r")
    terminal.sees("\n0\n")
    terminal.type("createwallet alice\r")
    terminal.sees('"name": "alice"')
    started = pids(status(home))
    assert all(map(running, started))
    terminal.sees("alice 0.00000000 BTC")
    terminal.type("\x04")
    assert terminal.wait() == 0
    assert not any(map(running, started))
    assert of(home / ".bitcoind-mp") == []


def test_it_ends_in_order_when_the_shell_is_killed(shell, home: Path) -> None:
    terminal = shell("-ipcconnect=0", datadir=None)
    terminal.sees(READY)
    started = pids(status(home))
    os.kill(terminal.pid, signal.SIGKILL)
    assert terminal.wait() == -signal.SIGKILL
    wait_until("all have ended", lambda: not any(map(running, started)))
    log = (home / ".bitcoind-mp" / "regtest" / "logs" / "supervisor.log").read_text()
    assert "whoever started this supervisor has ended" in log
    assert "node: stopped: exit status 0" in log


def test_a_second_one_on_the_same_directory_is_refused_by_name(shell, home: Path) -> None:
    first = shell("-ipcconnect=0", datadir=None)
    first.sees(READY)
    second = shell("-ipcconnect=0", datadir=None)
    assert second.wait() == 1
    assert f"pid {pids(status(home))[0]}" in " ".join(second.output.split())
    first.type("exit\r")
    assert first.wait() == 0
