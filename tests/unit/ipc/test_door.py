"""Who comes is led to the server that is for him, or turned away; one that has ended is nobody."""

import asyncio
import errno
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.ipc.client import connect
from bitcoind_mp.ipc.serve.door import Door
from bitcoind_mp.ipc.serve.server import Server
from bitcoind_mp.ipc.wire.credentials import living_peer
from bitcoind_mp.ipc.wire.unix import bind_listener

_PEERPIDFD = 77


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    with bind_listener(tmp_path / "s") as made:
        yield made


def test_each_is_answered_by_the_server_that_is_chosen(listening: socket.socket, tmp_path: Path, hello: Any) -> None:
    async def main() -> list[str]:
        turns = [Server(hello=hello("one")), Server(hello=hello("other"))]
        door = Door(listening, lambda connected: turns.pop(0))
        door.open()
        names = []
        for _ in range(2):
            session = await connect(tmp_path / "s")
            names.append((await session.call("rpc.discover"))["info"]["title"])
            await session.close()
        await door.close()
        return names

    first, second = asyncio.run(main())
    assert "one" in first and "other" in second


def test_one_is_turned_away_with_a_word(listening: socket.socket, tmp_path: Path) -> None:
    async def main() -> bytes:
        door = Door(listening, lambda connected: "workers have no business here")
        door.open()
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        told = await reader.readline()
        assert await reader.read() == b"", "and that was it"
        writer.close()
        await door.close()
        return told

    assert b"workers have no business here" in asyncio.run(main())


def test_a_caller_that_can_not_be_told_is_cut_off_and_the_next_one_served(
    listening: socket.socket, tmp_path: Path, hello: Any
) -> None:
    async def main() -> None:
        server = Server(hello=hello("one"))
        known = [False, True]

        def chosen(connected: socket.socket) -> Server:
            if not known.pop(0):
                raise ProcessLookupError(errno.ESRCH, "it has ended")
            return server

        door = Door(listening, chosen)
        door.open()
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        assert await reader.read() == b""
        writer.close()
        session = await connect(tmp_path / "s")
        with pytest.raises(RpcError, match="Method not found"):
            await session.call("stop")
        await session.close()
        await door.close()

    asyncio.run(main())


class Child:
    """A process that connects and waits to be killed."""

    def __init__(self, path: Path) -> None:
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            with socket.socket(socket.AF_UNIX) as calling:
                calling.connect(str(path))
                os.write(writing, b"x")
                signal.pause()
            os._exit(0)
        os.close(writing)
        assert os.read(reading, 1) == b"x"
        os.close(reading)

    def end(self, *, reap: bool) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        if reap:
            os.waitpid(self.pid, 0)


class Older:
    """A connection on a kernel without SO_PEERPIDFD, or one that says so of a process that was waited for."""

    def __init__(self, connected: socket.socket, says: int) -> None:
        self._connected = connected
        self._says = says

    def getsockopt(self, level: int, option: int, length: int) -> bytes:
        if option == _PEERPIDFD:
            raise OSError(self._says, os.strerror(self._says))
        return self._connected.getsockopt(level, option, length)


@pytest.mark.parametrize("reap", [False, True])
@pytest.mark.parametrize("says", [None, errno.ENOPROTOOPT])
def test_a_peer_is_told_by_its_pid_while_it_lives(
    listening: socket.socket, tmp_path: Path, reap: bool, says: int | None
) -> None:
    """What it sent may be read after its end: by then its number tells nothing."""
    child = Child(tmp_path / "s")
    with listening.accept()[0] as connected:
        peer: Any = connected if says is None else Older(connected, says)
        assert living_peer(peer) == child.pid
        child.end(reap=reap)
        with pytest.raises(ProcessLookupError):
            living_peer(peer)
    if not reap:
        os.waitpid(child.pid, 0)


@pytest.mark.parametrize("says", [errno.ESRCH, errno.EINVAL, errno.ENODATA])
def test_a_peer_of_which_the_kernel_knows_no_more_has_ended(
    listening: socket.socket, tmp_path: Path, says: int
) -> None:
    with socket.socket(socket.AF_UNIX) as calling:
        calling.connect(str(tmp_path / "s"))
        with listening.accept()[0] as connected:
            older: Any = Older(connected, says)
            assert living_peer(connected) == os.getpid()
            with pytest.raises(ProcessLookupError):
                living_peer(older)
