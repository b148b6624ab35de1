"""Which alerts hold: units that failed or are unwell, a disk that runs full, what the kernel warns of.

An alert is told when it begins and when it is over, once each, whatever the figures in its text do meanwhile. What is
wrong with a unit is ``vitals.py``'s to say.
"""

import logging
import re
from typing import Any

from bitcoind_mp.interfaces.journal import Event, event
from bitcoind_mp.interfaces.notices import ALERT
from bitcoind_mp.supervisor.checks.health import HealthMonitor
from bitcoind_mp.supervisor.manager import Manager
from bitcoind_mp.supervisor.supervised import Supervised
from bitcoind_mp.supervisor.units.states import SERVING, State

from .board import Board

log = logging.getLogger("bitcoind_mp.supervisor")
_FIGURES = re.compile(r"[\d.]+")
_OWN = "supervisor"
#: (whom it is about, its text without figures): the same alert as long as this is the same.
Key = tuple[str, str]


class Alarms:
    """Compares what is wrong now with what was. `look` is to be called whenever that may have changed."""

    def __init__(self, manager: Manager, health: HealthMonitor, board: Board) -> None:
        self._manager = manager
        self._health = health
        self._board = board
        self._warnings: list[str] = []
        self._present: dict[Key, str] = {}
        self._logged: set[Key] = set()

    @property
    def present(self) -> list[dict[str, str]]:
        """The alerts that hold: ``source`` and ``text`` of each."""
        return [{"source": source, "text": text} for (source, _), text in self._present.items()]

    def warned(self, warnings: list[str]) -> None:
        """The kernel warns of these now."""
        self._warnings = warnings
        self.look()

    def look(self) -> None:
        """Tell what is new, and what is over. When everything stops, nothing is."""
        if self._manager.stopping:
            return
        before, self._present = self._present, self._found()
        for key, text in self._present.items():
            if key not in before:
                if not self._is_logged(key):
                    self._logged.add(key)
                    log.warning("%s", _named(key[0], text), extra=self._about(Event.ALERT_RAISED, key[0]))
                self._board.post(ALERT, source=key[0], text=text, raised=True)
        for key, text in before.items():
            if key not in self._present:
                if key in self._logged:
                    self._logged.remove(key)
                    log.info("over: %s", _named(key[0], text), extra=self._about(Event.ALERT_OVER, key[0]))
                self._board.post(ALERT, source=key[0], text=text, raised=False)

    def _about(self, which: Event, source: str) -> dict[str, Any]:
        supervised = self._manager.units.get(source)
        return event(which, unit=source, pid=supervised.unit.pid if supervised is not None else None)

    def _is_logged(self, key: Key) -> bool:
        """Whether it has a line of its own elsewhere: a disk that is low, files that can't be used, a unit that
        failed or is held."""
        supervised = self._manager.units.get(key[0])
        return key[0] == _OWN or (supervised is not None and supervised.unit.state not in SERVING)

    def _found(self) -> dict[Key, str]:
        found = {(_OWN, _FIGURES.sub("", text)): text for text in self._health.own_problems()}
        for supervised in self._manager.units.values():
            for text in self._problems(supervised):
                found[supervised.name, _FIGURES.sub("", text)] = text
        found |= {("node", text): text for text in self._warnings}
        return found

    def _problems(self, supervised: Supervised) -> list[str]:
        """A unit on its way up or down is none; nor is one check that wasn't answered."""
        unit, name = supervised.unit, supervised.name
        if unit.state is State.FAILED:
            return [f"The {name} has failed: {unit.reason}"]
        if unit.state is State.HELD:
            return [f"The {name} is held: {unit.reason}"]
        if unit.state not in SERVING:
            return []
        failures = self._health.checkup(supervised).failures
        problems = self._health.diagnosis(supervised).problems
        unanswered = 0 < failures < self._health.plan.patience
        return [f"The {name}: {text}" for text in problems[unanswered:]]


def _named(source: str, text: str) -> str:
    """With the unit's name, unless the text begins with it."""
    return text if text.startswith(f"The {source}") else f"{source}: {text}"
