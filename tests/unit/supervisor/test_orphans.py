"""Who an earlier supervisor left running, told from who only has the same pid."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bitcoind_mp.supervisor.orphans import Register, boot_id, find, start_time


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()


def orphans(path: Path) -> list[tuple[str, int]]:
    found = []
    for orphan in find(path):
        found.append((orphan.unit, orphan.pid))
        os.close(orphan.pidfd)
    return found


def test_a_process_is_found_again(tmp_path: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    path = tmp_path / "units"
    register = Register(path, ["node", "wallet"])
    assert orphans(path) == []
    register.put("wallet", sleeper.pid)
    assert orphans(path) == [("wallet", sleeper.pid)]
    register.put("node", os.getpid())
    assert orphans(path) == [("node", os.getpid()), ("wallet", sleeper.pid)]
    register.clear("wallet")
    assert orphans(path) == [("node", os.getpid())]
    register.close()


def test_one_that_has_ended_is_not(tmp_path: Path) -> None:
    register = Register(tmp_path / "units", ["node"])
    child = subprocess.Popen(["sleep", "1000"])
    register.put("node", child.pid)
    child.kill()
    child.wait()
    assert orphans(tmp_path / "units") == []
    register.close()


def test_no_register_no_orphans(tmp_path: Path) -> None:
    assert orphans(tmp_path / "nothing") == []


def test_another_process_or_another_boot_is_a_stranger(tmp_path: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    path = tmp_path / "units"
    began = start_time(sleeper.pid)
    assert began.isdigit()
    path.write_text(f"node {sleeper.pid} {int(began) + 1} {boot_id()}\n")
    assert orphans(path) == []
    path.write_text(f"node {sleeper.pid} {began} another-boot\n")
    assert orphans(path) == []
    path.write_text(f"node {sleeper.pid} {began} {boot_id()}\n")
    assert orphans(path) == [("node", sleeper.pid)]


def test_the_register_of_a_new_supervisor_holds_only_who_is_left(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    path = tmp_path / "units"
    first = Register(path, ["node", "wallet"])
    first.put("wallet", sleeper.pid)
    first.close()
    left = list(find(path))
    Register(path, ["node", "wallet"], left).close()
    assert orphans(path) == [("wallet", sleeper.pid)], "should the new one be killed, too, before it has ended"
    Register(path, ["node", "wallet"]).close()
    assert orphans(path) == []
    for orphan in left:
        os.close(orphan.pidfd)


def test_the_start_time_of_nobody_is_empty() -> None:
    assert start_time(2**22 + 1) == ""
