"""Another configuration in place of the one in use: at SIGHUP, and when a person has a unit started.

It is read, tried (``checks/files.py``), and only then taken; what of it takes effect at once is for each part to say,
and how a unit reloads is ``unit.py``'s.
"""

import asyncio
import logging
from collections.abc import Callable

from bitcoind_mp.config import Config
from bitcoind_mp.interfaces.errors import FatalError, RpcCode, RpcError
from bitcoind_mp.interfaces.journal import Event, event

from .arrival import Arrival
from .checks.files import Trial
from .manager import Manager
from .output.logbook import Logbook
from .plan import require_reloadable
from .units import events as ev
from .units.states import State
from .upward import Upward

log = logging.getLogger("bitcoind_mp.supervisor")


class Reload:
    """``config`` is in use, and has its place taken by what ``reread`` finds, which is given to ``apply``."""

    def __init__(
        self, config: Config, reread: Callable[[], Config], trial: Trial, apply: Callable[[Config], None]
    ) -> None:
        self._config = config
        self._reread = reread
        self._trial = trial
        self._apply = apply
        self._turn = asyncio.Lock()

    async def read_again(self) -> None:
        """Use what the files say now. Raises FatalError: it can't be used, and what was in use is."""
        async with self._turn:
            found = self._reread()
            require_reloadable(self._config, found)
            await self._trial.run(found)
            self._config = found
            self._apply(found)
        log.info("the configuration was read again", extra=event(Event.CONFIGURATION_REREAD))

    async def if_changed(self) -> None:
        """The same for a person who has a unit started. Raises RpcError."""
        if self._config.texts.is_current():
            return
        try:
            await self.read_again()
        except FatalError as error:
            why = f"Nothing was started or stopped: bitcoin.conf has changed, and can't be used so: {error}"
            raise RpcError(RpcCode.MISC_ERROR, why) from error


class Reloads:
    """What SIGHUP asks for: the logs are opened again, the configuration is read again, and each unit does the same."""

    def __init__(self, reload: Reload, manager: Manager, logs: Logbook, upward: Upward, arrival: Arrival) -> None:
        self._reload = reload
        self._manager = manager
        self._logs = logs
        self._upward = upward
        self._arrival = arrival
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Another one; returns at once."""
        if self._arrival.is_over:
            self._upward.reloading()
        self._logs.reopen()
        task = asyncio.get_running_loop().create_task(self._run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        try:
            await self._reload.read_again()
        except FatalError as error:
            log.error("the configuration stays as it was: %s", error, extra=event(Event.CONFIGURATION_REFUSED))
        for supervised in self._manager.units.values():
            self._manager.tell(supervised, ev.ReloadRequested())
        for supervised in list(self._manager.units.values()):
            await self._manager.until_unit(supervised, lambda unit: unit.state is not State.RELOADING)
        if self._arrival.is_over and not self._arrival.is_given_up:  # else READY=1 is not for a reload to say
            self._upward.ready()

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
