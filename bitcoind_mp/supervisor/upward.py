"""What the supervisor tells the service manager above it, by the same protocol as its workers tell it: systemd's.

When to say what belongs here; how it is said is ``service/notify.py``'s, hence the protocol class.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Protocol

from .supervised import Supervised
from .units.states import SERVING

#: While units start or stop within deadlines of their own, we ask for so much more time, that often (seconds).
_MORE_TIME = 30.0
_ASK_EVERY = 10.0
#: Units that are told by name in the one line: systemd cuts it somewhere.
_MOST_TOLD = 12


class Notifies(Protocol):
    """sd_notify(3)."""

    def ready(self, status: str = "") -> None: ...
    def status(self, text: str) -> None: ...
    def watchdog(self) -> None: ...
    def extend_timeout(self, seconds: float) -> None: ...
    def reloading(self, monotonic_usec: int) -> None: ...
    def stopping(self, status: str = "") -> None: ...


class Upward:
    """READY, STATUS, WATCHDOG, RELOADING, STOPPING and EXTEND_TIMEOUT_USEC, each when it is due."""

    def __init__(self, notify: Notifies, *, watchdog: float) -> None:
        """``watchdog``: seconds within which the manager above wants a sign of life, 0 for never."""
        self._notify = notify
        self._every = watchdog / 2
        self._loop = asyncio.get_running_loop()
        self._text = ""
        self._busy: asyncio.TimerHandle | None = None
        self._pulse: asyncio.TimerHandle | None = None
        if watchdog > 0:
            self._beat()

    def busy(self) -> None:
        """From now until `ready`, or the end: starting or stopping takes as long as the units' deadlines let it."""
        if self._busy is None:
            self._ask()

    def ready(self) -> None:
        """All that was to start or to reload has."""
        if self._busy is not None:
            self._busy.cancel()
            self._busy = None
        self._notify.ready(self._text)

    def reloading(self) -> None:
        self._notify.reloading(time.monotonic_ns() // 1000)

    def stopping(self) -> None:
        self._notify.stopping()
        self.busy()

    def units(self, units: Mapping[str, Supervised]) -> None:
        """The units' states changed: say so if it reads differently."""
        text = summary(units)
        if text != self._text:
            self._text = text
            self._notify.status(text)

    def close(self) -> None:
        for timer in (self._busy, self._pulse):
            if timer is not None:
                timer.cancel()

    def _ask(self) -> None:
        self._notify.extend_timeout(_MORE_TIME)
        self._busy = self._loop.call_later(_ASK_EVERY, self._ask)

    def _beat(self) -> None:
        self._notify.watchdog()
        self._pulse = self._loop.call_later(self._every, self._beat)


def summary(units: Mapping[str, Supervised]) -> str:
    """The units' states in one line, and what those that aren't serving say they are doing."""
    words: list[str] = []
    serving = sum(each.plan.wallet is not None and each.unit.state in SERVING for each in units.values())
    for name, supervised in units.items():
        unit = supervised.unit
        if supervised.plan.wallet is not None and (unit.state in SERVING or len(words) > _MOST_TOLD):
            continue
        doing = f" ({unit.text})" if unit.text and unit.state not in SERVING else ""
        words.append(f"{name} {unit.state}{doing}")
    if serving:
        words.append(f"{serving} wallet{'s' if serving > 1 else ''} running")
    return ", ".join(words)
