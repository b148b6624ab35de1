import fcntl
import json
import threading
import time
from pathlib import Path

import pytest

from bitcoind_mp.ipc.declared import manifest


def test_it_is_written_in_one_step_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    for count in (1, 2):
        written = {"role": "node", "commands": [{"name": "a", "params": []}] * count}
        manifest.write(path, written)
        assert manifest.read(path) == written
    assert [entry.name for entry in tmp_path.iterdir()] == ["node.json"]


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", '{"commands": 5}', "\xff", '{"commands": [5]}', '{"commands": [{"usage": "a"}]}'),
        *('{"commands": [{"name": "a", "usage": 5}]}', '{"commands": ' + "[" * 100_000),
    ],
)
def test_what_is_no_manifest_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "node.json"
    assert manifest.read(path) is None
    path.write_text(text, encoding="latin-1")
    assert manifest.read(path) is None


def test_no_more_is_read_than_a_table_can_have(tmp_path: Path) -> None:
    """Its writer may have been broken into: the supervisor's memory isn't that one's to fill."""
    path = tmp_path / "node.json"
    path.write_text('{"commands": []}')
    assert manifest.read(path) == {"commands": []}
    with path.open("a") as file:
        file.write(" " * manifest.LONGEST + "x")
    assert manifest.read(path) == {"commands": []}, "what is beyond isn't looked at"


def test_a_write_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    manifest.write(path, {"commands": []})
    with pytest.raises(TypeError):
        manifest.write(path, {"commands": [object()]})
    assert json.loads(path.read_text()) == {"commands": []}
    assert [entry.name for entry in tmp_path.iterdir()] == ["node.json"]


@pytest.mark.parametrize(("of_socket", "of_table"), [(0o600, 0o600), (0o660, 0o640)])
def test_whoever_may_use_the_socket_may_read_it(tmp_path: Path, of_socket: int, of_table: int) -> None:
    socket = tmp_path / "node.sock"
    socket.touch()
    socket.chmod(of_socket)
    manifest.write(tmp_path / "node.json", {"commands": []})
    assert (tmp_path / "node.json").stat().st_mode & 0o777 == of_table


def test_a_table_opened_beforehand_is_written_where_no_file_can_be_made(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    manifest.write(path, {"commands": [{"name": "a", "params": []}] * 50})
    table = manifest.Table(path)
    assert len(manifest.read(path)["commands"]) == 50  # type: ignore[index]
    table.write({"commands": []})
    assert manifest.read(path) == {"commands": []}
    assert [entry.name for entry in tmp_path.iterdir()] == ["node.json"]


def test_an_empty_table_is_none(tmp_path: Path) -> None:
    manifest.Table(tmp_path / "node.json")
    assert manifest.read(tmp_path / "node.json") is None


def test_a_reader_that_meets_half_a_table_waits_for_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    with path.open("wb", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(b'{"comm')
        found: list[object] = []
        reading = threading.Thread(target=lambda: found.append(manifest.read(path)))
        reading.start()
        end = time.monotonic() + 30
        while f":{path.stat().st_ino} " not in "".join(_waiting()):
            assert time.monotonic() < end, "the reader does not wait"
        file.write(b'ands":[]}')
    reading.join(30)
    assert found == [{"commands": []}]


def _waiting() -> list[str]:
    """The locks that somebody waits for (proc_locks(5))."""
    return [line for line in Path("/proc/locks").read_text().splitlines() if "->" in line]
