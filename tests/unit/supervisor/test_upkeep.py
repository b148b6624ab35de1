"""What lies beside the processes is put right: removed sockets' files, torn and removed tables."""

import fcntl
import os
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from bitcoind_mp.ipc.declared import manifest
from bitcoind_mp.supervisor.upkeep import Upkeep

TABLE = {"role": "node", "commands": [{"name": "getblockcount", "params": []}]}


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "node.sock"))
        listening.listen()
        yield listening


def upkeep(tmp_path: Path, serving: bool = True) -> Upkeep:
    return Upkeep(
        [tmp_path / "node.sock"],
        {"node": tmp_path / "node.json"},
        serves=lambda name: serving,
        read=partial(manifest.read, wait=False),
        write=manifest.write,
    )


def is_reached(tmp_path: Path, listener: socket.socket) -> bool:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(tmp_path / "node.sock"))
        return listener.accept()[0].fileno() > 0


def test_a_removed_socket_is_reached_again(tmp_path: Path, listener: socket.socket) -> None:
    keeping = upkeep(tmp_path)
    for _ in range(2):
        (tmp_path / "node.sock").unlink()
        keeping.look()
        assert is_reached(tmp_path, listener)
    keeping.close()
    assert [path.name for path in tmp_path.iterdir()] == ["node.sock"]


def test_so_it_is_by_the_next_supervisor_which_took_it_over(tmp_path: Path, listener: socket.socket) -> None:
    upkeep(tmp_path)
    (tmp_path / "node.sock").unlink()
    upkeep(tmp_path)
    assert is_reached(tmp_path, listener)


def test_another_s_socket_of_the_same_name_is_let_alone(tmp_path: Path, listener: socket.socket) -> None:
    keeping = upkeep(tmp_path)
    (tmp_path / "node.sock").unlink()
    with socket.socket(socket.AF_UNIX) as another:
        another.bind(str(tmp_path / "node.sock"))
        another.listen()
        keeping.look()
        assert is_reached(tmp_path, another)


@pytest.mark.parametrize("torn", [b"", b'{"role": "node", "comm', b"\xff\x00", None])
def test_a_torn_table_is_written_anew(tmp_path: Path, torn: bytes | None) -> None:
    table = tmp_path / "node.json"
    manifest.write(table, TABLE)
    keeping = upkeep(tmp_path)
    for _ in range(2):
        if torn is None:
            table.unlink()
        else:
            table.write_bytes(torn)
        keeping.look()
        assert manifest.read(table) == TABLE


def test_a_newer_table_is_the_one_that_is_kept(tmp_path: Path) -> None:
    table = tmp_path / "node.json"
    manifest.write(table, TABLE)
    keeping = upkeep(tmp_path)
    manifest.write(table, {**TABLE, "version": "2"})
    keeping.look()
    table.write_bytes(b"")
    keeping.look()
    assert manifest.read(table) == {**TABLE, "version": "2"}


def test_who_does_not_serve_needs_none(tmp_path: Path) -> None:
    table = tmp_path / "node.json"
    manifest.write(table, TABLE)
    keeping = upkeep(tmp_path, serving=False)
    table.write_bytes(b"half")
    keeping.look()
    assert table.read_bytes() == b"half"


def test_a_table_whose_lock_a_worker_keeps_holds_nobody_up(tmp_path: Path) -> None:
    table = tmp_path / "node.json"
    table.write_bytes(b"half")
    with table.open() as kept:
        fcntl.flock(kept, fcntl.LOCK_EX)
        assert manifest.read(table, wait=False) is None


def test_one_that_came_later_is_kept_too_until_it_is_forgotten(tmp_path: Path) -> None:
    keeping = upkeep(tmp_path)
    for _ in range(2):  # one of the same name again is another
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(tmp_path / "wallet@w.sock"))
            listening.listen()
            manifest.write(tmp_path / "wallet@w.json", TABLE)
            keeping.learn("wallet@w", tmp_path / "wallet@w.sock")
            keeping.look()
            (tmp_path / "wallet@w.sock").unlink()
            (tmp_path / "wallet@w.json").unlink()
            keeping.look()
            assert manifest.read(tmp_path / "wallet@w.json") == TABLE
            with socket.socket(socket.AF_UNIX) as caller:
                caller.connect(str(tmp_path / "wallet@w.sock"))
                assert listening.accept()[0].fileno() > 0
        keeping.forget("wallet@w")
        (tmp_path / "wallet@w.sock").unlink()
        (tmp_path / "wallet@w.json").unlink()
        keeping.look()
        assert list(tmp_path.iterdir()) == []


def test_a_directory_that_was_removed_is_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = tmp_path / "run"
    place.mkdir()
    keeping = Upkeep([place / "node.sock"], {}, serves=lambda name: True, read=manifest.read, write=manifest.write)
    place.rmdir()
    for _ in range(3):
        keeping.look()
    assert [record.message for record in caplog.records if "nobody new reaches" in record.message] == [
        f"{place} had been removed: nobody new reaches what listened there. Stop this supervisor (kill {os.getpid()}) "
        "and start it again."
    ]
