"""Log files: rotation, and a disk that is full. /dev/full is the full disk."""

from pathlib import Path

import pytest

from bitcoind_mp.supervisor.output.logfile import LogFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "node.log"


def test_lines_are_appended_to_what_is_there(path: Path) -> None:
    first = LogFile(path, max_size=1000, backups=1)
    first.write(b"one\n", 1)
    first.close()
    second = LogFile(path, max_size=1000, backups=1)
    second.write(b"two\nthree\n", 2)
    second.close()
    assert path.read_bytes() == b"one\ntwo\nthree\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_rotation_keeps_the_newest_and_loses_nothing_in_between(path: Path) -> None:
    file = LogFile(path, max_size=100, backups=3)
    for number in range(100):
        file.write(b"line %06d\n" % number, 1)
    file.close()
    kept = [path.with_name(name) for name in ("node.log.3", "node.log.2", "node.log.1", "node.log")]
    assert [each.exists() for each in kept] == [True] * 4
    assert all(each.stat().st_size <= 100 for each in kept)
    assert not path.with_name("node.log.4").exists()
    lines = b"".join(each.read_bytes() for each in kept).splitlines()
    assert lines == [b"line %06d" % number for number in range(100 - len(lines), 100)]


def test_without_backups_the_file_starts_anew(path: Path) -> None:
    file = LogFile(path, max_size=20, backups=0)
    for number in range(9):
        file.write(b"line %04d\n" % number, 1)
    file.close()
    assert path.read_bytes() == b"line 0008\n"
    assert [each.name for each in path.parent.iterdir()] == ["node.log"]


def test_a_batch_larger_than_the_limit_is_written_whole(path: Path) -> None:
    file = LogFile(path, max_size=10, backups=1)
    file.write(b"x" * 50 + b"\n", 1)
    file.close()
    assert path.stat().st_size == 51


def test_reopening_follows_a_file_that_was_moved_away(path: Path) -> None:
    file = LogFile(path, max_size=1000, backups=1)
    file.write(b"before\n", 1)
    path.rename(path.with_name("moved"))
    file.reopen()
    file.write(b"after\n", 1)
    file.close()
    assert path.read_bytes() == b"after\n"


def test_a_full_disk_is_counted_and_told_when_it_is_over(path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to("/dev/full")
    file = LogFile(path, max_size=1000, backups=1)
    file.write(b"lost\nlost too\n", 2)
    file.write(b"lost as well\n", 1)
    assert file.lost == 3
    assert file.error == f"{path}: No space left on device"
    path.unlink()
    file.reopen()
    file.write(b"written\n", 1)
    assert file.error == ""
    assert file.lost == 3
    assert path.read_text() == f"[3 lines lost: {path}: No space left on device]\nwritten\n"
    file.write(b"more\n", 1)
    file.close()
    assert path.read_text().endswith("]\nwritten\nmore\n")


def test_a_directory_that_cannot_be_made_is_no_end_either(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    file = LogFile(tmp_path / "logs" / "node.log", max_size=1000, backups=1)
    file.write(b"lost\n", 1)
    assert (file.lost, file.error != "") == (1, True)
    (tmp_path / "logs").unlink()
    file.write(b"written\n", 1)
    file.close()
    assert (tmp_path / "logs" / "node.log").read_text().endswith("written\n")


def test_a_rename_that_fails_lets_the_file_grow(path: Path) -> None:
    file = LogFile(path, max_size=30, backups=1)
    (path.parent / "node.log.1").mkdir()
    (path.parent / "node.log.1" / "occupied").touch()
    for number in range(5):
        file.write(b"line %06d\n" % number, 1)
    file.close()
    assert len(path.read_bytes().splitlines()) >= 5
    assert file.lost == 0
