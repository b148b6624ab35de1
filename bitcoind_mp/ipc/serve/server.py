"""A server: objects whose methods carry ``@command`` or ``@interface_method``, answered on Unix sockets."""

import asyncio
import logging
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from bitcoind_mp.interfaces.command import command, interface_method
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.init import Hello, Init
from bitcoind_mp.ipc import handshake
from bitcoind_mp.ipc.declared.help import help_command
from bitcoind_mp.ipc.declared.manifest import describe
from bitcoind_mp.ipc.declared.openrpc import document
from bitcoind_mp.ipc.declared.signature import Method, declared
from bitcoind_mp.ipc.limits import LISTEN_BACKLOG, MAX_CONNECTIONS, MAX_REQUEST
from bitcoind_mp.ipc.session import Session
from bitcoind_mp.ipc.transport import Wire
from bitcoind_mp.ipc.wire.credentials import AccessRule, CredentialReader, own_user, peer_credentials
from bitcoind_mp.ipc.wire.passing import is_channel, take_all

from .acceptor import Acceptor, accepting
from .dispatch import refused, reply_text
from .incoming import Incoming
from .registry import Table, collect
from .served import Served
from .shared import UNKNOWN, Shared

#: Seconds that calls have to end by themselves when the server closes.
_PATIENCE = 5.0
#: So many, from their beginning, have those that may wait long for something; and a connection that was just accepted,
#: to say what it is for.
_BRIEF = 0.25

#: Seconds for the others to take note that they will be answered no more.
_GOODBYE = 0.5

#: Takes connections that another process is to go on with, and with them the care of closing them here.
Keep = Callable[[list[socket.socket]], None]

logger = logging.getLogger("bitcoind_mp.ipc")


