"""asyncio's side of a session: a protocol on a connected Unix stream socket. No JSON here."""

import asyncio
import logging
import os
import select
import socket
from collections.abc import Callable
from typing import Any

from .limits import WRITE_HIGH_WATER, WRITE_STALL
from .session import Session

logger = logging.getLogger("bitcoind_mp.ipc")


class Wire(asyncio.Protocol):
    """Carries one session. ``make`` gets the wire and the socket; its session, or None to refuse the peer."""

    def __init__(self, make: "Callable[[Wire, socket.socket], Session | None]") -> None:
        self._make = make
        self._session: Session | None = None
        self._transport: asyncio.Transport | None = None
        self._stall: asyncio.TimerHandle | None = None

    @property
    def session(self) -> Session | None:
        return self._session

    # --- called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        self._session = self._make(self, transport.get_extra_info("socket"))
        if self._session is None:
            transport.close()

    def data_received(self, data: bytes) -> None:
        if self._session is not None:
            self._session.received(data)

    def eof_received(self) -> bool:
        """Keep a connection open on which the other side merely said that it will send no more (``nc -N``)."""
        return self._session is not None and not self._hung_up() and self._session.half_closed()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_stall()
        if self._session is not None:
            why = (isinstance(exc, OSError) and exc.strerror) or exc
            self._session.ended(f"The connection was lost: {why}" if exc else "The other side closed the connection")

    def pause_writing(self) -> None:
        self._watch_reader()
        if self._session is not None:
            self._session.may_write(False)

    def resume_writing(self) -> None:
        self._cancel_stall()
        if self._session is not None:
            self._session.may_write(True)

    # --- called by the session (its Link)

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Close when all that was written is sent, or when the other side doesn't take it."""
        if self._transport is not None and not self._transport.is_closing():
            if self._transport.get_write_buffer_size():
                self._watch_reader()
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def detach(self) -> socket.socket | None:
        """The connection, which goes on without us; None where it ends, or not all is sent that was written."""
        transport = self._transport
        if transport is None or transport.is_closing() or transport.get_write_buffer_size():
            return None
        connected: Any = transport.get_extra_info("socket")
        going = socket.socket(fileno=os.dup(connected.fileno()))
        transport.abort()
        return going

    def pause_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # --- a reader that doesn't read

    def _watch_reader(self) -> None:
        if self._stall is None:
            self._stall = asyncio.get_running_loop().call_later(WRITE_STALL, self._cut)

    def _cancel_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _cut(self) -> None:
        number = self._session.number if self._session else 0
        logger.warning("connection %d: its replies were left unread for %g s: cut", number, WRITE_STALL)
        self.abort()

    def _hung_up(self) -> bool:
        """Whether the other end is gone altogether: poll(2) tells it from one that shut down its sending side."""
        if self._transport is None:
            return True
        connected: Any = self._transport.get_extra_info("socket")
        poll = select.poll()
        poll.register(connected.fileno(), 0)
        return any(event & select.POLLHUP for _, event in poll.poll(0))
