"""Another configuration in place of the one in use: at SIGHUP, and when a person has a unit started.

It is read, tried (``checks/files.py``), and only then taken; what of it takes effect at once is for each part to say.
"""

import asyncio
import logging
from collections.abc import Callable

from bitcoind_mp.config import Config
from bitcoind_mp.interfaces.errors import FatalError, RpcCode, RpcError
from bitcoind_mp.interfaces.journal import Event, event

from .checks.files import Trial
from .plan import require_reloadable

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
