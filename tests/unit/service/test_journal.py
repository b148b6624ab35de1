"""The journal's native protocol, over a socket of the test's own."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bitcoind_mp.service.journal import Entries, JournalSocket, encode


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[socket.socket]:
    """Where entries arrive, at ``tmp_path/socket``."""
    receiving = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiving.bind(str(tmp_path / "socket"))
    receiving.settimeout(10)
    yield receiving
    receiving.close()


def test_an_entry_is_a_line_a_field_and_lines_of_its_own_are_counted() -> None:
    assert encode({"A": "1", "B": "x\ny", "C": b"\xff", "MESSAGE": ""}) == (
        b"A=1\nB\n\x03\0\0\0\0\0\0\0x\ny\nC=\xff\nMESSAGE=\n"
    )


def test_entries_have_the_fields_that_the_manual_names(journald: socket.socket, tmp_path: Path) -> None:
    journal = JournalSocket(str(tmp_path / "socket"))
    entries = Entries("bitcoind-mp", journal)
    assert entries.add("ready", 6, unit="node", pid=7, message_id="ab" * 16, cause="killed")
    assert entries.add(b"plain", 4, unit="wallet", pid=None)
    assert journald.recv(1000).decode().splitlines() == [
        "MESSAGE=ready",
        "PRIORITY=6",
        "SYSLOG_IDENTIFIER=bitcoind-mp",
        "UNIT=node",
        "PID=7",
        f"MESSAGE_ID={'ab' * 16}",
        "CAUSE=killed",
    ]
    assert b"PID=" not in journald.recv(1000)
    journal.close()


def test_what_is_too_big_for_a_datagram_goes_as_a_sealed_file(journald: socket.socket, tmp_path: Path) -> None:
    journal = JournalSocket(str(tmp_path / "socket"))
    text = "long " * 200_000
    assert journal.send({"MESSAGE": text})
    data, descriptors, _, _ = socket.recv_fds(journald, 1000, 1)
    assert data == b""
    with os.fdopen(descriptors[0], "r+b") as file:
        file.seek(0)
        assert file.read() == f"MESSAGE={text}\n".encode()
        with pytest.raises(PermissionError):
            file.raw.write(b"x")
    journal.close()


def test_an_absent_journal_and_one_that_is_behind_are_told_of(journald: socket.socket, tmp_path: Path) -> None:
    nobody = JournalSocket(str(tmp_path / "nobody"))
    assert not nobody.send({"MESSAGE": "a"})
    nobody.close()
    journal = JournalSocket(str(tmp_path / "socket"))
    taken = 0
    while journal.send({"MESSAGE": "a"}):
        taken += 1
        assert taken < 1_000_000
    journald.recv(1000)
    assert journal.send({"MESSAGE": "b"})
    journal.close()
