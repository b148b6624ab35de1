"""Files that are written so that a kill leaves the old one or the new one."""

import os
from pathlib import Path

import pytest

from bitcoind_mp.config.state import read_json, replacing, write_json


def test_whatever_lies_where_it_is_written_first_is_no_matter(tmp_path: Path) -> None:
    """A named pipe, which somebody who was broken into may leave, would wait for a reader for ever."""
    file = tmp_path / "state.json"
    os.mkfifo(tmp_path / "state.json.partial")
    write_json(file, {"a": 1})
    assert read_json(file) == {"a": 1}
    (tmp_path / "elsewhere").write_text("not to be touched")
    (tmp_path / "state.json.partial").symlink_to("elsewhere")
    write_json(file, {"a": 2})
    assert read_json(file) == {"a": 2}
    assert (tmp_path / "elsewhere").read_text() == "not to be touched"
    assert {path.name for path in tmp_path.iterdir()} == {"elsewhere", "state.json"}


def test_an_error_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    write_json(file, [1])
    with pytest.raises(TypeError):
        write_json(file, [object()])
    with pytest.raises(OSError, match="full"), replacing(file) as partial:
        partial.write_text("half")
        raise OSError("full")
    assert read_json(file) == [1]
    assert list(tmp_path.iterdir()) == [file]
