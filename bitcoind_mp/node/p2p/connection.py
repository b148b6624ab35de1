"""The socket of one peer: asyncio's transport on one side, whole messages in order on the other."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from btclib.p2p import Message, Payload

from .peer import Peer
from .wire import PeerEndedError, Wire

log = logging.getLogger("bitcoind_mp.net")

#: Messages, and bytes of them (Core's ``-maxreceivebuffer``), read ahead of what is processed; past either the socket
#: is not read (TCP then slows the peer).
_READ_AHEAD = 64
_READ_AHEAD_BYTES = 5_000_000
#: Bytes waiting to be written (Core's ``-maxsendbuffer``); past this what the peer asks for waits.
_WRITE_AHEAD = 1_000_000
_HEADER_SIZE = 24


class Connection(asyncio.Protocol):
    """One TCP connection.

    Args:
        wire: its bytes.
        opened: makes the `Peer` when the connection is up.
        handle: processes one message; messages of one connection are processed in order, one at a time.
        closed: told once, with the reason.
        now: the node's clock.
    """

    def __init__(
        self,
        wire: Wire,
        opened: Callable[["Connection"], Peer | None],
        handle: Callable[[Peer, Message], Awaitable[None]],
        closed: Callable[[Peer, str], None],
        now: Callable[[], int],
    ) -> None:
        self._wire = wire
        self._opened = opened
        self._handle = handle
        self._closed = closed
        self._now = now
        self._inbox: asyncio.Queue[Message | None] = asyncio.Queue()
        self._inbox_bytes = 0
        self._writable = asyncio.Event()
        self._writable.set()
        self._reason = ""
        self._reading = True
        self._handling = False
        self.peer: Peer | None = None
        self.transport: asyncio.Transport | None = None
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=_WRITE_AHEAD)
        self.peer = self._opened(self)
        if self.peer is None:
            transport.abort()
            return
        self.task = asyncio.get_running_loop().create_task(self._process(self.peer))
        self.peer.send(*self.peer.handshake.start())

    def data_received(self, data: bytes) -> None:
        if self.peer is None or self._reason:
            return
        self.peer.traffic.last_receive = self._now()
        try:
            for message in self._wire.feed(data):
                self.peer.traffic.count_received(message.command, _HEADER_SIZE + len(message.payload))
                self._inbox.put_nowait(message)
                self._inbox_bytes += len(message.payload)
        except PeerEndedError as error:
            self.close(str(error))
        if self._reading and self._is_ahead() and self.transport is not None and not self._reason:
            self._reading = False
            self.transport.pause_reading()

    def _is_ahead(self, share: int = 1) -> bool:
        """Whether more waits to be processed than may (a ``share``-th of it)."""
        return self._inbox.qsize() > _READ_AHEAD // share or self._inbox_bytes > _READ_AHEAD_BYTES // share

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def eof_received(self) -> None:
        self.close("socket closed")

    def connection_lost(self, exc: Exception | None) -> None:
        self._reason = self._reason or (str(exc) if exc else "socket closed")
        self._writable.set()
        self._inbox.put_nowait(None)
        if self.peer is not None:
            self._closed(self.peer, self._reason)

    async def _process(self, peer: Peer) -> None:
        while (message := await self._inbox.get()) is not None:
            await asyncio.sleep(0)  # everybody else's turn: handling one, and taking the next, may well not wait at all
            self._inbox_bytes -= len(message.payload)
            if not await self.drained():
                continue
            self._handling = True
            try:
                await self._handle(peer, message)
            except PeerEndedError as error:
                self.close(str(error))
            except Exception:
                log.exception("processing %s of %s", message.command, peer)
                self.close("internal error")
            self._handling = False
            if not self._reading and not self._is_ahead(2) and not self._reason and self.transport is not None:
                self._reading = True
                self.transport.resume_reading()

    @property
    def is_behind(self) -> bool:
        return self._handling or not self._inbox.empty()

    async def drained(self) -> bool:
        await self._writable.wait()
        return not self._reason

    def send(self, payload: Payload) -> None:
        self._write(payload.command, self._wire.pack(payload))

    def send_raw(self, command: str, payload: bytes) -> None:
        self._write(command, self._wire.pack_raw(command, payload))

    def _write(self, command: str, data: bytes) -> None:
        if self.transport is None or self.transport.is_closing() or self.peer is None:
            return
        self.transport.write(data)
        self.peer.traffic.sent[command] += len(data)
        self.peer.traffic.last_send = self._now()

    def close(self, reason: str) -> None:
        """End the connection. What the peer hasn't made room for isn't waited for: it may never read."""
        self._reason = self._reason or reason
        if self.transport is not None:
            self.transport.abort()
