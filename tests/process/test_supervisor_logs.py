"""Logs of real children: files, rotation, followers, a disk that is full."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


def test_each_unit_has_a_file_of_its_own(supervisor: Any, until: Callable[..., Any]) -> None:
    supervisor.start()
    supervisor.worker("node", "say", "hello from the node")
    supervisor.worker("wallet", "say", "hello from the wallet")
    until(lambda: "hello" in supervisor.log("node") and "hello" in supervisor.log("wallet"))
    assert supervisor.log("node") == "hello from the node\n"
    assert supervisor.log("wallet") == "hello from the wallet\n"
    assert supervisor.ask("logs", "node", 1)["logs"] == [
        {"unit": "node", "file": str(supervisor.logs / "node.log"), "lines": ["hello from the node"]}
    ]
    assert [each["unit"] for each in supervisor.ask("logs")["logs"]] == ["node", "wallet"]
    assert supervisor.unit("wallet")["log"] == ["hello from the wallet"]
    (own,) = supervisor.ask("logs", "supervisor")["logs"]
    assert (own["unit"], own["file"]) == ("supervisor", str(supervisor.logs / "supervisor.log"))
    assert "bitcoind-mp " in own["lines"][0]


def test_a_file_that_grows_is_rotated(supervisor: Any, until: Callable[..., Any]) -> None:
    supervisor.start("-logmaxsize=1", "-logbackups=2")
    supervisor.worker("node", "say", "x" * 999, 5000)
    sizes = until(
        lambda: (
            [size for size in (file_size(supervisor.logs / f"node.log{end}") for end in ("", ".1", ".2")) if size]
            if file_size(supervisor.logs / "node.log.2")
            else None
        )
    )
    assert len(sizes) == 3
    assert all(size <= 1 << 20 for size in sizes)
    assert not (supervisor.logs / "node.log.3").exists()


def file_size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def test_sighup_opens_the_files_again_and_reads_the_configuration(supervisor: Any, until: Callable[..., Any]) -> None:
    (supervisor.datadir / "bitcoin.conf").write_text("[regtest]\nmaxrss=node:100000\n")
    supervisor.start()
    assert supervisor.unit("node")["limits"]["memory"] == 100000 << 20
    (supervisor.logs / "node.log").rename(supervisor.logs / "node.log.old")
    (supervisor.datadir / "bitcoin.conf").write_text("[regtest]\nmaxrss=node:1\n")
    supervisor.process.send_signal(signal.SIGHUP)
    until(lambda: supervisor.unit("node")["limits"]["memory"] == 1 << 20)
    until(lambda: supervisor.worker("node", "reloads") == 1)
    supervisor.worker("node", "say", "after")
    until(lambda: "after" in supervisor.log("node"))
    assert "after" not in (supervisor.logs / "node.log.old").read_text()
    (supervisor.datadir / "bitcoin.conf").write_text("nonsense=1\n")
    supervisor.process.send_signal(signal.SIGHUP)
    until(lambda: "the configuration stays as it was" in supervisor.log("supervisor"))
    assert supervisor.unit("node")["limits"]["memory"] == 1 << 20


def test_following_a_log(supervisor: Any, listen: Callable[..., Any]) -> None:
    supervisor.start()
    supervisor.worker("node", "say", "before")
    listener = listen("logs.follow", "node", 10, 1)
    lines: list[str] = []

    def read_until(text: str) -> None:
        while text not in lines:
            unit, more = listener.told("log.lines")
            assert unit == "node"
            lines.extend(more)

    read_until("before")
    supervisor.worker("wallet", "say", "not for you")
    supervisor.worker("node", "say", "after")
    read_until("after")
    supervisor.worker("node", "say", "many", 3000)
    supervisor.worker("node", "say", "end")
    read_until("end")
    assert lines == ["before", "after", *["many"] * 3000, "end"]
    listener.close()
    supervisor.worker("node", "say", "nobody listens any more")
    assert supervisor.worker("node", "pid") == supervisor.pid("node")


@pytest.fixture
def small_disk(supervisor: Any) -> Iterator[Path]:
    """A file system of 256 KiB where the logs go."""
    supervisor.logs.mkdir(parents=True, mode=0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(supervisor.logs)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"may not mount a file system: {mounted.stderr.decode().strip()}")
    yield supervisor.logs
    supervisor.kill_all()
    subprocess.run(["umount", "-l", str(supervisor.logs)], check=True)


def test_a_full_disk_loses_lines_and_nothing_else(supervisor: Any, small_disk: Path, until: Callable[..., Any]) -> None:
    supervisor.start()
    ballast = small_disk / "ballast"
    supervisor.worker("node", "say", "x" * 999, 1000)
    found = until(lambda: unit if (unit := supervisor.unit("node"))["log_lost"] else None, "lines to be lost")
    assert "No space left on device" in found["log_error"]
    assert found["health"] == "degraded"
    assert any("log lines are being lost" in problem for problem in found["problems"])
    assert supervisor.worker("node", "pid") == found["pid"], "the worker was not kept waiting"
    supervisor.worker("node", "say", "kept in memory")
    until(lambda: supervisor.unit("node")["log"][-1] == "kept in memory")
    assert not ballast.exists()
    (small_disk / "node.log").write_text("")
    supervisor.worker("node", "say", "written again")
    until(lambda: supervisor.log("node").endswith("written again\n"))
    assert "lines lost" in supervisor.log("node")
    until(lambda: supervisor.unit("node")["log_error"] == "")
    assert supervisor.stop() == 0


def test_a_terminal_that_stands_still_stops_nobody(supervisor: Any) -> None:
    """Our standard output is a pipe that nobody reads."""
    supervisor.start("-printtoconsole=1")
    supervisor.worker("node", "say", "x" * 999, 3000)
    supervisor.worker("node", "say", "end")
    assert supervisor.worker("node", "pid") == supervisor.pid("node")
    assert supervisor.stop() == 0
