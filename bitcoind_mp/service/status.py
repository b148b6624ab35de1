"""The status line that a service manager shows, kept true: told again when it changed, and not more often than now and
then. What it says is its owner's."""

import asyncio
from collections.abc import Callable

from .notify import Notifier


class StatusLine:
    """Tells ``notify`` what ``describe()`` gives, within ``every`` seconds after each `changed`, where it is another
    text than the last. Nothing runs while nothing changes. Lives in the loop."""

    def __init__(self, notify: Notifier, describe: Callable[[], str], every: float = 1.0) -> None:
        self._notify = notify
        self._describe = describe
        self._every = every
        self._loop = asyncio.get_running_loop()
        self._told = ""
        self._earliest = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    def changed(self) -> None:
        """Something that the line may say is otherwise now. Cheap: call it as often as you like."""
        if self._timer is None:
            self._timer = self._loop.call_at(max(self._earliest, self._loop.time()), self._tell)

    def close(self) -> None:
        """Say nothing more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._describe = str

    def _tell(self) -> None:
        self._timer = None
        text = self._describe()
        if text and text != self._told:
            self._told = text
            self._notify.status(text)
        self._earliest = self._loop.time() + self._every
