import io
import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bitcoind_mp.interfaces.journal import Event, event
from bitcoind_mp.service.logging import (
    CATEGORIES,
    JournalHandler,
    LineFormatter,
    PipeFormatter,
    categories,
    set_category,
    setup,
    stderr_is_journal,
)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Put the process's logging back as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    root.handlers.clear()
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("", *(f".{category}" for category in CATEGORIES)):
        logging.getLogger(f"bitcoind_mp{name}").setLevel(logging.NOTSET)


def record(name: str, level: int, text: str, *args: Any) -> logging.LogRecord:
    made = logging.LogRecord(name, level, __file__, 1, text, args, None)
    made.created = 1795444538.25
    return made


@pytest.mark.parametrize(
    "name, level, line",
    [
        ("bitcoind_mp.ipc", logging.DEBUG, "2026-11-23T14:35:38Z [ipc] five 5"),
        ("bitcoind_mp.net.sync", logging.INFO, "2026-11-23T14:35:38Z [net] five 5"),
        ("bitcoind_mp", logging.INFO, "2026-11-23T14:35:38Z five 5"),
        ("bitcoind_mp.net", logging.WARNING, "2026-11-23T14:35:38Z [net:warning] five 5"),
        ("bitcoind_mp", logging.ERROR, "2026-11-23T14:35:38Z [error] five 5"),
        ("asyncio", logging.ERROR, "2026-11-23T14:35:38Z [asyncio:error] five 5"),
    ],
)
def test_lines_look_like_core_s(name: str, level: int, line: str) -> None:
    assert LineFormatter().format(record(name, level, "five %d", 5)) == line


def test_whoever_reads_a_pipe_for_the_journal_gets_a_priority_a_line_and_no_time() -> None:
    formatter = PipeFormatter()
    assert formatter.format(record("bitcoind_mp.ipc", logging.DEBUG, "a")) == "<7>[ipc] a"
    assert formatter.format(record("bitcoind_mp", logging.ERROR, "a\nb")) == "<3>[error] a\n<3>b"


def test_a_pipe_for_the_journal_gets_an_event_s_id_too() -> None:
    told = record("bitcoind_mp.wallet", logging.INFO, "a\nb")
    told.__dict__.update(event(Event.WALLET_LOCKED))
    assert PipeFormatter().format(told) == f"<6:{Event.WALLET_LOCKED}>[wallet] a\n<6>b"


class Entries:
    """What is told to the journal, or refused."""

    def __init__(self, takes: bool = True) -> None:
        self.takes = takes
        self.told: list[tuple[Any, ...]] = []

    def add(
        self, message: Any, priority: int, *, unit: str, pid: int | None, message_id: str = "", cause: str = ""
    ) -> bool:
        self.told.append((message, priority, unit, pid, message_id, cause))
        return self.takes


def test_a_record_is_one_entry_that_says_whose_it_is() -> None:
    entries = Entries()
    handler = JournalHandler(entries, "wallet")
    handler.emit(record("bitcoind_mp.wallet", logging.WARNING, "a\nb"))
    about_another = record("bitcoind_mp.ipc", logging.ERROR, "c")
    about_another.__dict__.update(event(Event.UNIT_FAILED, unit="node", pid=7, cause="killed"))
    handler.emit(about_another)
    own, other = entries.told
    assert own == ("[warning] a\nb", 4, "wallet", os.getpid(), "", "")
    assert other == ("[ipc:error] c", 3, "node", 7, str(Event.UNIT_FAILED), "killed")


def test_what_the_journal_does_not_take_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    JournalHandler(Entries(takes=False), "node").emit(record("bitcoind_mp.net", logging.WARNING, "a"))
    assert capsys.readouterr().err == "<4>[net:warning] a\n"


def test_the_journal_itself_is_told_no_id_in_front_of_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    told = record("bitcoind_mp.supervisor", logging.INFO, "a\nb")
    told.__dict__.update(event(Event.UNIT_FAILED, unit="node", pid=7))
    JournalHandler(Entries(takes=False), "supervisor", "supervisor: ").emit(told)
    assert capsys.readouterr().err == "<6>supervisor: [supervisor] a\n<6>supervisor: b\n"


def test_a_traceback_follows_its_line() -> None:
    try:
        raise ValueError("x")
    except ValueError:
        made = logging.LogRecord("bitcoind_mp", logging.ERROR, __file__, 1, "failed", None, sys.exc_info())
    assert re.match(r".*Z \[error\] failed\nTraceback .*ValueError: x$", LineFormatter().format(made), re.DOTALL)


def test_debug_lines_are_logged_for_the_categories_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "debug.log"
    setup(file=file, console=False, debug=["ipc", "net"])
    for category in ("ipc", "net", "mempool"):
        logging.getLogger(f"bitcoind_mp.{category}").debug("debug of %s", category)
        logging.getLogger(f"bitcoind_mp.{category}").info("info of %s", category)
    lines = [line.split("Z ", 1)[1] for line in file.read_text().splitlines()]
    told = [(line.split()[0], line.split()[1]) for line in lines]
    assert told == [
        ("[ipc]", "debug"),
        ("[ipc]", "info"),
        ("[net]", "debug"),
        ("[net]", "info"),
        ("[mempool]", "info"),
    ]
    assert [name for name, on in categories().items() if on] == ["ipc", "net"]
    set_category("ipc", False)
    set_category("mempool", True)
    assert [name for name, on in categories().items() if on] == ["mempool", "net"]
    with pytest.raises(KeyError):
        set_category("nosuch", True)


