"""Whether a configuration can be used: by the supervisor, and by each worker, which alone knows what some options mean.

What runs has what the files said when they were read last; the next start of the supervisor has not. So they are looked
at as soon as they change, and not only when somebody asks for it.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from bitcoind_mp.config import Config
from bitcoind_mp.interfaces.channels import CONFIGURATION
from bitcoind_mp.interfaces.errors import ExitStatus, FatalError
from bitcoind_mp.interfaces.journal import Event, event
from bitcoind_mp.supervisor.plan import Plan
from bitcoind_mp.supervisor.processes.asking import PATIENCE, Questions
from bitcoind_mp.supervisor.processes.equipment import sealed
from bitcoind_mp.supervisor.said import said

log = logging.getLogger("bitcoind_mp.supervisor")


class Trial:
    """Has each unit's program say whether it could start with a configuration. ``plans`` makes the units of one;
    ``used`` is one that needs no trial: the units run with it, or say themselves why they don't. None for none."""

    def __init__(
        self, plans: Callable[[Config], Sequence[Plan]], questions: Questions, used: Config | None = None
    ) -> None:
        self._plans = plans
        self._questions = questions
        self._good = used.texts.by_name if used is not None else None

    async def run(self, config: Config) -> None:
        """Raises FatalError: a unit could not."""
        if config.texts.by_name == self._good:
            return
        asked = [self._ask(each) for each in self._plans(config) if each.check]
        for found in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(found, BaseException):
                raise found
        self._good = config.texts.by_name

    async def _ask(self, plan: Plan) -> None:
        try:
            with sealed(plan.configuration) as configuration:
                answer = await self._questions.ask(plan.check, fds=[(CONFIGURATION, configuration)])
        except OSError as error:
            why = f"the {plan.name}'s program could not be asked: {error.strerror}"
            raise FatalError(why, status=ExitStatus.OS_ERROR) from error
        if answer.exit is None:
            why = f"the {plan.name}'s program did not say within {PATIENCE:g} s whether it would do"
            raise FatalError(why, status=ExitStatus.OS_ERROR)
        if answer.exit.code != 0:
            raise FatalError(said(answer.last_line.removeprefix("Error: ")), status=ExitStatus.CONFIG)


class ConfigurationFiles:
    """``config`` is what they said when they could be used last; ``reread`` reads them again, or raises FatalError."""

    def __init__(self, config: Config, reread: Callable[[], Config], trial: Trial) -> None:
        self._config = config
        self._reread = reread
        self._trial = trial
        self._error = ""
        self._looking = asyncio.Lock()

    @property
    def problems(self) -> list[str]:
        """Why they can't be used; nothing where they can, whether or not that is in use yet. As of the last `look`."""
        return [_told(self._error)] if self._error else []

    async def look(self) -> None:
        """To be called now and then: it looks whether they changed, and reads them only then, and as long as they can't
        be used."""
        async with self._looking:
            if self._error or not self._config.texts.is_current():
                await self._look()

    async def _look(self) -> None:
        before = self._error
        try:
            found = self._reread()
            await self._trial.run(found)
            self._config, self._error = found, ""
        except (FatalError, OSError) as refused:
            self._error = str(refused)
        if self._error and not before:
            log.warning("%s", _told(self._error), extra=event(Event.ALERT_RAISED))
        elif before and not self._error:
            log.info("over: the configuration files can be used again", extra=event(Event.ALERT_OVER))


def _told(error: str) -> str:
    return (
        f"bitcoin.conf can't be used: {error.rstrip('.')}; everything runs on with what it said when it was read last, "
        "but the next start of the supervisor would fail"
    )
