"""The status line follows what it describes, and no faster than it should."""

import asyncio
import socket
from pathlib import Path

from bitcoind_mp.service.notify import Notifier
from bitcoind_mp.service.status import StatusLine

EVERY = 0.2


def test_a_burst_of_changes_is_told_twice_and_the_newest_text_is_the_last(tmp_path: Path) -> None:
    async def live() -> tuple[list[tuple[float, bytes]], int]:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(tmp_path / "notify"))
            manager.setblocking(False)
            described = []

            def describe() -> str:
                described.append(height)
                return f"height {height}"

            line = StatusLine(Notifier(str(tmp_path / "notify")), describe, EVERY)
            got = []
            height = 0
            for _ in range(3):
                height += 1
                line.changed()
            got.append((loop.time(), await loop.sock_recv(manager, 100)))
            for _ in range(5):
                height += 1
                line.changed()
            got.append((loop.time(), await loop.sock_recv(manager, 100)))
            line.changed()  # nothing new to say
            end = loop.time() + 2 * EVERY
            told = asyncio.ensure_future(loop.sock_recv(manager, 100))
            await asyncio.wait({told}, timeout=2 * EVERY)
            assert not told.done() and loop.time() >= end - 0.05
            asked = len(described)
            height = 9
            line.changed()
            got.append((loop.time(), await told))
            line.changed()
            line.close()
            return got, asked

    got, asked = asyncio.run(live())
    assert [text for _, text in got] == [b"STATUS=height 3", b"STATUS=height 8", b"STATUS=height 9"]
    assert asked == 3, "it is worked out once each time it may be told, and not while nothing changes"
