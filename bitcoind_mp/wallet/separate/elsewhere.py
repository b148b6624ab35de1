"""The processes that serve one wallet each, as seen from the one that makes and lists them: the supervisor that has
them, the calls that are handed on to them, the balances that they tell."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from bitcoind_mp.config.loading import working_directory
from bitcoind_mp.interfaces.errors import SHUTTING_DOWN, CallTimeout, Disconnected, RpcCode, RpcError
from bitcoind_mp.interfaces.events import Events, EventSink
from bitcoind_mp.interfaces.init import Hello
from bitcoind_mp.interfaces.wallet_units import Carries, OpenWallet, WalletUnit, WalletUnits
from bitcoind_mp.ipc.client import connect
from bitcoind_mp.ipc.limits import MAX_FROM_WORKER
from bitcoind_mp.ipc.proxy import proxy
from bitcoind_mp.ipc.reconnect import Reconnecting
from bitcoind_mp.ipc.serve.forward import as_it_came
from bitcoind_mp.ipc.serve.incoming import Incoming
from bitcoind_mp.ipc.session import Session
from bitcoind_mp.ipc.wire.passing import dialling
from bitcoind_mp.wallet.chain.node_link import through
from bitcoind_mp.wallet.storage.carrier import Carrier, copied
from bitcoind_mp.wallet.storage.ledger import Ledger
from bitcoind_mp.wallet.wallets.shelf import chosen_of

log = logging.getLogger("bitcoind_mp.wallet")

#: Seconds that a supervisor which isn't there is waited for: it may just be taking over from another, which takes it
#: longer the more wallets it has.
_PATIENCE = 30.0
#: Seconds for starting and stopping a wallet's process: the supervisor has deadlines of its own for both.
_ANSWER = 600.0
#: A call that is handed on is the caller's to give up. Seconds.
_LONGEST = 7 * 24 * 3600.0
#: Seconds until a call that was not done is handed on anew, to the next process.
_ASK_AGAIN = 0.02
#: The most seconds between attempts to hear of the balance of a wallet whose process is stopped.
_LONGEST_PAUSE = 60.0


class Processes:
    """``socket_of(unit)`` is where the process of that unit answers, ``wanted`` which wallets are to be loaded as the
    supervisor comes up. ``units`` may be used at any time: while the supervisor is away its methods raise `RpcError`
    (-9)."""

    def __init__(
        self, supervisor: Path, socket_of: Callable[[str], Path], hello: Hello, wanted: Callable[[], list[str]]
    ) -> None:
        self.units: WalletUnits = through(WalletUnits, self._present)  # type: ignore[type-abstract]
        self._socket_of = socket_of
        self._hello = hello
        self._wanted = wanted
        self.refused: dict[str, str] = {}
        """Wallets that were to be loaded and can have no process, and why."""
        self._link = Reconnecting(supervisor, hello=hello, on_up=self._up)
        self._sessions: dict[tuple[int, str], asyncio.Task[Session]] = {}
        self.last: list[WalletUnit] = []
        """What `known` gave last."""
        self.on_up: Callable[[], None] = lambda: None
        """Called when the supervisor is there: its units may be others than before."""

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._link.start()

    async def begun(self) -> None:
        """Wait until the supervisor has been told which wallets are to be loaded, or can't be reached."""
        with suppress(CallTimeout):
            await self._link.up(_PATIENCE)

    async def close(self) -> None:
        """Disconnect."""
        for task in self._sessions.values():
            task.cancel()
        await self._link.close()

    @asynccontextmanager
    async def asking(self, unit: str) -> AsyncIterator[OpenWallet]:
        """The process of that unit; one that is being started is waited for."""
        session = await connect(self._socket_of(unit), hello=self._hello, deadline=_ANSWER)
        try:
            yield proxy(OpenWallet, session, timeout=_ANSWER)  # type: ignore[type-abstract]
        finally:
            session.abort()

    async def known(self) -> list[WalletUnit]:
        """The wallets that have a process; while the supervisor is away those that it had last."""
        with suppress(RpcError, Disconnected, CallTimeout):
            self.last = await self.units.listed()
        return self.last

    async def hand_on(self, request: Incoming) -> Any:
        """Have the process answer whose wallet it is about. Of one that ends under a call that only reads the next one
        is asked."""
        assert request.called is not None
        changes = request.called.declaration.changes
        while True:
            unit = await self._chosen(request.wallet)
            session = await self._session(request.session, unit)
            params = as_it_came(request.params or [])
            try:
                return await session.call(
                    request.method, params, wallet=unit.name, timeout=_LONGEST, progress=request.progress
                )
            except Disconnected as error:
                if changes:
                    raise RpcError(
                        RpcCode.CLIENT_NOT_CONNECTED,
                        f"The process of the wallet '{unit.name}' ended before it answered. Whether the command took "
                        "effect is unknown.",
                    ) from error
            except RpcError as error:
                if (error.code, error.message) != (RpcCode.CLIENT_NOT_CONNECTED, SHUTTING_DOWN):
                    raise
            self._drop((request.session.number, unit.unit), session)
            await asyncio.sleep(_ASK_AGAIN)

    async def _chosen(self, named: str | None) -> WalletUnit:
        """Raises RpcError (-18, -19)."""
        known = await self.known()
        name = chosen_of(named, [unit.name for unit in known if unit.loaded])
        return next(unit for unit in known if unit.name == name)

    async def _session(self, caller: Session, unit: WalletUnit) -> Session:
        """This caller's connection to that process. Raises what `connect` raises."""
        key = (caller.number, unit.unit)
        task = self._sessions.get(key)
        if task is None or (task.done() and (task.exception() is not None or task.result().closed.done())):
            opening = connect(self._socket_of(unit.unit), hello=self._hello, deadline=_ANSWER)
            task = self._sessions[key] = asyncio.get_running_loop().create_task(opening)
            caller.on_end(lambda: self._forget(key), tidies=True)
        try:
            return await asyncio.shield(task)
        except OSError as error:
            why = f"The process of the wallet '{unit.name}' can't be reached: {error.strerror or error}"
            raise RpcError(RpcCode.CLIENT_NOT_CONNECTED, why) from error

    def _drop(self, key: tuple[int, str], session: Session) -> None:
        """That one leads to a process that is going; unless there is another by now."""
        task = self._sessions.get(key)
        if (
            task is not None
            and task.done()
            and not task.cancelled()
            and not task.exception()
            and task.result() is session
        ):
            del self._sessions[key]

    def _forget(self, key: tuple[int, str]) -> None:
        task = self._sessions.pop(key, None)
        if task is None:
            return
        if task.done() and not task.cancelled() and task.exception() is None:
            task.result().abort()
        task.cancel()

    async def _present(self) -> WalletUnits:
        absent = "The supervisor, which starts the processes of wallets, can't be reached"
        session = await self._link.present(_PATIENCE, absent)
        return proxy(WalletUnits, session, timeout=_ANSWER)  # type: ignore[type-abstract]

    async def _up(self, session: Session) -> None:
        units = proxy(WalletUnits, session, timeout=_ANSWER)  # type: ignore[type-abstract]
        for name, why in (await units.begin(self._wanted())).items():
            log.error("[%s] not loaded: %s", name, why)
            self.refused[name] = why
        asyncio.get_running_loop().call_soon(self.on_up)


