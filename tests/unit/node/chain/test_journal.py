"""The journal on files of every shape that a crash can leave."""

import os
import resource
import signal
from pathlib import Path

import pytest

from bitcoind_mp.node.chain.journal import Journal, JournalDamaged

BLOCKS = [b"a" * 100, b"b" * 2000, b"c" * 3]


def written(path: Path, blocks: list[bytes] = BLOCKS) -> int:
    journal = Journal(path)
    for block in blocks:
        journal.append(block, durable=True)
    journal.close()
    return path.stat().st_size


def test_what_was_appended_is_there_when_opened_again(tmp_path: Path) -> None:
    written(tmp_path / "j")
    journal = Journal(tmp_path / "j")
    assert list(journal.blocks()) == BLOCKS
    assert journal.size == sum(len(block) + 8 for block in BLOCKS)


def test_reading_twice_changes_nothing(tmp_path: Path) -> None:
    size = written(tmp_path / "j")
    for _ in range(2):
        journal = Journal(tmp_path / "j")
        assert list(journal.blocks()) == BLOCKS
        journal.close()
    assert (tmp_path / "j").stat().st_size == size


def test_every_cut_leaves_the_whole_records_before_it(tmp_path: Path) -> None:
    size = written(tmp_path / "j")
    data = (tmp_path / "j").read_bytes()
    ends = [8]
    for block in BLOCKS:
        ends.append(ends[-1] + 8 + len(block))
    for cut in range(size):
        (tmp_path / "cut").write_bytes(data[:cut])
        journal = Journal(tmp_path / "cut")
        whole = sum(end <= cut for end in ends[1:])
        assert list(journal.blocks()) == BLOCKS[:whole]
        journal.append(b"new", durable=False)
        assert list(journal.blocks()) == [*BLOCKS[:whole], b"new"]
        journal.close()


def test_a_record_whose_bytes_changed_is_the_end(tmp_path: Path) -> None:
    written(tmp_path / "j")
    data = bytearray((tmp_path / "j").read_bytes())
    data[8 + 8 + 100 + 8 + 50] ^= 1
    (tmp_path / "j").write_bytes(data)
    assert list(Journal(tmp_path / "j").blocks()) == BLOCKS[:1]


def test_a_length_beyond_any_block_is_the_end(tmp_path: Path) -> None:
    written(tmp_path / "j", BLOCKS[:1])
    with (tmp_path / "j").open("ab") as file:
        file.write(b"\xff\xff\xff\xff\x00\x00\x00\x00" + b"x" * 50)
    assert list(Journal(tmp_path / "j").blocks()) == BLOCKS[:1]


def test_undo_takes_the_last_one_out(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.append(b"kept", durable=False)
    before = journal.append(b"refused", durable=True)
    journal.undo(before)
    assert list(journal.blocks()) == [b"kept"]


def test_clear_empties_it(tmp_path: Path) -> None:
    written(tmp_path / "j")
    journal = Journal(tmp_path / "j")
    journal.clear()
    assert journal.size == 0
    journal.append(b"new", durable=True)
    assert list(journal.blocks()) == [b"new"]


def test_something_else_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b"a letter to a friend")
    with pytest.raises(JournalDamaged):
        Journal(tmp_path / "j")
    assert (tmp_path / "j").read_bytes() == b"a letter to a friend"


@pytest.fixture
def small_files():
    """Files can't grow beyond 4096 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_block_that_does_not_fit_leaves_what_was_there(tmp_path: Path, small_files: None) -> None:
    journal = Journal(tmp_path / "j")
    journal.append(b"kept", durable=True)
    with pytest.raises(OSError):
        journal.append(os.urandom(5000), durable=True)
    assert list(journal.blocks()) == [b"kept"]
    journal.append(b"small", durable=True)
    assert list(Journal(tmp_path / "j").blocks()) == [b"kept", b"small"]
