"""Who an earlier supervisor left running, told from who only has the same pid."""

import fcntl
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bitcoind_mp.supervisor.processes.orphans import Orphan, Register, boot_id, find, start_time

BOOT = boot_id(os.environ)


def register_at(path: Path, units: Sequence[str], left: Sequence[Orphan] = ()) -> Register:
    return Register(path, units, left, boot=BOOT)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()


def orphans(path: Path) -> list[tuple[str, int]]:
    found = []
    for orphan in find(path, path.parent, BOOT):
        found.append((orphan.unit, orphan.pid))
        os.close(orphan.pidfd)
    return found


def test_a_process_is_found_again(tmp_path: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    path = tmp_path / "units"
    register = register_at(path, ["node", "wallet"])
    assert orphans(path) == []
    register.put("wallet", sleeper.pid)
    assert orphans(path) == [("wallet", sleeper.pid)]
    register.put("node", os.getpid())
    assert orphans(path) == [("node", os.getpid()), ("wallet", sleeper.pid)]
    register.clear("wallet")
    assert orphans(path) == [("node", os.getpid())]
    register.close()


@pytest.mark.parametrize("in_its_place", [None, "", "node 1 - - -"])
def test_a_register_that_was_removed_is_written_anew(
    tmp_path: Path, sleeper: subprocess.Popen[bytes], in_its_place: str | None
) -> None:
    path = tmp_path / "units"
    register = register_at(path, ["node", "wallet"])
    register.put("wallet", sleeper.pid)
    path.unlink()
    if in_its_place is not None:
        path.write_text(in_its_place)
    assert orphans(path) == []
    register.look()
    assert orphans(path) == [("wallet", sleeper.pid)]
    register.put("node", os.getpid())
    assert orphans(path) == [("node", os.getpid()), ("wallet", sleeper.pid)]
    register.look()
    assert orphans(path) == [("node", os.getpid()), ("wallet", sleeper.pid)]
    register.close()


def test_without_its_directory_it_waits(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    path = tmp_path / "run" / "units"
    path.parent.mkdir()
    register = register_at(path, ["node"])
    path.unlink()
    path.parent.rmdir()
    register.look()
    register.put("node", sleeper.pid)
    path.parent.mkdir()
    register.look()
    assert orphans(path) == [("node", sleeper.pid)]
    register.close()


def test_units_come_and_go(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    path = tmp_path / "units"
    register = register_at(path, ["node"])
    longest = "wallet@" + "x" * 72
    for name in ("wallet@a", longest):
        register.add(name)
    register.put("wallet@a", sleeper.pid)
    register.put(longest, os.getpid())
    register.add("wallet@a")
    assert orphans(path) == [("wallet@a", sleeper.pid), (longest, os.getpid())], "known already: it stays"
    register.remove("wallet@a")
    register.add("wallet@b")
    register.put("wallet@b", sleeper.pid)
    assert orphans(path) == [("wallet@b", sleeper.pid), (longest, os.getpid())], "in the place of the one that went"
    register.close()


def test_one_that_has_ended_is_not(tmp_path: Path) -> None:
    register = register_at(tmp_path / "units", ["node"])
    child = subprocess.Popen(["sleep", "1000"])
    register.put("node", child.pid)
    child.kill()
    child.wait()
    assert orphans(tmp_path / "units") == []
    register.close()


def test_nor_one_that_has_ended_and_nobody_has_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "units"
    ended = subprocess.Popen(["true"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    register = register_at(path, ["node"])
    register.put("node", ended.pid)
    assert start_time(ended.pid)
    assert orphans(path) == []
    ended.wait()
    register.close()


def test_no_register_no_orphans(tmp_path: Path) -> None:
    assert orphans(tmp_path / "nothing") == []


def test_another_process_or_another_boot_is_a_stranger(tmp_path: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    path = tmp_path / "units"
    began = start_time(sleeper.pid)
    assert began.isdigit()
    path.write_text(f"node {sleeper.pid} {int(began) + 1} - {BOOT}\n")
    assert orphans(path) == []
    path.write_text(f"node {sleeper.pid} {began} - another-boot\n")
    assert orphans(path) == []
    path.write_text(f"node {sleeper.pid} {began} - {BOOT}\n")
    assert orphans(path) == [("node", sleeper.pid)]


def test_the_register_of_a_new_supervisor_holds_only_who_is_left(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    path = tmp_path / "units"
    first = register_at(path, ["node", "wallet"])
    first.put("wallet", sleeper.pid)
    first.close()
    left = list(find(path, path.parent, BOOT))
    register_at(path, ["node", "wallet"], left).close()
    assert orphans(path) == [("wallet", sleeper.pid)], "should the new one be killed, too, before it has ended"
    register_at(path, ["node", "wallet"]).close()
    assert orphans(path) == []
    for orphan in left:
        os.close(orphan.pidfd)


def test_the_start_time_of_nobody_is_empty() -> None:
    assert start_time(2**22 + 1) == ""


def number_of(pid: int) -> int:
    pidfd = os.pidfd_open(pid)
    try:
        return os.fstat(pidfd).st_ino
    finally:
        os.close(pidfd)


def test_one_whose_start_time_is_hidden_is_told_by_its_pidfd_s_number(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    number = number_of(sleeper.pid)
    if number == number_of(os.getpid()):
        pytest.skip("this kernel numbers no pidfds (Linux 6.9)")
    path = tmp_path / "units"
    path.write_text(f"node {sleeper.pid} - {number} {BOOT}\n")
    assert orphans(path) == [("node", sleeper.pid)]
    path.write_text(f"node {sleeper.pid} - {number + 1} {BOOT}\n")
    assert orphans(path) == []


def test_one_of_which_nothing_is_known_is_told_by_the_lock_that_it_holds(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    path, lock = tmp_path / "units", tmp_path / "node.lock"
    path.write_text(f"node {sleeper.pid} - - {BOOT}\n")
    assert orphans(path) == [], "no lock"
    lock.write_text(f"{sleeper.pid}\n")
    assert orphans(path) == [], "nobody holds it"
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert orphans(path) == [("node", sleeper.pid)]
        lock.write_text(f"{sleeper.pid + 1}\n")
        assert orphans(path) == [], "another does"
