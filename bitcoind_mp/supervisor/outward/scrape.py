"""Serving the metrics by HTTP, to whoever scrapes: one kind of request, answered, and the connection closed.

In the supervisor's own loop, so bounded: so many connections, so many bytes of a request, so long for all of it. Who
may ask is told by the socket: a Unix socket's mode, or the loopback interface. What is answered: ``metrics.py``.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from pathlib import Path

from bitcoind_mp.interfaces.errors import ExitStatus, FatalError, status_of_os_error
from bitcoind_mp.supervisor.places import Bind, listening_at

log = logging.getLogger("bitcoind_mp.supervisor")

#: Connections at once. One more ends the oldest: whoever asks is answered at once, and only who does not waits.
_MOST = 8
#: Bytes that a request may have, headers included.
_LONGEST = 8192
#: Seconds for which an answer is good: whoever asks in a hurry is told the same again, and costs little.
_GOOD_FOR = 0.5
_CONTENT = "text/plain; version=0.0.4; charset=utf-8"


def listen(address: str, base: Path, bind: Bind, gid: int | None) -> tuple[socket.socket, Path | None]:
    """A socket for -metrics: ``unix:PATH`` (relative to ``base``), open to the group, or ``HOST:PORT`` on the loopback
    interface (`config.option` takes no other); and its path, None for one that has none. Raises `FatalError`."""
    if address.startswith("unix:"):
        path = base / address[5:]
        return listening_at(bind, path, gid), path
    host, _, port = address.rpartition(":")
    host = {"localhost": "127.0.0.1"}.get(host, host.strip("[]"))
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, int(port)))
        made.listen(_MOST)
    except OSError as error:
        made.close()
        status = ExitStatus.PORT_TAKEN if error.errno == errno.EADDRINUSE else status_of_os_error(error)
        raise FatalError(f"-metrics={address}: could not listen there: {error.strerror}.", status=status) from error
    return made, None


class Scraping:
    """One listening socket, with the ``path`` that is removed at the end (None: none). ``text`` makes the answer to
    ``GET /metrics``; ``patience`` is how many seconds a connection may last, whatever happens."""

    def __init__(
        self, listening: socket.socket, path: Path | None, text: Callable[[], bytes], *, patience: float = 10.0
    ) -> None:
        self._patience = patience
        self._listening = listening
        self._path = path
        self._text = text
        self._server: asyncio.Server | None = None
        self._connections: dict[_Connection, None] = {}
        self._made: tuple[float, bytes] = (float("-inf"), b"")

    async def start(self) -> None:
        """Answer from now on."""
        loop = asyncio.get_running_loop()
        serve = loop.create_unix_server if self._listening.family == socket.AF_UNIX else loop.create_server
        self._server = await serve(self._connection, sock=self._listening)
        log.info("metrics for Prometheus on %s", self._path or "{}:{}".format(*self._listening.getsockname()))

    def close(self) -> None:
        """Answer nobody any more."""
        if self._server is not None:
            self._server.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        self._listening.close()
        for connection in list(self._connections):
            connection.abort()

    def _connection(self) -> "_Connection":
        return _Connection(self._recent, self._connections, self._patience)

    def _recent(self) -> bytes:
        now = asyncio.get_running_loop().time()
        if now - self._made[0] > _GOOD_FOR:
            self._made = (now, self._text())
        return self._made[1]


class _Connection(asyncio.Protocol):
    def __init__(self, text: Callable[[], bytes], all: "dict[_Connection, None]", patience: float) -> None:
        self._text = text
        self._patience = patience
        self._all = all
        self._received = b""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if len(self._all) >= _MOST:
            next(iter(self._all)).abort()  # the oldest: whoever asks is answered at once
        self._all[self] = None
        self._timer = asyncio.get_running_loop().call_later(self._patience, transport.abort)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._received += data
        if b"\r\n\r\n" in self._received or b"\n\n" in self._received:
            self._transport.pause_reading()
            self._answer(*self._reply())
        elif len(self._received) > _LONGEST:
            self._answer("431 Request Header Fields Too Large", b"The request is too long.\n")

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()

    def _reply(self) -> tuple[str, bytes]:
        """The status and the body."""
        words = self._received.partition(b"\n")[0].split()
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return "400 Bad Request", b"That is no HTTP request.\n"
        if words[0] not in (b"GET", b"HEAD"):
            return "405 Method Not Allowed", b"Only GET is known here.\n"
        if words[1].partition(b"?")[0] != b"/metrics":
            return "404 Not Found", b"There is only /metrics.\n"
        try:
            return "200 OK", self._text()
        except Exception:
            log.exception("the metrics could not be made")
            return "500 Internal Server Error", b"The metrics could not be made (the log says why).\n"

    def _answer(self, status: str, body: bytes) -> None:
        assert self._transport is not None
        headers = [f"HTTP/1.1 {status}", f"Content-Type: {_CONTENT}", f"Content-Length: {len(body)}"]
        headers += ["Allow: GET, HEAD"] if status.startswith("405") else []
        text = "\r\n".join([*headers, "Connection: close", "", ""]).encode()
        self._transport.write(text if self._received.startswith(b"HEAD ") else text + body)
        self._transport.close()
