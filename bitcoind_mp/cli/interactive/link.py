"""One connection of the shell's: to a server, made again by itself, with the subscription to what that tells.

Which servers there are, and what is made of what they tell, is ``client.py``'s.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from bitcoind_mp.cli.routing import Server
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.events import Events, EventSink
from bitcoind_mp.interfaces.init import Hello
from bitcoind_mp.ipc.proxy import proxy
from bitcoind_mp.ipc.reconnect import Reconnecting
from bitcoind_mp.ipc.session import Session

#: Seconds that a call may take: bitcoin-cli's -rpcclienttimeout.
LONGEST_CALL = 900.0
#: Seconds for what is asked at each connection.
GREETING = 10.0
#: The most seconds between attempts to connect. A socket that appears is noticed at once.
LONGEST_PAUSE = 60.0


class Link(EventSink):
    """The connection to one server, and its subscription."""

    def __init__(self, server: Server, hello: Hello, changed: Callable[["Link", str, dict[str, Any]], None]) -> None:
        self.server = server
        self.role = server.role
        self.unit = server.unit
        self.reason = ""
        self.peer: Hello | None = None
        self._hello = hello
        self._changed = changed
        self._keeper: Reconnecting | None = None

    @property
    def is_one_wallet_s(self) -> bool:
        """Whether that server serves one wallet and no other."""
        return self.unit != self.role

    @property
    def session(self) -> Session | None:
        return self._keeper.session if self._keeper is not None else None

    def open(self) -> None:
        """Connect, and again whenever the connection ends. Does nothing where that is being done."""
        if self._keeper is None:
            self._keeper = Reconnecting(
                self.server.socket,
                hello=self._hello,
                on_up=self._up,
                on_down=self._down,
                most=LONGEST_PAUSE,
                timeout=LONGEST_CALL,
            )
            self._keeper.start()

    async def close(self) -> None:
        """Disconnect, and stay so."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            await keeper.close()

    async def wait(self) -> Session:
        """The session, waiting for one."""
        self.open()
        assert self._keeper is not None
        return await self._keeper.up()

    async def changed(self, topic: str, state: dict[str, Any]) -> None:
        self._changed(self, topic, state)

    async def _up(self, session: Session) -> None:
        assert session.peer is not None
        self.peer = session.peer
        self.role = session.peer.role
        self.reason = ""
        async with asyncio.timeout(GREETING):
            await self._subscribe(session)
        self._changed(self, "up", {})

    async def _subscribe(self, session: Session) -> None:
        try:
            await proxy(Events, session).subscribe(["unit", "tip", "mempool", "balance"], self)  # type: ignore[type-abstract]
        except RpcError as error:
            if error.code != RpcCode.METHOD_NOT_FOUND:  # a signer has nothing to tell
                raise

    def _down(self, reason: str) -> None:
        self.peer = None
        self.reason = reason
        self._changed(self, "down", {})
