"""The wallet as a process: its lock, its socket, what it tells its service manager and its subscribers."""

import asyncio
import logging
from contextlib import suppress
from pathlib import Path

from bitcoind_mp.config import Config
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
from bitcoind_mp.service.memory import give_back
from bitcoind_mp.service.status import StatusLine
from bitcoind_mp.service.worker import BUSY_FOR, Host, Service

from .app import WalletApp
from .chain.ways import Ways
from .health import WalletHealth
from .reach import confine_process, confinement, confinement_to_one, make_directories, prepare
from .readiness import Readiness
from .rpc import command_objects
from .separate.apart import TheWallet, load_it
from .watch import TransactionWatch

log = logging.getLogger("bitcoind_mp")

#: Seconds of coming up during which callers wait in the socket's queue; after that they are told to try later.
_SEAMLESS = 5.0
#: So long a start that has wallets waits for the node.
_NODE_SOON = 1.0
#: Seconds that a file may take to be read and checked; the loop does nothing else meanwhile.
_LOAD_FOR = 600.0
#: Seconds that calls under way have when the process stops.
_CLOSE_CALLS = 5.0
#: So long calls wait for a node that is away when the process stops: less than they have to end by themselves.
_NODE_GOES_TOO = 3.0
#: Balances are worked out anew at most once in so many seconds.
_TELL_AFTER = 0.1


