import json
from pathlib import Path

import pytest

from bitcoind_mp.ipc import manifest


def test_it_is_written_in_one_step_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    for count in (1, 2):
        written = {"role": "node", "commands": [{"name": "a", "params": []}] * count}
        manifest.write(path, written)
        assert manifest.read(path) == written
    assert [entry.name for entry in tmp_path.iterdir()] == ["node.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"commands": 5}', "\xff"])
def test_what_is_no_manifest_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "node.json"
    assert manifest.read(path) is None
    path.write_text(text, encoding="latin-1")
    assert manifest.read(path) is None


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
