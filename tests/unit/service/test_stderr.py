"""Lines to a standard error that isn't read for a while, or never again, beside a loop that serves."""

import asyncio
import contextlib
import io
import logging
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bitcoind_mp.service.logging import LineFormatter
from bitcoind_mp.service.stderr import Stderr

DEADLINE = 30.0
#: More than a pipe holds, less than is kept.
COUNT = 5000


@contextlib.contextmanager
def stderr_is_a_pipe() -> Iterator[int]:
    """The end that is to be read. (pytest puts its own stderr back between fixtures.)"""
    reading, writing = os.pipe()
    real, sys.stderr = sys.stderr, io.TextIOWrapper(io.FileIO(writing, "w"), write_through=True)
    try:
        yield reading
    finally:
        sys.stderr.close()
        sys.stderr = real
        os.close(reading)


def log(handler: Stderr, *lines: str) -> None:
    for line in lines:
        handler.handle(logging.LogRecord("bitcoind_mp", logging.INFO, __file__, 1, line, None, None))


def read_lines(reading: int, count: int) -> list[str]:
    found = b""
    while found.count(b"\n") < count:
        found += os.read(reading, 1 << 16)
    return [line.split("Z ")[1] for line in found.decode().splitlines()]


@pytest.mark.parametrize("from_a_thread", [False, True])
def test_the_loop_writes_what_was_not_taken_at_once(from_a_thread: bool) -> None:
    lines = [f"line {number}" for number in range(COUNT)]

    async def serve(handler: Stderr, reading: int) -> list[str]:
        handler.drain_in(asyncio.get_running_loop())
        if from_a_thread:
            await asyncio.to_thread(log, handler, *lines)
        else:
            log(handler, *lines)
        return await asyncio.wait_for(asyncio.to_thread(read_lines, reading, COUNT), DEADLINE)

    with stderr_is_a_pipe() as reading:
        handler = Stderr(LineFormatter())
        assert asyncio.run(serve(handler, reading)) == lines
        log(handler, "after the loop's end")
        handler.close()
        assert read_lines(reading, 1) == ["after the loop's end"]


def test_without_a_loop_the_end_writes_it() -> None:
    lines, found = [f"line {number}" for number in range(COUNT)], list[str]()
    with stderr_is_a_pipe() as reading:
        handler = Stderr(LineFormatter())
        log(handler, *lines)
        reader = threading.Thread(target=lambda: found.extend(read_lines(reading, COUNT)), daemon=True)
        reader.start()
        handler.close()
        reader.join(DEADLINE)
    assert found == lines


def test_what_a_reader_left_unread_is_the_heir_s(tmp_path: Path) -> None:
    heir = tmp_path / "node.log"
    heir.touch()
    with stderr_is_a_pipe() as reading:
        handler = Stderr(LineFormatter(), heir)
        log(handler, *(f"line {number}" for number in range(COUNT)))
        with open(os.devnull) as nothing:  # noqa: PTH123
            os.dup2(nothing.fileno(), reading)
        log(handler, "the last")
        handler.close()
    *_, before, last = heir.read_text().splitlines()
    assert before.endswith(f"Z line {COUNT - 1}")
    assert last.endswith("Z the last")