class Balances:
    """The topic ``balance`` of every wallet's process, put together. ``told`` is called with its state."""

    def __init__(
        self,
        processes: Processes,
        socket_of: Callable[[str], Path],
        hello: Hello,
        told: Callable[[dict[str, Any]], None],
    ) -> None:
        self._processes = processes
        self._socket_of = socket_of
        self._hello = hello
        self._told = told
        self._of: dict[str, _Balance] = {}
        self._looking: asyncio.Task[None] | None = None

    def look(self) -> None:
        """There may be other processes than before; returns at once."""
        before = self._looking
        self._looking = asyncio.get_running_loop().create_task(self._look(before))

    async def close(self) -> None:
        """Listen to nobody any more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await asyncio.gather(*(each.link.close() for each in self._of.values()))

    async def _look(self, before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await asyncio.gather(before, return_exceptions=True)
        units = {unit.unit: unit.name for unit in await self._processes.known() if unit.loaded}
        gone = [self._of.pop(name) for name in list(self._of) if name not in units]
        for name, wallet in units.items():
            if name not in self._of:
                self._of[name] = _Balance(self._socket_of(name), self._hello, wallet, self._tell)
        self._of = {name: self._of[name] for name in units}
        self._tell()
        await asyncio.gather(*(each.link.close() for each in gone))

    def _tell(self) -> None:
        self._told({"wallets": [wallet for each in self._of.values() for wallet in each.wallets]})


class _Balance(EventSink):
    """What one wallet's process tells of that ``wallet``; of another it has nothing to tell."""

    def __init__(self, path: Path, hello: Hello, wallet: str, changed: Callable[[], None]) -> None:
        self.wallets: list[Any] = []
        self._wallet = wallet
        self._changed = changed
        self.link = Reconnecting(path, hello=hello, on_up=self._up, most=_LONGEST_PAUSE, limit=MAX_FROM_WORKER)
        self.link.start()

    async def changed(self, topic: str, state: dict[str, Any]) -> None:
        told = state.get("wallets")
        own = told if isinstance(told, list) else []
        self.wallets = [each for each in own if isinstance(each, dict) and each.get("name") == self._wallet][:1]
        self._changed()

    async def _up(self, session: Session) -> None:
        await proxy(Events, session).subscribe(["balance"], self)  # type: ignore[type-abstract]


class ByTheKeeper(Carrier):
    """Backups of a process that reaches nothing but its wallet's directory: the one that makes wallets, at the other
    end of ``channel``, carries them. ``path`` is its socket's, for people."""

    def __init__(self, path: Path, hello: Hello, channel: socket.socket | None, wallet: str) -> None:
        self._path = path
        self._dial = dialling(channel)
        self._hello = hello
        self._wallet = wallet

    async def back_up(self, ledger: Ledger, destination: Path) -> None:
        target = str(Path(working_directory(), destination))  # links stay as they are
        with copied(ledger):
            try:
                session = await connect(self._path, hello=self._hello, deadline=_ANSWER, dial=self._dial)
            except OSError as error:
                raise OSError(f"The process that carries backups can't be reached: {error.strerror}") from error
            try:
                carries = proxy(Carries, session, timeout=_ANSWER)  # type: ignore[type-abstract]
                await carries.carry(self._wallet, target)
            except (RpcError, Disconnected, CallTimeout) as error:
                raise OSError(str(error)) from error
            finally:
                session.abort()

    def put(self, copy: Path, destination: Path) -> None:
        raise PermissionError(1, "Backups are carried by another process")

    def is_core(self, backup: Path) -> bool:
        raise PermissionError(1, "Backups are restored by another process")

    def fetch(self, backup: Path, target: Path) -> None:
        raise PermissionError(1, "Backups are restored by another process")
