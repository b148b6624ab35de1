"""Whose lock it is that Bitcoin Core takes: Core's, our node's, nobody's; and what is left behind by asking."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bitcoind_mp.interfaces.errors import ExitStatus, FatalError
from bitcoind_mp.service.corelock import CoreLock, kept_out, require_no_core

HOLD = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_by_another(path: Path) -> Iterator[int]:
    """Its pid."""
    words = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process.pid
        process.stdin.close()


def can_be_taken(path: Path) -> bool:
    """By another process: our own locks never refuse us."""
    code = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    return subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, check=False).returncode == 0


def test_where_core_was_never_nothing_is_left(tmp_path: Path) -> None:
    directory = tmp_path / "regtest"
    require_no_core(directory)
    with kept_out(directory):
        pass
    assert not directory.exists()


def test_a_lock_of_core_s_is_refused_and_by_whom_it_is_held_is_told(tmp_path: Path) -> None:
    (tmp_path / "blocks").mkdir()
    with held_by_another(tmp_path / ".lock") as pid:
        (tmp_path / "node.lock").write_text(f"{pid + 1}\n")  # of a node that is gone
        for attempt in (require_no_core, lambda path: kept_out(path).__enter__(), CoreLock):
            with pytest.raises(FatalError, match="Bitcoin Core is probably running on it") as refused:
                attempt(tmp_path)
            assert refused.value.status is ExitStatus.LOCKED
            assert str(refused.value.obstacle) == f"lock {pid} {tmp_path / '.lock'}"
        assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "blocks", "node.lock"]
    require_no_core(tmp_path)


def test_our_own_node_s_is_in_nobody_s_way(tmp_path: Path) -> None:
    with held_by_another(tmp_path / ".lock") as pid:
        (tmp_path / "node.lock").write_text(f"{pid}\n")
        require_no_core(tmp_path)
        with kept_out(tmp_path):
            pass


def test_core_can_t_start_while_it_is_kept_out(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    lock.touch()
    with kept_out(tmp_path):
        assert not can_be_taken(lock)
    assert can_be_taken(lock)


def test_a_node_waits_for_whoever_keeps_core_out_for_a_moment(tmp_path: Path) -> None:
    code = HOLD.replace("sys.stdin.read()", "sys.stdin.readline()")
    words = [sys.executable, "-c", code, str(tmp_path / ".lock")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        process.stdin.write(b"\n")
        process.stdin.flush()  # it ends now, or in a moment
        taken = CoreLock(tmp_path)
    assert not can_be_taken(tmp_path / ".lock")
    taken.release()
    assert can_be_taken(tmp_path / "blocks" / ".lock")
