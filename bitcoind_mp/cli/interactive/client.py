"""The shell's connections: one to each server, made again by themselves, and what the servers tell over them.

What belongs here: which servers there are, finding a command's, calling it. What doesn't: one connection by itself
(``link.py``), what is typed and what is shown.
Nothing here asks anything on a timer.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from bitcoind_mp.cli.arguments import Command
from bitcoind_mp.cli.routing import EXPECTED, Server, Servers, chosen_wallet
from bitcoind_mp.config import Config
from bitcoind_mp.config.invocation import command_line
from bitcoind_mp.interfaces.errors import SHUTTING_DOWN, Disconnected, RpcCode, RpcError
from bitcoind_mp.interfaces.init import Hello
from bitcoind_mp.interfaces.logs import Logs, LogSink
from bitcoind_mp.interfaces.notices import Notices, NoticeSink
from bitcoind_mp.ipc.client import connect
from bitcoind_mp.ipc.proxy import proxy
from bitcoind_mp.ipc.session import Session
from bitcoind_mp.ipc.wire.unix import is_answered

from .link import Link
from .toolbar import Seen

#: Seconds that a command waits for its server while there is no supervisor: systemd may start both again.
ALONE = 5.0
#: A unit's states in which nobody serves its socket, and nobody will until a person says so.
AT_REST = ("stopped", "failed")
#: Those in which somebody comes who will.
COMING = ("starting", "backoff", "stopping", "aborting", "killing")
#: A unit's state in which it waits for something that may stay in its way for ever.
HELD = "held"
#: What is answered for all wallets, whoever has them.
LIST_WALLETS = "listwallets"

#: Told of each change: a topic's name, ``up`` or ``down``.
Listener = Callable[[str], None]


class Connections:
    """All links, and what is `Seen` over them. Whoever is in ``listeners`` is told of each change."""

    def __init__(self, config: Config) -> None:
        self.seen = Seen(config.chain, wallet=chosen_wallet(config))
        self.listeners: set[Listener] = set()
        self._config = config
        self._hello = Hello.ours("cli", config.chain)
        self._links = [Link(server, self._hello, self._on_change) for server in Servers.of(config).all()]
        self._balances: dict[str, list[dict[str, Any]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def anybody(self) -> bool:
        """Whether any server's socket is answered."""
        return any(is_answered(link.server.socket) for link in self._links)

    def start(self) -> None:
        """Connect to whoever there is. Workers wait for the supervisor's word where there is one."""
        for link in self._links:
            if link.role != "supervisor" and is_answered(self._links[0].server.socket):
                continue
            link.open()

    async def until_stopped(self, say: Callable[[str], None]) -> None:
        """Where a supervisor answers that is on its way out, wait for its end."""
        supervisor = self.link("supervisor")
        if supervisor is None or not is_answered(supervisor.server.socket):
            return
        with contextlib.suppress(RpcError, OSError):
            session = await connect(supervisor.server.socket, hello=self._hello)
            try:
                answer = await session.call("status", ["", 0])
                if answer["supervisor"].get("stopping"):
                    say("The supervisor is stopping…")
                    await asyncio.shield(session.closed)
            finally:
                session.abort()

    async def close(self) -> None:
        """Disconnect."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(link.close() for link in self._links), return_exceptions=True)

    def link(self, role: str) -> Link | None:
        """The link to that server, None where there can be none."""
        return next((link for link in self._links if link.role == role), None)

    def pid(self, role: str) -> int | None:
        """The process that a link leads to, None where it leads to none now."""
        link = self.link(role)
        return link.peer.pid if link is not None and link.peer is not None else None

    async def until_up(self, role: str) -> None:
        """Wait for that server."""
        link = self.link(role)
        assert link is not None
        link.open()
        await link.wait()

    # Commands

    def commands(self) -> dict[str, Command]:
        """Every command of every server that has written its table."""
        found: dict[str, Command] = {}
        for server in Servers.of(self._config).all():
            for described in server.table["commands"] if server.table else ():
                found.setdefault(described["name"], Command(described))
        return found

    def without_table(self) -> list[str]:
        """The servers that run and whose table can't be read."""
        torn = [server.role for server in Servers.of(self._config).all() if server.table is None]
        return [role for role in torn if self.seen.connected.get(role) or self.unit_state(role) == "running"]

    def find(self, name: str, wallet: str | None = None) -> tuple[Link, Command] | None:
        """The link that a command goes to: of the wallet's process, where that has one of its own; else the first that
        is connected, else the first whose table has it. ``wallet`` is the one that it is for, None for the one chosen.

        Raises:
            RpcError: -19, several wallets have a process each, and none is chosen.
        """
        wallet = wallet if wallet is not None else self.seen.wallet
        having = list(Servers.of(self._config, wallet).having(name))
        ranked = [(link, command) for server, command in having if (link := self._link_to(server)) is not None]
        alone = [link for link, _ in ranked if link.is_one_wallet_s]
        if wallet is None and len(alone) > 1 and name != LIST_WALLETS:
            names = ", ".join(str((link.server.table or {}).get("wallet")) for link in alone)
            raise RpcError(
                RpcCode.WALLET_NOT_SPECIFIED,
                f"Multiple wallets are loaded ({names}), by a process each. Please select which wallet to use: "
                "use <walletname>.",
            )
        at_once = (entry for entry in ranked if entry[0].session is not None or entry[0].is_one_wallet_s)
        return next(at_once, ranked[0] if ranked else None)

    async def found(self, name: str, wallet: str | None, waiting: Callable[[str], None]) -> tuple[Link, Command] | None:
        """`find`; where no table has the command, and one is still to be written, once that is so or nobody comes:
        ``waiting`` is told of whom."""
        changed = asyncio.Event()

        def notice(topic: str) -> None:
            changed.set()

        self.listeners.add(notice)
        try:
            while (found := self.find(name, wallet)) is None and (coming := self._coming()):
                waiting(f"waiting for the {coming}…")
                await changed.wait()
                changed.clear()
            return found
        finally:
            self.listeners.discard(notice)

    async def introduced(self, waiting: Callable[[str], None]) -> None:
        """Wait for every table that is still to be written."""
        await self.found("", None, waiting)

    def _coming(self) -> str:
        """Who comes up for the first time, and has no table yet, or whose word on that is to come; else empty."""
        if all(server.table for server in Servers.of(self._config).all() if server.role in EXPECTED):
            return ""
        supervisor = self.link("supervisor")
        told = self.seen.connected.get("supervisor") and self.seen.unit is not None
        if supervisor is not None and not told and is_answered(supervisor.server.socket):
            return "supervisor"
        for server in Servers.of(self._config).all():
            if server.table is None and self.unit_state(server.unit) in COMING:
                return server.unit
        return ""

    def has_process(self, wallet: str) -> bool:
        """Whether a process that serves that wallet alone answers."""
        own = (server for server in Servers.of(self._config, wallet).all() if server.unit != server.role)
        return any(is_answered(server.socket) and (server.table or {}).get("wallet") == wallet for server in own)

    def _link_to(self, server: Server) -> Link | None:
        """The link to a server; one wallet's is made when it is first needed."""
        found = next((link for link in self._links if link.server.socket == server.socket), None)
        if found is None and server.unit != server.role:
            found = Link(server, self._hello, self._on_change)
            self._links.append(found)
            found.open()
        elif found is not None and found.is_one_wallet_s:
            found.server = server
            found.open()
        return found

    async def call(
        self,
        link: Link,
        command: Command,
        params: Any,
        *,
        wallet: str | None = None,
        progress: Callable[[str], None] | None = None,
        waiting: Callable[[str], None] | None = None,
    ) -> Any:
        """Call a command, waiting for its server where that is being started again: ``waiting`` is told so, and told
        nothing ("") once it is over. What only reads is asked again when the connection ends under it, and so is
        whatever the server's end cancelled.

        Raises `RpcError`, `Disconnected` (a call that may have taken effect), `CallTimeout`.
        """
        alone = [each for each in self._links if each.is_one_wallet_s and is_answered(each.server.socket)]
        if command.name == LIST_WALLETS and link.is_one_wallet_s and len(alone) > 1:
            parts = [await (await each.wait()).call(LIST_WALLETS) for each in alone]
            return [name for part in parts for name in part]
        while True:
            session = link.session
            if session is None:
                if waiting is not None:
                    waiting(f"waiting for the {link.role}…")
                session = await self._awaited(link)
                if waiting is not None:
                    waiting("")
            try:
                return await session.call(command.name, params, wallet=wallet, progress=progress)
            except Disconnected:
                if command.described.get("changes"):
                    raise
            except RpcError as error:
                if (error.code, error.message) != (RpcCode.CLIENT_NOT_CONNECTED, SHUTTING_DOWN):
                    raise
            session.abort()  # it is of no use any more, and the link is to notice
            await asyncio.sleep(0)

    async def _awaited(self, link: Link) -> Session:
        """The session once there is one; given up where nobody will start that server: it is at rest, or there has
        been no supervisor for a while, or it may be held for ever. Raises `RpcError`."""
        clock = asyncio.get_running_loop().time
        changed = asyncio.Event()

        def notice(topic: str) -> None:
            changed.set()

        self.listeners.add(notice)
        alone_since = None
        try:
            while link.session is None:
                self._refuse_if_at_rest(link)
                link.open()
                changed.clear()
                if self.seen.connected.get("supervisor"):
                    alone_since = None
                elif alone_since is None:
                    alone_since = clock()
                left = None if alone_since is None else alone_since + ALONE - clock()
                if left is not None and left <= 0:
                    raise RpcError(
                        RpcCode.CLIENT_NOT_CONNECTED,
                        f"The {link.role} is not running, and no supervisor is there to start it again. "
                        f"Start one with: {command_line(self._config, 'bitcoind-mp')} -daemon",
                    )
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await changed.wait()
            return link.session
        finally:
            self.listeners.discard(notice)

    def _refuse_if_at_rest(self, link: Link) -> None:
        state = self.unit_state(link.unit)
        if state == HELD:
            raise RpcError(
                RpcCode.CLIENT_NOT_CONNECTED,
                f"The {link.unit} is held, and starts by itself once what is in its way is gone: "
                f"{self._unit(link.unit)['reason']} (see: status {link.unit})",
            )
        if state in AT_REST:
            raise RpcError(
                RpcCode.CLIENT_NOT_CONNECTED,
                f"The {link.unit} is {state}. Start it with: start {link.unit}"
                + (f" (see: logs {link.unit})" if state == "failed" else ""),
            )

    def unit_state(self, role: str) -> str:
        """The supervisor's word for a unit's state, empty where there is none."""
        return str(self._unit(role).get("state", ""))

    def _unit(self, role: str) -> dict[str, Any]:
        """What the supervisor says of a unit, nothing where there is none to say it."""
        units = (self.seen.unit or {}).get("units", []) if self.seen.connected.get("supervisor") else []
        return next((unit for unit in units if unit["name"] == role), {})

    async def follow_logs(self, unit: str, lines: int, sink: LogSink) -> Session:
        """Follow on a connection of its own; closing that ends it. Raises OSError, `RpcError`."""
        return await self._following(lambda session: proxy(Logs, session).follow(unit, lines, sink))  # type: ignore[type-abstract]

    async def follow_events(self, kinds: list[str], sink: NoticeSink) -> Session:
        """The same for events."""
        return await self._following(lambda session: proxy(Notices, session).follow(kinds, sink))  # type: ignore[type-abstract]

    async def _following(self, begin: Callable[[Session], Awaitable[object]]) -> Session:
        supervisor = self.link("supervisor")
        if supervisor is None:
            raise RpcError(RpcCode.CLIENT_NOT_CONNECTED, "that is the supervisor's, and none is connected")
        session = await connect(supervisor.server.socket, hello=self._hello)
        try:
            await begin(session)
        except BaseException:
            session.abort()
            raise
        return session

    # What links tell

    def _on_change(self, link: Link, topic: str, state: dict[str, Any]) -> None:
        if topic in ("up", "down"):
            self.seen.connected[link.role] = any(
                each.peer is not None for each in self._links if each.role == link.role
            )
            if topic == "down" and link.is_one_wallet_s and len(self._balances) > 1:
                self._balances.pop(link.server.socket, None)
                self._put_balances_together()
            if link.role == "supervisor" and topic == "down":
                self._open_workers()
        elif topic == "balance":
            self._balances[link.server.socket] = state["wallets"]
            self._put_balances_together()
        else:
            setattr(self.seen, topic, state)
            if topic == "unit":
                self._mind_units(state)
        for listener in list(self.listeners):
            listener(topic)

    def _put_balances_together(self) -> None:
        """Each wallet's once: what its own process tells is newer than what is told for all of them."""
        ours = {link.server.socket for link in self._links if link.is_one_wallet_s}
        order = sorted(self._balances, key=lambda socket: socket in ours)
        wallets = {wallet["name"]: wallet for socket in order for wallet in self._balances[socket]}
        self.seen.balance = {"wallets": list(wallets.values())}

    def _open_workers(self) -> None:
        """Without a supervisor to tell, each worker is tried."""
        for link in self._links:
            if link.role != "supervisor":
                link.open()

    def _mind_units(self, state: dict[str, Any]) -> None:
        """Be connected to the units that run or will, and not to those at rest: nobody is there."""
        states = {unit["name"]: unit["state"] for unit in state["units"]}
        for link in list(self._links):
            is_gone = link.is_one_wallet_s and "wallet" in states and link.unit not in states
            if link.unit not in states and not is_gone:
                continue
            if is_gone:
                self._links.remove(link)
            if is_gone or states[link.unit] in AT_REST:
                if not link.is_one_wallet_s:
                    self.seen.connected[link.role] = False
                task = asyncio.get_running_loop().create_task(link.close())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            else:
                link.open()
