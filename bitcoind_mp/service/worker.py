"""The life of a worker process, by systemd's protocols: ready, watchdog, reload, stop, exit status."""

from abc import ABC, abstractmethod
from collections.abc import Coroutine, MutableMapping
from typing import Any

from ..interfaces.errors import ExitStatus
from .activation import Activation
from .notify import Notifier


class Host:
    """What `run_worker` gives a service to live with."""

    activation: Activation
    notify: Notifier

    def request_stop(self, reason: str, status: ExitStatus = ExitStatus.OK) -> None:
        """Stop in order, as at SIGTERM; returns at once."""
        raise NotImplementedError

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        """Run a task on which the service depends: if it raises, the process stops, and exits for it."""
        raise NotImplementedError


class Service(ABC):
    """What one worker does."""

    @abstractmethod
    async def start(self, host: Host) -> None:
        """Come up; READY=1 is sent when this returns. May serve callers (health, warm-up) before it returns.
        FatalError ends the process with its status."""

    @abstractmethod
    async def stop(self) -> None:
        """Go down in order. Also called after a `start` that was interrupted or failed."""

    async def reload(self) -> None:  # noqa: B027
        """SIGHUP."""


def run_worker(service: Service, *, name: str, environ: MutableMapping[str, str]) -> int:
    """Run until stopped; the exit status for ``__main__`` to exit with.

    SIGTERM and SIGINT stop, SIGHUP reloads, the lifeline's end of file stops, SIGABRT prints every thread's stack.
    WATCHDOG=1 is sent by the serving loop alone, at half of WATCHDOG_USEC."""
    raise NotImplementedError
