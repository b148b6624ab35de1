"""A session to a path that is made again whenever it ends."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcCode, RpcError
from bitcoind_mp.interfaces.init import Hello

from .client import connect
from .limits import MAX_REPLY
from .session import Session
from .wire.inotify import Appearance
from .wire.jsonrpc import Params
from .wire.passing import Dial

logger = logging.getLogger("bitcoind_mp.ipc")


#: Seconds between attempts to reach a process that is held.
_HELD = 1.0


class Backoff:
    """How long to wait before the next attempt: doubles from ``first`` to ``most`` seconds, and starts anew after a
    success that lasted longer than ``most``."""

    def __init__(self, first: float, most: float) -> None:
        self._first = first
        self._most = most
        self._next = first

    def failed(self) -> float:
        """Seconds to wait now."""
        wait, self._next = self._next, min(self._next * 2, self._most)
        return wait

    def appeared(self) -> None:
        """The socket is there anew. It may not be listened on yet for a moment: a failure now means little."""
        self._next = self._first

    def held(self) -> None:
        """Whoever should be there starts as soon as something is out of its way, which is looked at each second."""
        self._next = min(self._next, _HELD)

    def lasted(self, seconds: float) -> None:
        """A success ended after that long."""
        if seconds > self._most:
            self._next = self._first


class Reconnecting:
    """Keeps a session to ``path``, or to where ``dial`` leads (``path`` is then only what people are told).

    After a failure it waits, by `Backoff` from ``first`` to ``most`` seconds, or until the socket appears anew. While
    connected it does nothing. ``on_up(session)`` is awaited after each handshake, before `session` is set; if it
    raises, the attempt failed. ``on_down(reason)`` is called when a session ended, and for a failed attempt whose
    reason is another than the last. ``patience`` in seconds is how long one attempt may take: a worker that restarts
    under the supervisor leaves callers in the kernel's queue meanwhile. ``limit``: the longest line that is taken.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        hello: Hello,
        on_up: Callable[[Session], Awaitable[None]] | None = None,
        on_down: Callable[[str], None] | None = None,
        first: float = 0.05,
        most: float = 5.0,
        timeout: float = 30.0,
        patience: float = 30.0,
        dial: Dial | None = None,
        limit: int = MAX_REPLY,
    ) -> None:
        self.session: Session | None = None
        self.has_failed = False
        """Whether the newest attempt that has ended reached nobody."""
        self.reason = "not connected yet"
        self._path = path
        self._hello = hello
        self._on_up = on_up
        self._on_down = on_down
        self._backoff = Backoff(first, most)
        self._timeout = timeout
        self._patience = patience
        self._dial = dial
        self._limit = limit
        self._up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def up(self, deadline: float | None = None) -> Session:
        """The session, waiting up to ``deadline`` seconds for one. Raises `CallTimeout`."""
        try:
            async with asyncio.timeout(deadline):
                while self.session is None:
                    await self._up.wait()
        except TimeoutError:
            raise CallTimeout(f"No connection to {self._path}: {self.reason}") from None
        return self.session

    async def present(self, patience: float, absent: str) -> Session:
        """The session, waiting ``patience`` seconds for one. Raises `RpcError` (-9) with ``absent`` and why there is
        none."""
        if self.session is None:
            with contextlib.suppress(CallTimeout):
                return await self.up(patience)
            raise RpcError(RpcCode.CLIENT_NOT_CONNECTED, f"{absent} ({self.reason}).")
        return self.session

    async def call(
        self,
        method: str,
        params: Params = (),
        *,
        wallet: str | None = None,
        changes: bool = True,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> Any:
        """Call over the present session, or the next one where there is none.

        With ``changes=False`` (a read) it is tried again when the connection ends under it, within ``timeout``
        seconds in all; a call that may change something never is: `Disconnected`, its outcome unknown."""
        seconds = self._timeout if timeout is None else timeout
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            session = await self.up(max(end - loop.time(), 0))
            try:
                return await session.call(method, params, wallet=wallet, timeout=max(end - loop.time(), 0))
            except Disconnected:
                if changes:
                    raise
                await asyncio.sleep(0)

    async def close(self) -> None:
        """Disconnect for good."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self.session is not None:
            session, self.session = self.session, None
            await session.close()

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if await self._connected():
                began = loop.time()
                session = self.session
                assert session is not None
                await asyncio.shield(session.closed)
                self._down(session.reason, always=True)
                self._backoff.lasted(loop.time() - began)
            await self._pause(self._backoff.failed())

    async def _connected(self) -> bool:
        session = None
        try:
            session = await self._connect()
            if self._on_up is not None:
                await self._on_up(session)
        except (OSError, RpcError) as error:
            if isinstance(error, RpcError) and error.data == {"held": True}:
                self._backoff.held()
            self._failed(session, self._words(error))
            return False
        except asyncio.CancelledError:  # closed while the new session was being put to use
            if session is not None:
                session.abort()
            raise
        except Exception as error:
            logger.exception("a new connection to %s could not be put to use", self._path)
            self._failed(session, f"{type(error).__name__} (see the log)")
            return False
        self.session, self.reason, self.has_failed = session, "", False
        self._up.set()
        return True

    async def _connect(self) -> Session:
        return await connect(
            self._path,
            hello=self._hello,
            deadline=self._patience,
            timeout=self._timeout,
            dial=self._dial,
            limit=self._limit,
        )

    def _words(self, error: Exception) -> str:
        """Why nobody was reached, for people."""
        if isinstance(error, FileNotFoundError):
            return f"{self._path} is not there"
        if isinstance(error, ConnectionRefusedError):
            return f"nobody listens on {self._path}"
        return getattr(error, "strerror", None) or str(error) or type(error).__name__

    def _failed(self, session: Session | None, reason: str) -> None:
        if session is not None:
            session.abort()
        self.has_failed = True
        self._down(reason)

    def _down(self, reason: str, *, always: bool = False) -> None:
        self.session = None
        self._up.clear()
        if always or reason != self.reason:
            self.reason = reason
            if self._on_down is not None:
                self._on_down(reason)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if self._dial is not None:
                    await asyncio.Event().wait()
                try:
                    with Appearance(self._path) as appearance:
                        await appearance.wait()
                    self._backoff.appeared()
                except TimeoutError:
                    raise
                except OSError:
                    await asyncio.sleep(seconds)
