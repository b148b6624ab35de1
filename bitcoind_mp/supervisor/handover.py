"""What a supervisor hands to the program that it becomes: descriptors, and the units' state (``upgrade.py``).

The process stays, with its pid and its children: execve(2) changes the program alone. So what crosses is what only
memory knows, as JSON in a memfd that the new program inherits with every descriptor named in it. A program that reads
another `VERSION` refuses before anything is given up (`upgrade.check`).
"""

import json
import os
from collections.abc import Mapping, MutableMapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bitcoind_mp.interfaces.errors import ExitStatus, FatalError
from bitcoind_mp.interfaces.obstacle import Obstacle

from .units.policy import Exit, Policy
from .units.states import State
from .units.unit import Ended, Unit

#: Of what is handed over. Change it whenever a field changes its meaning.
VERSION = 6
#: Names the memfd in the environment; to a program that is only asked whether it could take over it says `CHECK`.
VARIABLE = "BITCOIND_MP_HANDOVER"
CHECK = "check"


@dataclass(frozen=True)
class HandedUnit:
    """One unit: its state (`Unit`, without its policy, which is configuration), its process (``pid``, None for none;
    not ``is_child`` where an earlier supervisor started it), its pipe's two ends, the newest lines of its log, and our
    end of the lifeline that it hangs on, None for none."""

    unit: dict[str, Any]
    pid: int | None
    is_child: bool
    was_ready: bool
    reader: int
    writer: int
    partial: str
    last_words: list[str]
    lines: list[str]
    lifeline: int | None

    @classmethod
    def of(cls, unit: Unit, **rest: Any) -> "HandedUnit":
        state = {name: value for name, value in asdict(unit).items() if name != "policy"}
        return cls(state, **rest)

    def restored(self, policy: Policy) -> Unit:
        """The unit as it was. Its times are CLOCK_MONOTONIC's, which a new program shares."""
        values = dict(self.unit)
        ended, obstacle = values.pop("ended"), values.pop("obstacle")
        values |= {"state": State(values["state"]), "failed_starts": tuple(values["failed_starts"])}
        unit = Unit(policy, **values, obstacle=Obstacle(**obstacle) if obstacle is not None else None)
        if ended is None:
            return unit
        return replace(unit, ended=Ended(**{**ended, "exit": Exit(**ended["exit"])}))


@dataclass(frozen=True)
class Handover:
    """Everything. ``listeners`` and ``bound`` (those that we bound, and remove at the end) by role; ``notify`` is
    the socket behind NOTIFY_SOCKET and its address; ``starter`` the lifeline
    that we hang on ourselves, None for none; ``since`` when the supervisor came up (monotonic); ``private`` the ends
    of the channels between workers, by name; ``callers`` our own, whose connections stay open."""

    lock: int
    listeners: dict[str, int]
    bound: list[str]
    notify: tuple[int, str]
    starter: int | None
    since: float
    units: dict[str, HandedUnit] = field(default_factory=dict)
    private: dict[str, int] = field(default_factory=dict)
    callers: list[int] = field(default_factory=list)

    @property
    def descriptors(self) -> list[int]:
        """All that the new program must inherit."""
        found = [self.lock, *self.listeners.values(), self.notify[0], *self.private.values(), *self.callers]
        found += [descriptor for unit in self.units.values() for descriptor in (unit.reader, unit.writer)]
        hanging = [unit.lifeline for unit in self.units.values()]
        return [*found, *(each for each in (self.starter, *hanging) if each is not None)]

    def offer(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Make every descriptor inheritable; the environment that tells of them. Raises OSError."""
        memory = os.memfd_create("handover")
        text = json.dumps({"version": VERSION, **asdict(self)}).encode()
        with os.fdopen(os.dup(memory), "wb") as stream:
            stream.write(text)
        os.lseek(memory, 0, os.SEEK_SET)
        for descriptor in (memory, *self.descriptors):
            os.set_inheritable(descriptor, True)
        return {**environ, VARIABLE: str(memory)}


def taken(environ: MutableMapping[str, str]) -> Handover | None:
    """What the program before us handed over, None where we begin anew. Its descriptors are for us alone from now on.

    Raises:
        FatalError: it is not for us to understand.
    """
    number = environ.pop(VARIABLE, "")
    if not number.isdecimal():
        return None
    with os.fdopen(int(number), "rb") as stream:
        values = json.load(stream)
    if values.pop("version", None) != VERSION:
        raise FatalError(
            "The supervisor before this one hands over what this one can't read.", status=ExitStatus.SOFTWARE
        )
    units = {name: HandedUnit(**unit) for name, unit in values.pop("units").items()}
    found = Handover(units=units, notify=tuple(values.pop("notify")), **values)
    for descriptor in found.descriptors:
        os.set_inheritable(descriptor, False)
    return found
