"""What a fault is, the deck of all of them, and those that are signals: processes killed and stopped.

Each fault is over when its function returns, whether or not anybody has recovered by then.
"""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import psutil

from .daemon import ROLES, WATCHDOG, Daemon, wait_until

Apply = Callable[[Daemon, random.Random], None]
ALL = ("supervisor", *ROLES)
TEMPLATES = tuple(f"{role} template" for role in ROLES)


class NotPossibleError(Exception):
    """This machine, or this moment, doesn't allow the fault; the text says why."""


@dataclass(frozen=True)
class Fault:
    """``kind`` is what is done, ``target`` to whom."""

    kind: str
    target: str
    apply: Apply

    def __str__(self) -> str:
        return f"{self.kind}: {self.target}"


def shuffled(faults: list[Fault], chance: random.Random) -> list[Fault]:
    """Each once, in the order that the seed says."""
    return chance.sample(faults, len(faults))


def send(daemon: Daemon, name: str, number: signal.Signals) -> int:
    """A signal to a process by its name in the table of targets; its pid."""
    pid = wait_until(f"the {name} has a process", lambda: daemon.pid(name))
    try:
        os.kill(pid, number)
    except ProcessLookupError as error:
        raise NotPossibleError(f"the {name} had ended just then") from error
    return int(pid)


def start_again(daemon: Daemon, chance: random.Random) -> None:
    """A supervisor, at once or when the workers of the one before are gone; it, or the next, may adopt."""
    if chance.random() < 0.3:
        time.sleep(chance.uniform(0.1, 1.0))
    daemon.start(*chance.choice(((), ("-adopt",))))


def kill(daemon: Daemon, chance: random.Random, name: str) -> None:
    pid = send(daemon, name, signal.SIGKILL)
    if name == "supervisor":
        wait_until("the supervisor has ended", lambda: not psutil.pid_exists(pid) or zombie(pid))
        start_again(daemon, chance)


def zombie(pid: int) -> bool:
    """Whether nothing is left of it but its status."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def kill_twice(daemon: Daemon, chance: random.Random, name: str) -> None:
    """The second time while it recovers from the first."""
    kill(daemon, chance, name)
    if name != "supervisor":
        wait_until(f"the {name} has a new process", lambda: daemon.pid(name))
    time.sleep(chance.uniform(0.0, 0.4))
    kill(daemon, chance, name)


def kill_together(daemon: Daemon, chance: random.Random, names: tuple[str, ...]) -> None:
    pids = [daemon.pid(name) for name in names]
    for pid in filter(None, pids):
        os.kill(pid, signal.SIGKILL)
    if "supervisor" in names:
        start_again(daemon, chance)


def pause(daemon: Daemon, chance: random.Random, name: str) -> None:
    """SIGSTOP for less than the watchdog's time."""
    pid = send(daemon, name, signal.SIGSTOP)
    time.sleep(chance.uniform(0.2, WATCHDOG / 3))
    go_on(pid)


def go_on(pid: int) -> None:
    """SIGCONT, if it is there: it may have been found hung, and killed."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def hang(daemon: Daemon, chance: random.Random, name: str) -> None:
    """SIGSTOP until somebody ends it: the watchdog is to. Nobody watches the supervisor but systemd: it goes on."""
    pid = send(daemon, name, signal.SIGSTOP)
    if name == "supervisor":
        time.sleep(2 * WATCHDOG)
        go_on(pid)
    else:
        wait_until(f"the hung {name} was replaced", lambda: daemon.pid(name) not in (pid, 0))


def stop_template(daemon: Daemon, chance: random.Random, name: str) -> None:
    """Stop what a unit is forked from, and have the unit need it."""
    pid = send(daemon, name, signal.SIGSTOP)
    kill(daemon, chance, name.partition(" ")[0])
    time.sleep(chance.uniform(0.5, 2.5))
    go_on(pid)


def kill_with_template(daemon: Daemon, chance: random.Random, name: str) -> None:
    send(daemon, name, signal.SIGKILL)
    kill(daemon, chance, name.partition(" ")[0])


def signals(more: tuple[str, ...] = ()) -> list[Fault]:
    """Those of this file. ``more``: further units."""
    found = []
    for name in (*ALL, *more):
        found += [
            Fault("kill -9", name, partial(kill, name=name)),
            Fault("kill -9 twice", name, partial(kill_twice, name=name)),
            Fault("SIGSTOP, short", name, partial(pause, name=name)),
            Fault("SIGSTOP, beyond the watchdog", name, partial(hang, name=name)),
        ]
    for name in TEMPLATES:
        found += [
            Fault("kill -9 with its unit", name, partial(kill_with_template, name=name)),
            Fault("SIGSTOP, its unit killed", name, partial(stop_template, name=name)),
        ]
    for names in (("node", "wallet"), ("wallet", "signer"), ("supervisor", "node"), ALL):
        target = "everything" if names is ALL else " and ".join(names)
        found.append(Fault("kill -9 together", target, partial(kill_together, names=names)))
    return found