class WalletService(Service):
    """See `run_worker`."""

    def __init__(self, config: Config, credentials: Path | None = None) -> None:
        """``credentials``: $CREDENTIALS_DIRECTORY, where the service manager put those that it hands over."""
        self._config = config
        self._credentials = credentials
        self._path = config.socket_path("wallet")
        self._lock: lock.DirectoryLock | None = None
        self._server: Server | None = None
        self._app: WalletApp | None = None
        self._health: WalletHealth | None = None
        self._events = Publisher(("balance",))
        self._bound = False
        self._telling = False
        self._line: StatusLine | None = None
        self._readiness: Readiness | None = None
        self._watch: TransactionWatch | None = None
        self._host: Host | None = None
        self._own: TheWallet | None = None
        """The one wallet that the process is for, where another process makes and unloads it."""
        self._busy: asyncio.Task[None] | None = None

    async def start(self, host: Host) -> None:
        config = self._config
        self._host = host
        make_directories(config)
        self._lock = lock.acquire(config.network_dir / f"{config.instance}.lock", program="bitcoin-mp-wallet")
        listening = host.activation.socket("wallet")
        self._bound = listening is None
        if listening is None:
            listening = bind_listener(self._path, mode=0o660 if config.get_str("ipcgroup") else 0o600)
        hello = Hello.ours("wallet", config.chain)
        ways = Ways.handed(config, host.activation.socket)
        self._app = app = WalletApp(config, hello, self._credentials, ways)
        only = config.only_wallet
        if only is not None and config.is_set("apart"):
            self._own = TheWallet(app.wallets, only)
        table = manifest.Table(self._path.with_suffix(".json"))
        protections = self._confine(app, ways)
        self._health = WalletHealth(app, host.counters.read, protections.active, protections.missing)
        names = self._names(app)
        self._line = StatusLine(host.notify, self._health.status)
        self._readiness = Readiness(app.wallets, app.upstream, lambda: host.notify.extend_timeout(BUSY_FOR))
        self._watch = TransactionWatch(app.wallets, attend)
        app.wallets.on_change = app.upstream.on_change = self._changed
        app.wallets.on_move = self._line.changed
        commands = command_objects(app.wallets, with_shelf=self._own is None)
        objects = [self._health, self._events, self._watch, ProcessCommands(host, "wallet"), *commands]
        objects += [self._own] if self._own is not None else []
        access = own_user(config.get_str("ipcgroup"))
        self._server = server = Server(objects, hello=hello, access=access, warmup="Loading wallet…")
        busy = asyncio.create_task(host.stay_alive(), name="ask for time")
        coming_up = asyncio.create_task(self._come_up(host, app, names, server, table), name="come up")
        try:
            await asyncio.wait({coming_up}, timeout=_SEAMLESS)
            if coming_up.done():
                coming_up.result()  # callers of one that can't come up wait for the next
            await server.serve(listening)
            await server.go_on_with(host.callers())
            await coming_up
        except asyncio.CancelledError:
            coming_up.cancel()
            raise
        finally:
            busy.cancel()
        host.spawn(app.rebroadcaster.run(), "rebroadcast")
        host.spawn(app.wallets.load_what_had_no_room(), "load what had no room")
        self._changed()
        host.notify.extend_timeout(BUSY_FOR)
        await self._readiness.wait()
        for wallet in app.wallets:
            wallet.ledger.rest()
        give_back()

    async def _come_up(
        self, host: Host, app: WalletApp, names: list[str], server: Server, table: manifest.Table
    ) -> None:
        await self._load(host, app, names)
        only = self._config.only_wallet
        table.write({**server.manifest(), **({"wallet": only} if only is not None else {})})
        server.warmup = ""  # after it: whoever is answered finds it

    async def _load(self, host: Host, app: WalletApp, names: list[str]) -> None:
        host.notify.extend_timeout(_LOAD_FOR)
        app.upstream.start()
        if app.signer_link is not None:
            app.signer_link.start()
        if self._own is not None:
            await load_it(app.wallets, self._own.name)
            self._own.loaded.set()
        else:
            await app.wallets.load_all(names)
        await app.boot_unlock.unlock(app.wallets.get)
        if names:
            await app.upstream.up(_NODE_SOON)

    async def stop(self) -> None:
        if self._host is not None:
            self._busy = asyncio.create_task(self._host.stay_alive(), name="ask for time")
        self._events.close()
        if self._watch is not None:
            self._watch.close()
        if self._line is not None:
            self._line.close()
        if self._server is not None and self._host is not None and self._app is not None:
            # A payment that is the wallet's already is not to wait for a node that may be going down as well.
            asyncio.get_running_loop().call_later(_NODE_GOES_TOO, self._app.upstream.give_up)
            await self._server.close(_CLOSE_CALLS, self._host.leave_callers)
        if self._app is not None:
            await self._app.wallets.close()
            await self._app.upstream.close()
            self._app.introductions.close()
            if self._app.signer_link is not None:
                await self._app.signer_link.close()
        if self._busy is not None:
            self._busy.cancel()
        if self._bound:
            with suppress(PermissionError):  # it stays, and the next one takes its place
                self._path.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.release()

    def ready_status(self) -> str:
        return self._health.status() if self._health is not None else "Ready"

    def _changed(self) -> None:
        """Something that people see changed: tell subscribers soon, of all that changes until then at once."""
        if self._line is not None:
            self._line.changed()
        if self._readiness is not None:
            self._readiness.changed()
        if self._watch is not None:
            self._watch.changed()
        if not self._telling:
            self._telling = True
            asyncio.get_running_loop().call_later(_TELL_AFTER, self._tell)

    def _tell(self) -> None:
        self._telling = False
        if self._app is not None:
            self._events.publish("balance", {"wallets": [wallet.facts() for wallet in self._app.wallets]})

    def _names(self, app: WalletApp) -> list[str]:
        """The wallets to load."""
        named = self._config.wallets_named(app.startup.marked() if self._config.only_wallet is None else [])
        return app.wallets.startup_names(named, self._config.is_negated("wallet"))

    def _confine(self, app: WalletApp, ways: Ways) -> Protections:
        config, directory = self._config, app.wallets.directory
        connects = not ways.suffice(config)
        if self._own is not None:
            credential = app.boot_unlock.credential(self._own.name)
            reach = confinement_to_one(config, self._own.name, credential, connects=connects)
            directory.carrier, directory.reach = app.by_the_keeper(self._own.name), reach.write
            return confine(reach, Mode(config.get_str("sandbox") or Mode.OFF))
        if config.get_str("sandbox") != "off":
            prepare(config)
        names = config.get_list("wallet") if config.only_wallet is None else [config.only_wallet]
        reach = confinement(config, names, self._path if self._bound else None, self._credentials, connects=connects)
        return confine_process(config, reach, directory)