EVERY = len(CATEGORIES)


@pytest.mark.parametrize(
    "debug, on",
    [
        (["1"], len(CATEGORIES)),
        (["all"], len(CATEGORIES)),
        ([""], len(CATEGORIES)),
        (["1", "0"], 0),
        (["none", "ipc"], 1),
        ([], 0),
    ],
)
def test_everything_and_nothing(debug: list[str], on: int) -> None:
    setup(console=False, debug=debug)
    assert sum(categories().values()) == on


def test_an_unknown_category_is_refused() -> None:
    with pytest.raises(ValueError, match="Unsupported logging category -debug=nosuch"):
        setup(console=False, debug=["nosuch"])


def test_a_log_that_was_moved_away_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "debug.log"
    setup(file=file, console=False)
    logging.getLogger("bitcoind_mp").info("one")
    file.rename(tmp_path / "debug.log.1")
    logging.getLogger("bitcoind_mp").info("two")
    assert file.read_text().endswith("two\n") and "one" not in file.read_text()


def test_the_journal_is_known_by_its_stream(tmp_path: Path, capfd: Any) -> None:
    status = os.fstat(2)
    here = f"{status.st_dev}:{status.st_ino}"
    real, sys.stderr = sys.stderr, io.TextIOWrapper(io.FileIO(2, "w", closefd=False), write_through=True)
    try:
        assert stderr_is_journal({"JOURNAL_STREAM": here})
        assert not stderr_is_journal({"JOURNAL_STREAM": "1:2"}) and not stderr_is_journal({})
        setup(environ={"JOURNAL_STREAM": here})
        logging.getLogger("bitcoind_mp.ipc").warning("seen")
    finally:
        sys.stderr = real
    assert capfd.readouterr().err == "<4>[ipc:warning] seen\n"


def test_a_full_disk_costs_the_line_alone(capsys: Any) -> None:
    full = Path("/dev/full")
    if not full.is_char_device():
        pytest.skip("there is no /dev/full here")
    setup(file=full, console=False)
    logging.getLogger("bitcoind_mp").info("lost")
    assert capsys.readouterr().err == ""


def stderr_without_reader() -> io.TextIOWrapper:
    reading, writing = os.pipe()
    os.close(reading)
    return io.TextIOWrapper(io.FileIO(writing, "w"), write_through=True)


@pytest.mark.parametrize("place", ["node.log", "other.log", None])
def test_lines_that_nobody_reads_any_more_go_to_the_heir(tmp_path: Path, capfd: Any, place: str | None) -> None:
    (tmp_path / "node.log").touch()
    heir = tmp_path / place if place else None
    real, sys.stderr = sys.stderr, stderr_without_reader()
    try:
        setup(heir=heir)
        logging.getLogger("bitcoind_mp").info("one")
        logging.getLogger("bitcoind_mp").info("two")
    finally:
        sys.stderr.close()
        sys.stderr = real
    written = [line.split("Z ")[1] for line in heir.read_text().splitlines()] if heir and heir.exists() else None
    assert written == (["one", "two"] if place == "node.log" else None)
    assert capfd.readouterr().err == ""


def test_a_reader_that_comes_back_reads_again(tmp_path: Path) -> None:
    """As the next supervisor's of a named pipe does."""
    heir, pipe = tmp_path / "node.log", tmp_path / "node.out"
    heir.touch()
    os.mkfifo(pipe)
    first = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    real, sys.stderr = sys.stderr, io.TextIOWrapper(io.FileIO(pipe, "w"), write_through=True)
    try:
        setup(heir=heir)
        os.close(first)
        logging.getLogger("bitcoind_mp").info("alone")
        second = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        logging.getLogger("bitcoind_mp").info("heard")
    finally:
        sys.stderr.close()
        sys.stderr = real
    assert heir.read_text().endswith("Z alone\n")
    assert os.read(second, 1000).endswith(b"Z heard\n")
    os.close(second)


def test_the_journals_lines_have_no_heir(tmp_path: Path) -> None:
    real, sys.stderr = sys.stderr, stderr_without_reader()
    status = os.fstat(sys.stderr.fileno())
    try:
        setup(environ={"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}, heir=tmp_path / "node.log")
        logging.getLogger("bitcoind_mp").info("lost")
    finally:
        sys.stderr.close()
        sys.stderr = real
    assert list(tmp_path.iterdir()) == []


def test_an_excluded_category_is_not_logged_whatever_debug_says() -> None:
    setup(console=False, debug=["1"], exclude=["net"])
    shown = categories()
    assert not shown["net"]
    assert shown["ipc"]
    with pytest.raises(ValueError, match="-debugexclude=nonsense"):
        setup(console=False, exclude=["nonsense"])
    setup(console=False)
