"""The node as a process: its lock, its socket, who may call, what it tells its service manager."""

import asyncio
import contextlib
import logging

from bitcoind_mp.config import Config
from bitcoind_mp.interfaces.channels import AT_NODE
from bitcoind_mp.interfaces.errors import FatalError, status_of_os_error
from bitcoind_mp.interfaces.init import Hello
from bitcoind_mp.ipc.declared import manifest
from bitcoind_mp.ipc.events import Publisher
from bitcoind_mp.ipc.proxy import attend
from bitcoind_mp.ipc.serve.server import Server
from bitcoind_mp.ipc.wire.credentials import own_user
from bitcoind_mp.ipc.wire.unix import bind_listener
from bitcoind_mp.sandbox import Mode, Protections, confine
from bitcoind_mp.service import lock
from bitcoind_mp.service.control import ProcessCommands
from bitcoind_mp.service.corelock import require_no_core
from bitcoind_mp.service.status import StatusLine
from bitcoind_mp.service.worker import Host, Service

from .app import Node
from .broadcast import Broadcaster
from .chain.room import watch_room
from .feed import Feed
from .for_wallets import ForWallets
from .health import Changes, NodeHealth, Standing, topics
from .reach import confinement, prepare
from .rpc import command_objects
from .watch import ChainWatch

log = logging.getLogger("bitcoind_mp")

_SEAMLESS = 5.0
"""Seconds of coming up during which callers wait in the socket's queue; after that they are told to try later."""
_CLOSE_CALLS = 5.0
"""Seconds that calls under way have when the node stops."""


class NodeService(Service):
    """See `run_worker`."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._path = config.socket_path("node")
        self._host: Host
        self._lock: lock.DirectoryLock | None = None
        self._server: Server | None = None
        self._wallets: ForWallets | None = None
        self._node: Node | None = None
        self._health: NodeHealth | None = None
        self._feed: Feed | None = None
        self._changes: Changes | None = None
        self._watch: ChainWatch | None = None
        self._events = Publisher(("tip", "mempool"))
        self._bound = False
        self._line: StatusLine | None = None
        self._busy: asyncio.Task[None] | None = None

    async def start(self, host: Host) -> None:
        self._host = host
        require_no_core(self._config.network_dir)  # so that nothing is left there
        self._make_directories()
        self._lock = lock.acquire(self._config.network_dir / "node.lock", program="bitcoin-mp-node")
        listening = host.activation.socket("node")
        if listening is None:
            listening = bind_listener(self._path, mode=0o660 if self._config.get_str("ipcgroup") else 0o600)
            self._bound = True
        self._node = node = Node(self._config, progress=self._progress, stop=host.request_stop)
        self._busy = self._ask_for_time(node)
        node.claim()
        table = manifest.Table(self._path.with_suffix(".json"))
        protections = self._confine()
        self._health = NodeHealth(node, host.counters.read, protections.active, protections.missing)
        self._line = StatusLine(host.notify, self._status)
        hello = Hello.ours("node", self._config.chain)
        access = own_user(self._config.get_str("ipcgroup"))
        objects = [self._health, self._events, ProcessCommands(host, "node")]
        self._server = server = Server(objects, hello=hello, access=access, warmup="Starting")
        self._wallets = ForWallets(host.activation.socket(AT_NODE), hello, "Starting")
        coming_up = asyncio.create_task(self._come_up(node, server, table), name="come up")
        try:
            await asyncio.wait({coming_up}, timeout=_SEAMLESS)
            if coming_up.done():
                coming_up.result()
            await server.serve(listening)
            await server.go_on_with(host.callers())
            self._wallets.open()
            await asyncio.shield(coming_up)
        except asyncio.CancelledError:
            coming_up.cancel()
            await asyncio.gather(coming_up, return_exceptions=True)
            raise
        every = self._config.get_seconds("diskcheckinterval")
        host.spawn(watch_room(self._config.network_dir, every), "watch the disk")
        self._busy.cancel()

    async def _come_up(self, node: Node, server: Server, table: manifest.Table) -> None:
        await node.open()
        broadcaster = Broadcaster(node.chain, node.mempool, node.peers.added)
        self._feed = Feed(node.chain, node.mempool, broadcaster, node.indexes.transactions)
        self._watch = ChainWatch(node.chain, attend)
        server.add(self._feed, self._watch, *command_objects(node))
        assert self._wallets is not None
        self._wallets.server.add(self._feed)
        await node.go_online()
        self._changes = Changes(node, self._tell_changes)
        self._tell_changes()
        assert self._health is not None
        self._health.doing = ""
        table.write(server.manifest())  # first: whoever is answered finds it
        server.warmup = self._wallets.server.warmup = ""

    async def stop(self) -> None:
        if self._busy is not None:
            self._busy.cancel()
        if self._node is not None and self._node.is_open:
            self._busy = self._ask_for_time(self._node)
        if self._changes is not None:
            self._changes.close()
        if self._watch is not None:
            self._watch.close()
        if self._line is not None:
            self._line.close()
        self._events.close()
        self._progress("Ending calls…")
        if self._feed is not None:
            await self._feed.close()
        if self._wallets is not None:
            await self._wallets.close(_CLOSE_CALLS)
        if self._server is not None:
            await self._server.close(_CLOSE_CALLS, self._host.leave_callers)
        if self._node is not None:
            await self._node.close()
        if self._busy is not None:
            self._busy.cancel()
        if self._bound:
            with contextlib.suppress(PermissionError):  # it stays, and the next one takes its place
                self._path.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.release()

    def ready_status(self) -> str:
        return str(Standing.of(self._node)) if self._node is not None else "Ready"

    def _tell_changes(self) -> None:
        """Chain, mempool or peers changed."""
        assert self._node is not None
        for topic, state in topics(self._node).items():
            self._events.publish(topic, state)
        if self._line is not None:
            self._line.changed()

    def _status(self) -> str:
        """What to tell of a node that is up; what it does before and after is told at once."""
        if self._node is None or self._health is None or self._health.doing:
            return ""
        return str(Standing.of(self._node))

    def _progress(self, text: str) -> None:
        # What ended it is to be the last that a person reads of it.
        log.log(logging.DEBUG if self._host.failure is not None else logging.INFO, "%s", text)
        if self._health is not None:
            self._health.doing = text
        if self._server is not None and self._server.warmup:
            self._server.warmup = text
        if self._wallets is not None and self._wallets.server.warmup:
            self._wallets.server.warmup = text
        self._host.notify.status(text)

    def _ask_for_time(self, node: Node) -> "asyncio.Task[None]":
        """But not for a call to hang in the kernel that is neither its opening nor its closing."""
        return asyncio.create_task(self._host.stay_alive(lambda: node.may_take), name="ask for time")

    def _confine(self) -> Protections:
        """Before there is a second thread, so before the chain is opened."""
        mode = Mode(self._config.get_str("sandbox") or Mode.OFF)
        if mode is not Mode.OFF:
            prepare(self._config.network_dir)
        return confine(confinement(self._config, self._path if self._bound else None), mode)

    def _make_directories(self) -> None:
        try:
            self._config.make_directories()
        except OSError as error:
            why = f"Could not make the directory {error.filename}: {error.strerror}."
            raise FatalError(why, status=status_of_os_error(error)) from error
