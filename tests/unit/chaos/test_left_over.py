"""What a stopped daemon must not leave is found on the disk and among the processes."""

import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.daemon import Daemon
from chaos.evidence import left_over


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    stopped = Daemon(tmp_path / "data")
    (stopped.network / "wallets").mkdir(parents=True)
    stopped.run_dir.mkdir()
    for name in ("node.lock", "wallets/wallet.sqlite", "run/node.json", "run/units"):
        (stopped.network / name).touch()
    return stopped


def test_what_stays_by_design_is_no_complaint(daemon: Daemon) -> None:
    assert list(left_over(daemon)) == []


@pytest.mark.parametrize(
    "name", ["run/node.json.17.new", "wallets/wallet.sqlite-wal", "wallets/wallet.sqlite-journal", "bitcoind-mp.pid"]
)
def test_a_temporary_file(daemon: Daemon, name: str) -> None:
    (daemon.network / name).touch()
    assert list(left_over(daemon)) == [f"temporary file {daemon.network / name}"]


def test_a_socket_and_a_pipe(daemon: Daemon) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(daemon.run_dir / "node.sock"))
    os.mkfifo(daemon.run_dir / "node.out")
    assert [found.rpartition("/")[2] for found in left_over(daemon)] == ["node.out", "node.sock"]


def test_a_lock_that_is_held(daemon: Daemon) -> None:
    with (daemon.network / "node.lock").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert list(left_over(daemon)) == [f"held lock {daemon.network / 'node.lock'}"]
    assert list(left_over(daemon)) == []


def test_a_process(daemon: Daemon) -> None:
    command = [sys.executable, "-c", "input()", f"-datadir={daemon.directory}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as left:
        (found,) = left_over(daemon)
        assert found.startswith(f"process {left.pid}: ")
        left.communicate(b"\n")
    assert list(left_over(daemon)) == []
