"""Connecting to a server's socket."""

import asyncio
import logging
import socket
from pathlib import Path

import msgspec

from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected
from bitcoind_mp.interfaces.init import Hello

from .handshake import check
from .limits import MAX_REPLY
from .session import Session
from .transport import Wire
from .wire.passing import Dial
from .wire.unix import short_address

logger = logging.getLogger("bitcoind_mp.ipc")


async def connect(
    path: str | Path,
    *,
    hello: Hello | None = None,
    deadline: float = 5.0,
    timeout: float = 30.0,  # noqa: ASYNC109
    limit: int = MAX_REPLY,
    dial: Dial | None = None,
) -> Session:
    """Connect, and with ``hello`` shake hands (commands alone need no hands shaken).

    With ``dial`` to where that leads: ``path`` is then only what people are told. ``deadline`` in seconds is for both;
    ``timeout`` is each later call's, unless it names its own; ``limit`` is the longest line that is taken, in bytes.

    Raises:
        OSError: nobody listens there (`FileNotFoundError`, `ConnectionRefusedError`, `PermissionError`).
        RpcError: the handshake was refused; the message says which side must change.
        Disconnected, CallTimeout: the server went away, or did not answer in time.
    """
    try:
        async with asyncio.timeout(deadline):
            connected = dial() if dial is not None else await _connected(path)
            return await attach(connected, hello=hello, deadline=deadline, timeout=timeout, limit=limit)
    except TimeoutError as error:
        if isinstance(error, CallTimeout):
            raise
        raise CallTimeout(f"{path} did not answer within {deadline:g} s") from None


async def _connected(path: str | Path) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.setblocking(False)
        await _connect(connected, path)
    except BaseException:
        connected.close()
        raise
    return connected


async def _connect(connected: socket.socket, path: str | Path) -> None:
    """A full queue of a Unix socket isn't awaited by select (connect(2): EAGAIN), so try again after a moment."""
    with short_address(path) as address:
        pause = 0.005
        while True:
            try:
                connected.connect(address)
            except BlockingIOError:
                await asyncio.sleep(pause)
                pause = min(pause * 2, 0.2)
            else:
                return


async def attach(
    connected: socket.socket,
    *,
    hello: Hello | None = None,
    deadline: float = 5.0,
    timeout: float = 30.0,  # noqa: ASYNC109
    limit: int = MAX_REPLY,
) -> Session:
    """The same over a socket that is connected already."""
    connected.setblocking(False)
    _, wire = await asyncio.get_running_loop().create_unix_connection(
        lambda: Wire(lambda link, _: Session(link, timeout=timeout, limit=limit)), sock=connected
    )
    session = wire.session
    assert session is not None
    if hello is None:
        return session
    try:
        answer = await session.call("init.handshake", [hello], timeout=deadline)
        session.peer = msgspec.convert(answer, Hello)
        check(hello, session.peer)
    except msgspec.ValidationError as error:
        session.abort()
        raise Disconnected(f"The other side does not shake hands as we do: {error}") from None
    except BaseException:
        session.abort()
        raise
    return session
