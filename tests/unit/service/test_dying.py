"""A supervisor that dies lets go of its descriptors one after the other."""

import os
import threading
from pathlib import Path

import pytest

from bitcoind_mp.service.worker import _wait_until_unread


def test_nothing_is_written_into_a_pipe_that_is_about_to_lose_its_reader() -> None:
    reading, writing = os.pipe()
    going = threading.Timer(0.05, os.close, [reading])
    going.start()
    _wait_until_unread(writing)
    with pytest.raises(BrokenPipeError):
        os.write(writing, b"its last words")
    going.join()
    os.close(writing)


def test_a_reader_that_lives_and_a_file_keep_nobody_long(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    _wait_until_unread(writing)
    assert os.write(writing, b"x") == 1
    with (tmp_path / "file").open("w") as file:
        _wait_until_unread(file.fileno())
    for end in (reading, writing):
        os.close(end)
