import os
from pathlib import Path

import pytest

from bitcoind_mp.interfaces.errors import ExitStatus, FatalError
from bitcoind_mp.service.lock import acquire


def test_one_holds_it_and_the_other_learns_who(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    held = acquire(path)
    assert path.read_text() == f"{os.getpid()}\n"
    with pytest.raises(FatalError) as caught:
        acquire(path, program="bitcoind-mp")
    assert caught.value.status is ExitStatus.LOCKED
    assert str(caught.value).startswith(f"bitcoind-mp is already running on {tmp_path} (pid {os.getpid()}).")
    held.release()
    held.release()
    acquire(path).release()


def test_a_file_left_behind_is_no_lock(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    path.write_text("1\n")
    held = acquire(path)
    assert path.read_text() == f"{os.getpid()}\n"
    held.release()


def test_a_directory_that_isn_t_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FatalError) as caught:
        acquire(tmp_path / "nosuch" / ".lock")
    assert caught.value.status is ExitStatus.OS_ERROR


def test_no_child_inherits_it(tmp_path: Path) -> None:
    held = acquire(tmp_path / ".lock")
    assert not os.get_inheritable(held._descriptor)
    held.release()


def test_it_is_given_back_on_a_disk_that_has_become_read_only(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    held = acquire(path)
    reading = os.open(path, os.O_RDONLY)
    os.dup2(reading, held.descriptor)  # a truncate is refused now, as it is there
    os.close(reading)
    held.release()
    acquire(path).release()
