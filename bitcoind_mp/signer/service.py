"""The signer as a process: its lock, its socket, its health, what it tells its service manager."""

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bitcoind_mp.config import Config
from bitcoind_mp.interfaces.channels import AT_SIGNER
from bitcoind_mp.interfaces.errors import FatalError, status_of_os_error
from bitcoind_mp.interfaces.health import Health, HealthCheck
from bitcoind_mp.interfaces.init import Hello
from bitcoind_mp.ipc.declared import manifest
from bitcoind_mp.ipc.events import Publisher
from bitcoind_mp.ipc.serve.door import Door
from bitcoind_mp.ipc.serve.entrance import Entrance, Served
from bitcoind_mp.ipc.serve.server import Server
from bitcoind_mp.ipc.wire.credentials import own_user
from bitcoind_mp.ipc.wire.unix import bind_listener
from bitcoind_mp.sandbox import Mode, Protections, confine
from bitcoind_mp.service import lock
from bitcoind_mp.service.control import ProcessCommands
from bitcoind_mp.service.status import StatusLine
from bitcoind_mp.service.worker import Host, Service

from .app import SignerApp
from .clock import reader
from .counter import Counter
from .door import REFUSAL, Lineage, chooser
from .owner import OwnerCommands
from .reach import confinement, prepare
from .tickets import Tickets
from .vault import Vault

log = logging.getLogger("bitcoind_mp")

#: Seconds that calls under way have when the process stops.
_CLOSE_CALLS = 5.0


class SignerHealth(HealthCheck):
    """How the process is, from what it knows: no call, and a look at the audit log's name. ``counters`` gives the
    process's own figures."""

    def __init__(self, vault: Vault, counters: Callable[[], dict[str, int]], protections: Protections) -> None:
        self._vault = vault
        self._counters = counters
        self._protections = protections

    async def check(self) -> Health:
        own = {"keysets": len(self._vault.keysets()), "requests": len(self._vault.requests)}
        found = self._protections
        counters = {**self._counters(), **own}
        damage = self._vault.damage()
        problems = [f"nothing is signed: {damage}"] if damage else []
        return Health(
            self.status(), problems, counters, protections=list(found.active), unprotected=list(found.missing)
        )

    def status(self) -> str:
        """One line for a person."""
        sets = self._vault.keysets()
        count = f"keys of {len(sets)} wallet{'s' if len(sets) != 1 else ''}"
        unlocked = sum(one["unlocked"] for one in sets)
        waiting = len(self._vault.requests)
        parts = [count, f"{unlocked} unlocked" if unlocked else "locked"]
        if waiting:
            parts.append(f"{waiting} to be confirmed (bitcoin-mp listsigningrequests)")
        return ", ".join(parts)


class SignerService(Service):
    """See `run_worker`."""

    def __init__(self, config: Config, credentials: Path | None = None) -> None:
        """``credentials``: $CREDENTIALS_DIRECTORY, where the service manager put those that it hands over."""
        self._config = config
        self._credentials = credentials
        self._path = config.socket_path("signer")
        self._lock: lock.DirectoryLock | None = None
        self._app: SignerApp | None = None
        self._door: Door | None = None
        self._entrance: Entrance | None = None
        self._ours: list[Path] = []
        self._servers: list[Server] = []
        self._events = Publisher(())  # a shell subscribes wherever it connects
        self._health: SignerHealth | None = None
        self._line: StatusLine | None = None

    async def start(self, host: Host) -> None:
        config = self._config
        self._make_directories()
        self._lock = lock.acquire(config.network_dir / "signer.lock", program="bitcoin-mp-signer")
        listening = host.activation.socket("signer") or self._bind(self._path)
        from_wallet = host.activation.socket(AT_SIGNER) or self._bind(config.wallets_door)
        table = manifest.Table(self._path.with_suffix(".json"))
        now = reader()
        # Before there is a second thread, and before a key is anywhere near.
        reach = confinement(config, self._ours, self._credentials)
        protections = confine(reach, Mode(config.get_str("sandbox") or Mode.OFF))
        self._app = app = SignerApp(config, now, self._credentials)
        self._health = health = SignerHealth(app.vault, host.counters.read, protections)
        self._line = StatusLine(host.notify, health.status)
        app.vault.on_change = self._line.changed
        app.vault.requests.on_change = self._requests_changed
        hello = Hello.ours("signer", config.chain)
        access = own_user()  # whoever -ipcgroup lets use the wallet isn't the keys' owner for that
        tickets = Tickets(asyncio.get_running_loop().time)
        for_owner = [
            health,
            self._events,
            OwnerCommands(app.vault, tickets, config.chain),
            ProcessCommands(host, "signer"),
        ]
        owner = Server(for_owner, hello=hello, access=access)
        nobody = Server(hello=hello, access=access, unknown=REFUSAL)
        self._servers = [owner, nobody]

        def for_a_wallet() -> Served:
            counter = Counter(app.vault, tickets, relay=config.get_bool("signerrelay"))
            return Server([counter], hello=hello, access=access, batches=False), counter.left

        lineage = Lineage(config.network_dir)
        self._door = Door(listening, chooser(lineage, owner, nobody))
        self._entrance = Entrance(from_wallet, for_a_wallet, lineage.is_wallet)
        await app.boot_unlock.unlock(app.vault)
        self._door.open()
        self._entrance.open()
        table.write(owner.manifest())

    async def stop(self) -> None:
        if self._door is not None:
            await self._door.close()
        if self._entrance is not None:
            await self._entrance.close()
        if self._line is not None:
            self._line.close()
        self._events.close()
        if self._entrance is not None:
            await self._entrance.end(_CLOSE_CALLS)
        for server in self._servers:
            await server.close(_CLOSE_CALLS)
        if self._app is not None:
            self._app.close()
        for path in self._ours:
            with suppress(PermissionError):  # it stays, and the next one takes its place
                path.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.release()

    def _bind(self, path: Path) -> socket.socket:
        """A socket that nobody handed down."""
        listening = bind_listener(path, mode=0o600)
        self._ours.append(path)
        return listening

    def ready_status(self) -> str:
        return self._health.status() if self._health is not None else "Ready"

    def _make_directories(self) -> None:
        try:
            self._config.make_directories()
            prepare(self._config)
        except OSError as error:
            why = f"Could not make {error.filename}: {error.strerror}."
            raise FatalError(why, status=status_of_os_error(error)) from error

    def _requests_changed(self) -> None:
        assert self._line is not None and self._app is not None
        self._line.changed()
        waiting = list(self._app.vault.requests)
        if waiting:
            log.warning(
                "%d signature%s to be confirmed; the newest: bitcoin-mp confirmsigning %s (see listsigningrequests)",
                len(waiting),
                "s wait" if len(waiting) != 1 else " waits",
                waiting[-1].id,
            )
