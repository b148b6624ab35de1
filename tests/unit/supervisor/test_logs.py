"""From a pipe to file, memory, followers, console and journal."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from bitcoind_mp.supervisor.output.logfile import LogFile
from bitcoind_mp.supervisor.output.logs import Console, Journal, Pump, UnitLog


class Entries:
    """What is told to the journal, or refused."""

    def __init__(self, takes: bool = True) -> None:
        self.takes = takes
        self.told: list[tuple[Any, ...]] = []

    def add(self, message: Any, priority: int, *, unit: str, pid: int | None, message_id: str) -> bool:
        self.told.append((message, priority, unit, pid, message_id))
        return self.takes


@pytest.fixture
def file(tmp_path: Path) -> LogFile:
    return LogFile(tmp_path / "node.log", max_size=10**9, backups=1)


def test_whole_lines_only_until_the_process_ends(file: LogFile) -> None:
    log = UnitLog("node", file)
    pump = Pump(log)
    os.write(pump.writer, b"one\ntwo\nthr")
    pump.read()
    assert log.tail(10) == ["one", "two"]
    os.write(pump.writer, b"ee\nlast words")
    pump.finish()
    assert log.tail(10) == ["one", "two", "three", "last words"]
    assert file.path.read_bytes() == b"one\ntwo\nthree\nlast words\n"
    pump.close()


def test_an_empty_pipe_is_nothing(file: LogFile) -> None:
    pump = Pump(UnitLog("node", file))
    assert pump.read() is False
    pump.finish()
    assert file.path.read_bytes() == b""
    pump.close()


def test_a_line_without_end_cannot_fill_the_memory(file: LogFile) -> None:
    log = UnitLog("node", file)
    pump = Pump(log)
    for _ in range(20):
        os.write(pump.writer, b"x" * 10_000)
        pump.read()
    pump.finish()
    assert all(len(line) <= 16 * 1024 for line in log.tail(100))
    assert sum(map(len, log.tail(100))) == 200_000
    pump.close()


def test_a_flood_of_empty_lines_is_many_turns_work(file: LogFile) -> None:
    """Each is an entry of the journal's: all that the pipe holds at once would keep the others waiting."""
    entries = Entries()
    pump = Pump(UnitLog("node", file, Journal(1, entries)))
    os.write(pump.writer, b"\n" * 60_000)
    pump.read()
    assert 0 < len(entries.told) < 10_000
    pump.finish()
    assert len(entries.told) == 60_000
    pump.close()


def test_what_is_not_utf8_is_shown_all_the_same(file: LogFile) -> None:
    log = UnitLog("node", file)
    log.write([b"caf\xe9", "caf\u00e9".encode()])
    assert log.tail(2) == ["caf\ufffd", "caf\u00e9"]
    assert file.path.read_bytes() == b"caf\xe9\n" + "caf\u00e9\n".encode()


def test_only_the_newest_lines_are_kept() -> None:
    log = UnitLog("node", None, keep=3)
    log.write([b"%d" % number for number in range(10)])
    assert log.tail(100) == ["7", "8", "9"]
    assert log.tail(2) == ["8", "9"]
    assert log.tail(0) == []


def test_followers_are_told_until_they_leave() -> None:
    log = UnitLog("node", None)
    told: list[str] = []
    leave = log.follow(told.extend)
    log.write([b"one"])
    leave()
    log.write([b"two"])
    assert told == ["one"]


def test_the_last_words_are_of_the_present_process() -> None:
    log = UnitLog("node", None)
    log.write([b"2026-11-23T15:40:24Z [error] the one before"])
    log.begin()
    assert log.last_words(3) == ([], "")
    log.write([b"one", b"2026-11-23T15:40:24Z [net:error] Unable to bind.", b"two", b"three", b"[net:warning] four"])
    assert log.last_words(3) == (["two", "three", "[net:warning] four"], "Unable to bind.")
    log.begin()
    log.write([b"Error: Invalid value of -par.", b"that is no Error: at all"])
    assert log.last_words(1)[1] == "Invalid value of -par."
    log.begin()
    log.write([b"no error] here", b"[error]"])
    assert log.last_words(3) == (["no error] here", "[error]"], "")
    log.write([b"[error] peer \x1b]0;owned\x07 sent nonsense"])
    assert log.last_words(1)[1] == "peer  ]0;owned  sent nonsense"


def test_a_full_disk_does_not_stop_the_pump(tmp_path: Path) -> None:
    (tmp_path / "node.log").symlink_to("/dev/full")
    log = UnitLog("node", LogFile(tmp_path / "node.log", max_size=10**6, backups=1))
    pump = Pump(log)
    for number in range(1000):
        os.write(pump.writer, b"line %d\n" % number)
        pump.read()
    assert log.file is not None
    assert log.file.lost == 1000
    assert log.tail(1) == ["line 999"]
    pump.close()


def test_priorities_are_for_the_journal_alone(file: LogFile) -> None:
    ours, theirs = socket.socketpair()
    entries = Entries(takes=False)
    log = UnitLog("node", file, Journal(ours.fileno(), entries))
    log.write([b"<4>[net] slow peer", b"plain", b"<9>no priority", b"<6>"])
    assert theirs.recv(1000) == b"<4>node: [net] slow peer\n<6>node: plain\n<6>node: <9>no priority\n<6>node: \n"
    assert file.path.read_bytes() == b"[net] slow peer\nplain\n<9>no priority\n\n"
    ours.close()
    theirs.close()


def test_each_line_is_an_entry_of_its_process(file: LogFile) -> None:
    entries = Entries()
    log = UnitLog("wallet", file, Journal(2, entries))
    log.pid = 7
    message_id = "0123456789abcdef" * 2
    log.write([b"<4>[wallet:warning] slow", f"<6:{message_id}>[wallet] unlocked".encode(), b"plain"])
    assert entries.told == [
        (b"wallet: [wallet:warning] slow", 4, "wallet", 7, ""),
        (b"wallet: [wallet] unlocked", 6, "wallet", 7, message_id),
        (b"wallet: plain", 6, "wallet", 7, ""),
    ]
    assert log.tail(3) == ["[wallet:warning] slow", "[wallet] unlocked", "plain"]


def test_a_console_that_nobody_reads_blocks_nobody() -> None:
    reading, writing = os.pipe()
    console = Console(writing)
    lines = [b"x" * 100] * 10
    for _ in range(1000):
        console.write("node", lines, None)
    assert console.lost > 0
    os.set_blocking(reading, False)
    taken = len(os.read(reading, 10**7).splitlines())
    assert taken + console.lost == 10_000
    console.write("node", [b"again"], None)
    assert os.read(reading, 100) == b"node: again\n"
    os.close(reading)
    os.close(writing)


def test_a_console_may_be_a_terminal() -> None:
    """Nothing that a worker writes is obeyed by it."""
    reading, writing = os.pipe()
    Console(writing).write("node", [b"\x1b]0;mine\x07\x1b[2J", "a\u009b31m".encode(), b"\xffcaf\xc3\xa9\tgood"], None)
    shown = os.read(reading, 1000).decode()
    assert shown == "node: \ufffd]0;mine\ufffd\ufffd[2J\nnode: a\ufffd31m\nnode: \ufffdcaf\u00e9\tgood\n"
    os.close(reading)
    os.close(writing)


def test_a_console_that_is_gone_is_no_error() -> None:
    reading, writing = os.pipe()
    console = Console(writing)
    os.close(reading)
    console.write("node", [b"line"], None)
    assert console.lost == 1
    os.close(writing)
