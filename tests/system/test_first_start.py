"""README's first screen on a directory that has never been used: whoever calls right after the start is answered."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Daemon


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
