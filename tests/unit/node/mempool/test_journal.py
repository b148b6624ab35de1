"""The journal: what was appended is there again, whatever cut it short."""

import asyncio
import errno
import os
import resource
from pathlib import Path

import pytest

from bitcoind_mp.node.mempool.journal import AcceptedRecord, DeltaRecord, Journal

RECORDS = [
    AcceptedRecord(b"raw" * 50, 1_700_000_000, True),
    DeltaRecord(b"\x01" * 32, -5),
    AcceptedRecord(b"x", 1, False),
]


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_records_come_back_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "mempool")
    for record in RECORDS:
        journal.append(record)
    journal.close()
    again = Journal(tmp_path / "mempool")
    assert list(again.records()) == RECORDS
    again.close()


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_record_cut_short_is_the_end(tmp_path: Path, cut: int) -> None:
    journal = Journal(tmp_path)
    journal.append(RECORDS[0])
    journal.append(RECORDS[1])
    journal.close()
    path = tmp_path / "journal-1"
    os.truncate(path, path.stat().st_size - cut)
    again = Journal(tmp_path)
    again.append(RECORDS[2])
    assert list(again.records()) == [RECORDS[0], RECORDS[2]]
    again.close()


def test_bytes_that_rot_are_noticed(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(*RECORDS)
    journal.close()
    path = tmp_path / "journal-1"
    data = bytearray(path.read_bytes())
    data[30] ^= 1
    path.write_bytes(data)
    again = Journal(tmp_path)
    assert list(again.records()) == []
    again.close()


def test_a_file_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "journal-7").write_bytes(b"something else altogether")
    journal = Journal(tmp_path)
    assert list(journal.records()) == []
    assert files(tmp_path) == ["journal-7"]
    journal.append(RECORDS[0])
    assert list(journal.records()) == RECORDS[:1]
    assert files(tmp_path) == ["journal-7", "journal-8"]
    journal.close()


def test_a_save_lets_go_of_what_came_before_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(RECORDS[0])
    before = journal.rotate()
    journal.append(RECORDS[1])
    assert list(journal.records()) == RECORDS[:2]
    journal.drop(before)
    assert list(journal.records()) == RECORDS[1:2]
    assert files(tmp_path) == ["journal-2"]
    journal.close()


def test_many_wait_for_one_sync(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal(tmp_path)

        async def write(number: int) -> None:
            journal.append(DeltaRecord(bytes(32), number))
            await journal.sync()

        await asyncio.gather(*map(write, range(100)))
        assert len(list(journal.records())) == 100
        assert 1 <= journal.syncs <= 3
        await write(100)
        await write(101)
        assert journal.syncs <= 5
        journal.close()

    asyncio.run(main())


def test_a_sync_covers_the_file_before_a_save(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal(tmp_path)
        for _ in range(20):
            journal.append(RECORDS[0])
            waiting = asyncio.create_task(journal.sync())
            await asyncio.sleep(0)
            before = journal.rotate()
            journal.append(RECORDS[1])
            await asyncio.gather(waiting, journal.sync())
            journal.drop(before)
        assert list(journal.records()) == [RECORDS[1]]
        journal.close()

    opened = len(list(Path("/proc/self/fd").iterdir()))
    asyncio.run(main())
    assert len(list(Path("/proc/self/fd").iterdir())) == opened


def test_saves_without_syncs_leave_nothing_open(tmp_path: Path) -> None:
    opened = len(list(Path("/proc/self/fd").iterdir()))
    journal = Journal(tmp_path)
    for _ in range(10):
        journal.append(RECORDS[0])
        journal.drop(journal.rotate())
    assert len(list(Path("/proc/self/fd").iterdir())) == opened
    journal.close()


def test_a_waiter_that_gives_up_takes_nobody_along(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal(tmp_path)
        journal.append(RECORDS[0])
        waiters = [asyncio.create_task(journal.sync()) for _ in range(3)]
        await asyncio.sleep(0)
        waiters[0].cancel()
        results = await asyncio.gather(*waiters, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert results[1:] == [None, None]
        journal.close()

    asyncio.run(main())


def test_no_room_says_so_and_keeps_what_was_there(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: the record is written in part, and taken back."""
    journal = Journal(tmp_path)
    journal.append(RECORDS[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        with pytest.raises(OSError) as failed:
            journal.append(AcceptedRecord(bytes(1000), 1, False))
        journal.append(RECORDS[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert failed.value.errno == errno.EFBIG
    assert list(journal.records()) == RECORDS[:2]
    journal.close()
