"""Whether the configuration files can be used as they are now: what runs has what they said before, the next start of
the supervisor has not.
"""

import logging
from collections.abc import Callable

from bitcoind_mp.config import Config
from bitcoind_mp.interfaces.errors import FatalError
from bitcoind_mp.interfaces.journal import Event, event

log = logging.getLogger("bitcoind_mp.supervisor")


class ConfigurationFiles:
    """``config`` is what they said when they could be used last, ``reread`` reads them again, or raises FatalError."""

    def __init__(self, config: Config, reread: Callable[[], Config]) -> None:
        self._config = config
        self._reread = reread
        self._error = ""

    def problems(self) -> list[str]:
        """Why they can't be used; nothing where they can, whether or not that is in use yet. To be asked now and then:
        it looks whether they changed, and reads them only then, and as long as they can't be used."""
        if self._error or not self._config.texts.is_current():
            self._look()
        return [_told(self._error)] if self._error else []

    def _look(self) -> None:
        before = self._error
        try:
            self._config, self._error = self._reread(), ""
        except (FatalError, OSError) as refused:
            self._error = str(refused)
        if self._error and not before:
            log.warning("%s", _told(self._error), extra=event(Event.ALERT_RAISED))
        elif before and not self._error:
            log.info("over: the configuration files can be used again", extra=event(Event.ALERT_OVER))


def _told(error: str) -> str:
    return (
        f"bitcoin.conf can't be used: {error.rstrip('.')}; everything runs on with what it said when it was read last, "
        "but the supervisor would not start again"
    )