class Server:
    """Answers commands and interface methods on listening sockets.

    ``objects`` are instances whose methods are declared; more may follow with `add` (a worker that serves while
    it still loads). ``hello`` is what `init.handshake` answers. While `warmup` holds a text, commands are refused
    with Core's -28 and that text; interface methods are answered all the same. ``unknown`` is what is said to whoever
    calls what isn't served, and ``on_unknown`` is told what that was. ``credentials`` is what tells who a peer is, and
    ``access`` who may be one. ``limit`` is the longest line that is taken, in bytes, and ``batches`` whether one may
    have several requests: small bounds for processes of ours, any of which may have been broken into.
    """

    def __init__(
        self,
        objects: Iterable[object] = (),
        *,
        hello: Hello,
        access: AccessRule | None = None,
        warmup: str = "",
        unknown: str = UNKNOWN,
        credentials: CredentialReader = peer_credentials,
        max_connections: int = MAX_CONNECTIONS,
        on_unknown: Callable[[str], None] | None = None,
        limit: int = MAX_REQUEST,
        batches: bool = True,
    ) -> None:
        self.hello = hello
        self._access = access or own_user()
        self._credentials = credentials
        self._max_connections = max_connections
        self._table: Table = {}
        self._limit = limit
        self._shared = Shared(self._table, warmup, unknown, batches=batches)
        if on_unknown is not None:
            self._shared.on_unknown = on_unknown
        self._sessions: dict[int, Session] = {}
        self._listening: list[tuple[socket.socket, Acceptor]] = []
        self._count = 0
        self._table.update(_Builtins(self).table())
        self._replaceable = {"help"}
        self._table.update(collect(_Help(self), self._shared))
        self.add(*objects)

    @property
    def warmup(self) -> str:
        """The text that commands are refused with while the server isn't ready; empty when it is."""
        return self._shared.warmup

    @warmup.setter
    def warmup(self, text: str) -> None:
        self._shared.warmup = text

    @property
    def sessions(self) -> list[Session]:
        """The connections that are open."""
        return list(self._sessions.values())

    @property
    def methods(self) -> list[Method]:
        """Everything that is served, by name."""
        return [served.method for _, served in sorted(self._table.items())]

    def add(self, *objects: object) -> None:
        """Serve these too. Raises ValueError where a name is taken."""
        for instance in objects:
            self.add_table(collect(instance, self._shared), type(instance).__name__)

    def add_table(self, table: Table, whose: str) -> None:
        """The same of methods that aren't an object's. Raises ValueError where a name is taken."""
        if taken := (table.keys() & self._table.keys()) - self._replaceable:
            raise ValueError(f"{whose}: {', '.join(sorted(taken))} is served already")
        self._replaceable -= table.keys()
        self._table.update(table)

    async def serve(self, listening: socket.socket) -> None:
        """Start to accept on a bound socket, which is closed at the end. May be called for several sockets."""
        listening.listen(LISTEN_BACKLOG)
        acceptor = Acceptor(listening, accepting(listening), self.admit)
        acceptor.open()
        self._listening.append((listening, acceptor))

    async def admit(self, connected: socket.socket) -> None:
        """The same as `adopt`, of a connection that may be gone, or a stranger's: it is closed then."""
        try:
            with suppress(PermissionError):  # they have been told, and the log
                await self.adopt(connected)
        except OSError as error:
            logger.debug("a connection was gone before it was taken: %s", error)
            connected.close()

    async def adopt(self, connected: socket.socket) -> Session:
        """Serve one connection that exists already (a socketpair's end). Raises PermissionError for a peer that may
        not call."""
        connected.setblocking(False)
        loop = asyncio.get_running_loop()
        _, wire = await loop.create_unix_connection(lambda: Wire(self._session_of), sock=connected)
        if wire.session is None:
            raise PermissionError("the peer may not call this server")
        return wire.session

    async def go_on_with(self, connections: Iterable[socket.socket]) -> None:
        """Serve the connections that another process kept for us: each for itself, or many in a channel."""
        for each in connections:
            for connected in take_all(each) if is_channel(each) else [each]:
                await self.admit(connected)

    def manifest(self) -> dict[str, Any]:
        """The table of commands, to be written with `manifest.write`."""
        return describe(self.hello, self.methods)

    def discover(self) -> dict[str, Any]:
        """The OpenRPC document of everything served."""
        return document(self.hello, self.methods)

    async def stop_accepting(self) -> None:
        """Whoever connects from now on waits in the socket's queue. The sockets given to `serve` are closed."""
        listening, self._listening = self._listening, []
        for place, acceptor in listening:
            await acceptor.close()
            place.close()

    async def close(self, deadline: float = 5.0, keep: Keep | None = None, *, patience: float = _PATIENCE) -> None:
        """Stop accepting, let calls end, cancel what hasn't committed after ``patience`` seconds, wait up to
        ``deadline`` seconds for the rest, disconnect. ``keep`` is given the connections that can do without us: what
        came on them meanwhile is still to be read."""
        await self.stop_accepting()
        self._shared.leaving = True
        for session in self.sessions:
            session.leave(to_another=keep is not None)
        await self._let_calls_end(patience)
        self._shared.closing = True
        for session in self.sessions:
            session.cancel_all()
        if self._shared.running:
            _, left = await asyncio.wait(self._shared.running, timeout=deadline)
            for task in left:
                task.cancel()
            if left:
                logger.warning("%d calls did not end within %g s", len(left), deadline)
                await asyncio.wait(left, timeout=min(deadline, 1.0))
        if going := [each for session in self.sessions if (each := session.let_go) is not None]:
            await asyncio.wait(going, timeout=_GOODBYE)
        if keep is not None and (kept := [it for one in self.sessions if (it := one.detach()) is not None]):
            keep(kept)
        sessions = self.sessions
        for session in sessions:
            session.finish()
        if sessions:
            _, open_ = await asyncio.wait([session.closed for session in sessions], timeout=min(deadline, 1.0))
            for session in sessions if open_ else ():
                session.abort()

    async def _let_calls_end(self, patience: float) -> None:
        """Whoever restarts us keeps the next callers waiting: those who came before needn't be refused."""
        now = time.monotonic()
        end = now + patience
        while now < end:
            recently = now - _BRIEF
            ending = [task for session in self.sessions for task in session.let_end(recently)]
            silent = any(session.is_silent and session.began > recently for session in self.sessions)
            if not ending and not silent:
                return
            await asyncio.wait(ending, timeout=min(0.01, end - now)) if ending else await asyncio.sleep(0.01)
            now = time.monotonic()

    def _session_of(self, link: Wire, connected: socket.socket) -> Session | None:
        """The session of a new connection; None, and a word to the peer and the log, where it is refused."""
        try:
            peer = self._credentials(connected)
        except OSError as error:
            logger.warning("a connection whose peer could not be told was refused: %s", error)
            return None
        if not self._access.admits(peer):
            logger.warning("refused a connection by uid %d (pid %d): not the owner", peer.uid, peer.pid)
            text = f"uid {peer.uid} may not call this {self.hello.role}: its owner is uid {self._access.uid}"
            link.write(reply_text(refused(RpcCode.INVALID_REQUEST, text)) + b"\n")
            return None
        if len(self._sessions) >= self._max_connections:
            self._cut_most_silent()
        self._count += 1
        session = Session(link, shared=self._shared, number=self._count, limit=self._limit, forget=self._forget)
        self._sessions[session.number] = session
        logger.debug("%d: connection of pid %d, uid %d", session.number, peer.pid, peer.uid)
        return session

    def _forget(self, session: Session) -> None:
        self._sessions.pop(session.number, None)

    def _cut_most_silent(self) -> None:
        silent = min(self._sessions.values(), key=lambda session: (session.peer is not None, session.last_heard))
        logger.warning("%d connections: the most silent, %d, is cut", len(self._sessions), silent.number)
        self._sessions.pop(silent.number, None)
        silent.abort()


class Cancelling(ABC):
    """What a caller may say of its own calls."""

    @interface_method("rpc.cancel", notification=True)
    @abstractmethod
    async def cancel(self, id: Any) -> None:
        """The call of this connection that has this id is no longer wanted: cancelled unless past its commit point."""


class _Builtins:
    """What is answered about the connection itself, before any handshake. Each function gets the request."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def table(self) -> Table:
        """Under the names, and with the signatures, of the interfaces."""
        methods = {**declared(Init), **declared(Cancelling)}
        return {method.name: Served(method, getattr(self, attribute)) for attribute, method in methods.items()}

    def handshake(self, request: Incoming) -> Hello:
        hello = handshake.read_hello(request.params)
        handshake.check(self._server.hello, hello)
        request.session.peer = hello
        return self._server.hello

    def discover(self, request: Incoming) -> dict[str, Any]:
        return self._server.discover()

    def cancel(self, request: Incoming) -> None:
        params = request.params
        if not params:
            raise RpcError(RpcCode.INVALID_PARAMS, "rpc.cancel needs the call's id")
        request.session.cancel(params.get("id") if isinstance(params, dict) else params[0])


class _Help:
    """The `help` command of a server that brings none of its own."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @command("control")
    def help(self, command: str = "") -> str:
        """List all commands, or get help for a specified command.

        Args:
            command: The command to get help on (default: all commands)

        Returns:
            The help text
        """
        return help_command(self._server.methods, command)
