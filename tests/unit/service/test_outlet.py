"""What is written to somebody who doesn't read: nobody waits, order is kept, and what is lost is counted."""

import os
import select
import threading
from collections.abc import Callable, Iterator

import pytest

from bitcoind_mp.service.outlet import Outlet

DEADLINE = 30.0
ROOM = 100_000
#: A pipe's, pipe(7).
PIPE = 65536
LINE = "z" * 99 + "\n"


def told(count: int) -> str:
    return f"{count} missing\n"


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        os.close(descriptor)


def in_time(work: Callable[[], object]) -> None:
    """Fails where the work waits for somebody."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(DEADLINE)
    assert not thread.is_alive(), "it waits"


def what_waits(reading: int) -> str:
    found = b""
    while select.select([reading], [], [], 0)[0]:
        found += os.read(reading, 1 << 16)
    return found.decode()


def read_all(outlet: Outlet, reading: int) -> str:
    """Whatever was written or kept, as a reader that is back gets it."""
    found = what_waits(reading)
    while not outlet.drain():
        found += what_waits(reading)
    return found + what_waits(reading)


def test_what_is_read_is_written_at_once(ends: tuple[int, int]) -> None:
    outlet = Outlet(ends[1], told)
    outlet.write("one\n")
    outlet.write("tw\udcff\n")
    assert what_waits(ends[0]) == "one\ntw\\udcff\n"
    assert not outlet.is_behind


def test_nobody_waits_for_a_reader_that_reads_nothing_and_it_misses_nothing(ends: tuple[int, int]) -> None:
    outlet = Outlet(ends[1], told, room=ROOM)
    lines = [f"{number} {'x' * 90}\n" for number in range(1200)]
    in_time(lambda: [outlet.write(line) for line in lines])
    assert outlet.is_behind
    assert read_all(outlet, ends[0]) == "".join(lines)
    assert not outlet.is_behind


def test_an_entry_longer_than_the_pipe_is_whole(ends: tuple[int, int]) -> None:
    outlet = Outlet(ends[1], told, room=ROOM)
    long, short = "y" * 300_000 + "\n", "after\n"
    in_time(lambda: (outlet.write(long), outlet.write(short)))
    assert read_all(outlet, ends[0]) == long + told(1), "it alone is more than may be kept"
    outlet.write(short)
    assert what_waits(ends[0]) == short


def counted(text: str) -> tuple[int, int]:
    """How many lines came whole, and how many are told to be missing."""
    lines = text.splitlines()
    missing = [line for line in lines if line.endswith("missing")]
    assert {*lines} - {*missing} == {LINE.strip()}
    return len(lines) - len(missing), sum(int(line.split()[0]) for line in missing)


def test_beyond_the_bound_entries_are_lost_and_counted_where_they_are_missing(ends: tuple[int, int]) -> None:
    outlet = Outlet(ends[1], told, room=ROOM)
    in_time(lambda: [outlet.write(LINE) for _ in range(5000)])
    found = read_all(outlet, ends[0])
    whole, missing = counted(found)
    assert whole + missing == 5000
    assert ROOM <= whole * len(LINE) <= ROOM + PIPE
    assert found.endswith(told(missing))
    outlet.write("next\n")
    assert what_waits(ends[0]) == "next\n"


def test_they_are_counted_too_where_a_reader_is_slow(ends: tuple[int, int]) -> None:
    outlet = Outlet(ends[1], told, room=ROOM)
    found, written = "", 0

    def write(count: int) -> None:
        nonlocal written
        for _ in range(count):
            outlet.write(LINE)
        written += count

    for _ in range(20):
        in_time(lambda: write(1000))
        found += what_waits(ends[0])
    whole, missing = counted(found + read_all(outlet, ends[0]))
    assert missing > 0
    assert whole + missing == written


def test_a_reader_that_is_gone_is_an_error_and_leaves_what_was_kept(ends: tuple[int, int]) -> None:
    reading, writing = os.pipe()
    outlet = Outlet(writing, told, room=ROOM)
    in_time(lambda: [outlet.write(LINE) for _ in range(1000)])
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        outlet.write("last\n")
    kept = "".join(outlet.take_back())
    assert kept.endswith("z\n") and "last" not in kept
    assert not outlet.is_behind
    os.close(writing)
