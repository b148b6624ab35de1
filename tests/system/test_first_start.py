"""README's first screen on a directory that has never been used: whoever calls right after the start is answered."""

import re
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import BIN, DEADLINE, Daemon

#: What systemd does with a socket unit's service: the program, from argv[2] on, descriptor argv[1] handed over.
_ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="supervisor")
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    (tmp_path / "data").mkdir()
    made = Daemon(tmp_path / "data")
    made.run("bitcoind-mp", "-daemon", *made.options)
    yield made
    made.clean_up()


def test_a_command_is_answered(daemon: Daemon) -> None:
    assert '"chain": "regtest"' in daemon.run("bitcoin-mp", "getblockchaininfo").stdout


def test_a_command_of_the_wallet_is_answered(daemon: Daemon) -> None:
    assert '"name": "savings"' in daemon.run("bitcoin-mp", "createwallet", "savings").stdout


def test_help_lists_the_commands_of_all(daemon: Daemon) -> None:
    topics = re.findall("^== (.*) ==$", daemon.run("bitcoin-mp", "help").stdout, re.MULTILINE)
    assert {"Control", "Blockchain", "Wallet"} <= set(topics)


def test_lines_that_a_shell_reads_are_answered(daemon: Daemon) -> None:
    done = daemon.run("bitcoin-mp", input="getblockcount\nlistwallets\nhelp getbalance\n")
    assert done.stdout.startswith("0\n")
    assert "getbalance ( " in done.stdout


def test_a_call_to_a_unit_of_a_supervisor_that_its_socket_unit_starts_is_answered(tmp_path: Path) -> None:
    """As after ``systemctl stop`` of the service alone: tables of before are there, and the workers' sockets not."""
    daemon = Daemon(tmp_path / "data")
    daemon.start()
    daemon.stop()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(daemon.socket("supervisor"))
        listener.listen()
        options = ("-regtest", f"-datadir={daemon.directory}")
        caller = subprocess.Popen(
            [BIN / "bitcoin-mp", *options, "getblockcount"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        first, _, _ = select.select([listener], [], [], DEADLINE)
        activate = [sys.executable, "-c", _ACTIVATE, str(listener.fileno()), str(BIN / "bitcoind-mp")]
        started = subprocess.Popen([*activate, *options, *daemon.options], pass_fds=[listener.fileno()])
    try:
        assert first, "it has the supervisor started"
        assert caller.communicate(timeout=DEADLINE) == ("0\n", "")
    finally:
        caller.kill()
        started.terminate()
        started.wait(DEADLINE)
        daemon.clean_up()


def test_a_working_directory_that_is_removed_keeps_nobody_from_starting(tmp_path: Path) -> None:
    daemon, gone = Daemon(tmp_path / "data", "-walletprocess=each"), tmp_path / "gone"
    options = ("-regtest", f"-datadir={daemon.directory}")
    start = [BIN / "bitcoind-mp", "-daemonwait", *options, *daemon.options]
    try:
        gone.mkdir()
        subprocess.run(start, cwd=gone, check=True, timeout=DEADLINE)
        gone.rmdir()
        daemon.run("bitcoin-mp", "restart", "node")
        daemon.run("bitcoin-mp", "createwallet", "w")
        daemon.run("bitcoin-mp", "backupwallet", str(tmp_path / "copy"))
        daemon.stop()
        gone.mkdir()
        in_what_is_gone = ["sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh"]
        subprocess.run([*in_what_is_gone, *start], cwd=gone, check=True, timeout=DEADLINE)
        gone.mkdir()
        subprocess.run([*in_what_is_gone, BIN / "bitcoin-mp", *options, "stop"], cwd=gone, check=True, timeout=DEADLINE)
    finally:
        daemon.clean_up()
