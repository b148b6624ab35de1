"""The audit log: appended, chained, and every cut of it shows."""

import json
import os
import resource
from pathlib import Path

import pytest

from bitcoind_mp.signer.audit import AuditDamaged, AuditLog, Head


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


def written(path: Path, *events: str) -> Head:
    log = AuditLog(path, Head())
    for event in events:
        log.append(event, amount=5)
    log.close()
    return log.head


def test_a_line_says_what_was_done_and_follows_the_last(path: Path) -> None:
    head = written(path, "made", "signed")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["n"], line["event"], line["amount"]) for line in lines] == [(1, "made", 5), (2, "signed", 5)]
    assert head == Head(2, lines[1]["chain"])
    again = AuditLog(path, head)
    assert again.head == head
    assert again.append("locked").count == 3
    again.close()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("event", ["made", "signed", "locked"])
def test_a_changed_line_shows(path: Path, event: str) -> None:
    head = written(path, "made", "signed", "locked")
    path.write_text(path.read_text().replace(f'"{event}"', '"nothing"'))
    with pytest.raises(AuditDamaged, match="was changed"):
        AuditLog(path, head)


def test_a_line_that_is_taken_out_shows(path: Path) -> None:
    head = written(path, "made", "signed", "locked")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[2])
    with pytest.raises(AuditDamaged, match="was changed"):
        AuditLog(path, head)


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_cut_shows(path: Path, left: int) -> None:
    head = written(path, "made", "signed", "locked")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:left]))
    with pytest.raises(AuditDamaged, match=f"has {left} lines, and 3 were written"):
        AuditLog(path, head)


def test_another_log_in_its_place_shows(path: Path) -> None:
    head = written(path, "made", "signed")
    path.unlink()
    written(path, "made", "exported", "signed")
    with pytest.raises(AuditDamaged, match="was cut or written anew"):
        AuditLog(path, head)


def test_what_is_no_log_is_refused(path: Path) -> None:
    path.write_text("5\n")
    with pytest.raises(AuditDamaged, match="line 1 is no line"):
        AuditLog(path, Head())


@pytest.mark.parametrize("cut", [1, 20])
def test_a_line_cut_short_by_a_kill_is_taken_back(path: Path, cut: int) -> None:
    head = written(path, "made")
    whole = path.read_bytes()
    written(path, "signed")
    path.write_bytes(path.read_bytes()[:-cut])
    log = AuditLog(path, head)
    assert log.head == head
    assert path.read_bytes() == whole
    log.append("signed")
    log.close()
    AuditLog(path, head).close()


def test_a_log_ahead_of_what_was_known_is_taken_as_it_is(path: Path) -> None:
    written(path, "made", "signed")
    first = json.loads(path.read_text().splitlines()[0])
    log = AuditLog(path, Head(1, first["chain"]))
    assert log.head.count == 2
    log.close()


def test_nothing_of_a_line_stays_where_it_does_not_fit(path: Path) -> None:
    """The kernel's limit of a file's size stands for a full disk: it too takes part of a write."""
    head = written(path, "made")
    size = path.stat().st_size
    pid = os.fork()
    if pid == 0:
        import signal

        status = 1
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, size + 10))
        log = AuditLog(path, head)
        try:
            log.append("signed")
        except OSError:
            status = 0 if log.head == head and path.stat().st_size == size else 2
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
