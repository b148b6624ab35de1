"""The signer as a process: its lock, its socket, its health, what it tells its service manager."""

import logging
import os
import resource
from contextlib import suppress

from bitcoind_mp import __version__
from bitcoind_mp.config import Config
from bitcoind_mp.interfaces.errors import ExitStatus, FatalError
from bitcoind_mp.interfaces.health import Health, HealthCheck
from bitcoind_mp.interfaces.init import PROTOCOL_VERSION, Hello
from bitcoind_mp.ipc import manifest
from bitcoind_mp.ipc.credentials import own_user
from bitcoind_mp.ipc.server import Server
from bitcoind_mp.ipc.unix import bind_listener
from bitcoind_mp.service import lock
from bitcoind_mp.service.control import ProcessCommands
from bitcoind_mp.service.status import StatusLine
from bitcoind_mp.service.worker import Host, Service

from .app import SignerApp
from .door import Door, Lineage
from .owner import OwnerCommands
from .vault import Vault

log = logging.getLogger("bitcoind_mp")

#: Seconds that calls under way have when the process stops.
_CLOSE_CALLS = 5.0


class SignerHealth(HealthCheck):
    """How the process is, from what it knows: no call, no disk."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def check(self) -> Health:
        return Health(self.status(), [], {"keysets": len(self._vault.keysets()), "requests": len(self._vault.requests)})

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

    def __init__(self, config: Config) -> None:
        self._config = config
        self._path = config.socket_path("signer")
        self._lock: lock.DirectoryLock | None = None
        self._app: SignerApp | None = None
        self._door: Door | None = None
        self._servers: list[Server] = []
        self._health: SignerHealth | None = None
        self._line: StatusLine | None = None
        self._bound = False

    async def start(self, host: Host) -> None:
        config = self._config
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            config.make_directories()
        except OSError as error:
            raise FatalError(
                f"Could not make the directory {error.filename}: {error.strerror}.", status=ExitStatus.OS_ERROR
            ) from error
        with suppress(FileNotFoundError):
            self._path.with_suffix(".json").unlink()
        self._lock = lock.acquire(config.network_dir / "signer.lock", program="bitcoin-mp-signer")
        listening = host.activation.socket("signer")
        self._bound = listening is None
        if listening is None:
            listening = bind_listener(self._path, mode=0o600)
        self._app = app = SignerApp(config)
        self._health = health = SignerHealth(app.vault)
        self._line = StatusLine(host.notify, health.status)
        app.vault.on_change = self._line.changed
        app.vault.requests.on_change = self._requests_changed
        hello = Hello("signer", PROTOCOL_VERSION, config.chain, __version__, os.getpid())
        access = own_user()  # whoever -ipcgroup lets use the wallet isn't the keys' owner for that
        owner_objects = [health, OwnerCommands(app.vault, config.chain), ProcessCommands(host, "signer"), app.vault]
        owner = Server(owner_objects, hello=hello, access=access)
        wallet = Server([app.vault], hello=hello, access=access)
        self._servers = [owner, wallet]
        self._door = Door(listening, Lineage(config.network_dir), owner, wallet)
        self._door.open()
        manifest.write(self._path.with_suffix(".json"), owner.manifest())

    async def stop(self) -> None:
        if self._door is not None:
            self._door.close()
        if self._line is not None:
            self._line.close()
        for server in self._servers:
            await server.close(_CLOSE_CALLS)
        if self._app is not None:
            self._app.close()
        if self._bound:
            self._path.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.release()

    def ready_status(self) -> str:
        return self._health.status() if self._health is not None else "Ready"

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
