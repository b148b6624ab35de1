"""The asyncio side of a connection, over a transport that a test plays."""

import asyncio
import logging
import socket
from typing import Any

from bitcoind_mp.ipc.limits import WRITE_STALL
from bitcoind_mp.ipc.session import Session
from bitcoind_mp.ipc.transport import Wire


class PlayedTransport(asyncio.Transport):
    """Keeps what is written; its buffer is as full as the test says."""

    def __init__(self, connected: socket.socket) -> None:
        super().__init__({"socket": connected})
        self.written = b""
        self.buffered = 0
        self.closing = self.aborted = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.aborted = self.closing = True


class MovedClock(asyncio.SelectorEventLoop):
    """A loop whose time a test moves."""

    now = 1000.0

    def time(self) -> float:
        return self.now


def play(scene: Any) -> None:
    loop = MovedClock()

    async def main() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            wire = Wire(lambda link, connected: Session(link, number=1))
            transport = PlayedTransport(ours)
            wire.connection_made(transport)

            async def pass_time(seconds: float) -> None:
                loop.now += seconds
                for _ in range(5):
                    await asyncio.sleep(0)

            await scene(wire, transport, theirs, pass_time)

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


def test_who_leaves_its_replies_unread_for_too_long_is_cut(caplog: Any) -> None:
    async def scene(wire: Any, transport: Any, theirs: socket.socket, pass_time: Any) -> None:
        wire.pause_writing()
        await pass_time(WRITE_STALL - 1)
        assert not transport.aborted
        wire.resume_writing()
        await pass_time(WRITE_STALL * 2)
        assert not transport.aborted
        wire.pause_writing()
        await pass_time(WRITE_STALL + 1)
        assert transport.aborted

    with caplog.at_level(logging.WARNING):
        play(scene)
    assert "left unread" in caplog.text


def test_closing_does_not_wait_for_ever_for_a_reader() -> None:
    async def scene(wire: Any, transport: Any, theirs: socket.socket, pass_time: Any) -> None:
        transport.buffered = 10
        wire.close()
        assert transport.closing and not transport.aborted
        await pass_time(WRITE_STALL + 1)
        assert transport.aborted

    play(scene)


def test_nothing_is_written_after_the_close() -> None:
    async def scene(wire: Any, transport: Any, theirs: socket.socket, pass_time: Any) -> None:
        wire.write(b"a")
        wire.close()
        wire.write(b"b")
        assert transport.written == b"a"

    play(scene)


def test_a_peer_that_is_gone_is_told_from_one_that_stopped_sending() -> None:
    async def scene(wire: Any, transport: Any, theirs: socket.socket, pass_time: Any) -> None:
        theirs.shutdown(socket.SHUT_WR)
        assert not wire._hung_up()
        theirs.close()
        assert wire._hung_up()
        assert wire.eof_received() is False

    play(scene)


def test_a_lost_connection_ends_its_session() -> None:
    async def scene(wire: Any, transport: Any, theirs: socket.socket, pass_time: Any) -> None:
        wire.connection_lost(OSError("broken"))
        assert wire.session.closed.done() and "broken" in wire.session.reason

    play(scene)
