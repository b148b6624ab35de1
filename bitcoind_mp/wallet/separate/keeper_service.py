"""The process that makes and lists wallets where each has one of its own (-walletprocess=each): the supervisor's unit
``wallet``. Calls about a loaded wallet it hands on to that wallet's process."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bitcoind_mp.config import Config
from bitcoind_mp.interfaces.health import Health, HealthCheck
from bitcoind_mp.interfaces.init import Hello
from bitcoind_mp.ipc.declared import manifest
from bitcoind_mp.ipc.events import Publisher
from bitcoind_mp.ipc.limits import MAX_FROM_WORKER
from bitcoind_mp.ipc.serve.entrance import Entrance, by
from bitcoind_mp.ipc.serve.forward import elsewhere
from bitcoind_mp.ipc.serve.server import Server
from bitcoind_mp.ipc.wire.credentials import own_user
from bitcoind_mp.sandbox import Protections
from bitcoind_mp.service import lock
from bitcoind_mp.service.control import ProcessCommands
from bitcoind_mp.service.worker import Host, Service
from bitcoind_mp.wallet.app import KeeperApp
from bitcoind_mp.wallet.chain.ways import Ways
from bitcoind_mp.wallet.reach import confine_keeper, make_directories
from bitcoind_mp.wallet.rpc import OF_ONE
from bitcoind_mp.wallet.rpc.shelf import ShelfCommands

from .elsewhere import Balances
from .keeper import BackupsOfOthers

#: Seconds that calls under way have when the process stops.
_CLOSE_CALLS = 5.0


class KeeperHealth(HealthCheck):
    """How the process is; the wallets' processes tell of themselves."""

    def __init__(self, app: KeeperApp, counters: Callable[[], dict[str, int]], found: Protections) -> None:
        self._app = app
        self._counters = counters
        self._found = found

    async def check(self) -> Health:
        processes = self._app.processes
        counters = {**self._counters(), "wallets": len(processes.last)}
        problems = [self._app.startup.problem] if self._app.startup.problem else []
        loaded = {unit.name for unit in processes.last}
        for name, why in processes.refused.items():
            if name not in loaded:
                problems.append(f"The wallet {name!r} was not loaded: {why}")
        return Health(self.status(), problems, counters, {}, list(self._found.active), list(self._found.missing))

    def status(self) -> str:
        """One line for a person."""
        count = len(self._app.processes.last)
        return f"{count} wallet{'s' if count != 1 else ''} loaded, each by a process of its own"


class KeeperService(Service):
    """See `run_worker`. ``supervisor`` is where the supervisor answers, which has the wallets' processes."""

    def __init__(self, config: Config, supervisor: Path) -> None:
        self._config = config
        self._supervisor = supervisor
        self._lock: lock.DirectoryLock | None = None
        self._server: Server | None = None
        self._for_wallets: Server | None = None
        self._entrance: Entrance | None = None
        self._app: KeeperApp | None = None
        self._balances: Balances | None = None
        self._health: KeeperHealth | None = None
        self._host: Host | None = None
        self._wallets: list[Any] = []
        self._events = Publisher(("balance",))

    async def start(self, host: Host) -> None:
        config = self._config
        self._host = host
        path = config.socket_path("wallet")
        make_directories(config)
        self._lock = lock.acquire(config.network_dir / f"{config.instance}.lock", program="bitcoin-mp-wallet")
        listening = host.activation.socket("wallet")
        assert listening is not None, "the supervisor hands its socket down"
        hello = Hello.ours("wallet", config.chain)
        ways = Ways.handed(config, host.activation.socket)
        self._app = app = KeeperApp(config, hello, self._supervisor, ways)
        table = manifest.Table(path.with_suffix(".json"))
        protections, carrier = confine_keeper(config, app.keeper.directory)
        self._health = KeeperHealth(app, host.counters.read, protections)
        self._balances = Balances(app.processes, config.socket_path, hello, self._tell)
        app.processes.on_up = app.keeper.on_change = self._balances.look
        objects = [self._health, self._events, ProcessCommands(host, "wallet"), ShelfCommands(app.keeper)]
        self._server = server = Server(objects, hello=hello, access=own_user(config.get_str("ipcgroup")))
        server.add_table(elsewhere(OF_ONE, app.processes.hand_on), "what is handed on")
        app.start()
        await server.serve(listening)
        await server.go_on_with(host.callers())
        await app.processes.begun()
        if ways.at_keeper is not None:
            backups = BackupsOfOthers(app.keeper.directory, carrier, app.processes.known)
            self._for_wallets = Server([backups], hello=hello, limit=MAX_FROM_WORKER, batches=False)
            self._entrance = Entrance(ways.at_keeper, by(self._for_wallets))
            self._entrance.open()
        table.write({**server.manifest(), "each": True})

    async def stop(self) -> None:
        self._events.close()
        if self._entrance is not None:
            await self._entrance.close()
        if self._server is not None and self._host is not None:
            await self._server.close(_CLOSE_CALLS, self._host.leave_callers)
        if self._for_wallets is not None:
            await self._for_wallets.close(_CLOSE_CALLS)
        if self._balances is not None:
            await self._balances.close()
        if self._app is not None:
            await self._app.close()
        if self._lock is not None:
            self._lock.release()

    def ready_status(self) -> str:
        return self._health.status() if self._health is not None else "Ready"

    def _tell(self, state: dict[str, Any]) -> None:
        """The wallets, or something of one, are otherwise."""
        self._events.publish("balance", state)
        if self._host is not None and len(state["wallets"]) != len(self._wallets):
            asyncio.get_running_loop().call_soon(self._host.notify.status, self.ready_status())
        self._wallets = state["wallets"]
