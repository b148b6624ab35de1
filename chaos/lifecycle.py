"""What an operator does while everybody works: restarts, reloads, upgrades, stops. No fault, and treated as one."""

import random
import time
from functools import partial

from .daemon import ROLES, Daemon, GaveUpError
from .faults import Fault, start_again


def command(daemon: Daemon, *words: str) -> None:
    """A command of the supervisor's, which must succeed."""
    done = daemon.run("bitcoin-mp", *words)
    if done.returncode:
        raise GaveUpError(f"bitcoin-mp {' '.join(words)}: exit {done.returncode}: {done.stderr.strip()}")


def restart(daemon: Daemon, chance: random.Random, name: str) -> None:
    command(daemon, "restart", name)


def stop_and_start(daemon: Daemon, chance: random.Random, name: str) -> None:
    command(daemon, "stop", name)
    time.sleep(chance.uniform(0.0, 1.0))
    command(daemon, "start", name)


def reload(daemon: Daemon, chance: random.Random, name: str) -> None:
    command(daemon, "reload", name)


def upgrade(daemon: Daemon, chance: random.Random) -> None:
    done = daemon.run("bitcoind-mp", "reload", "--exec")
    if done.returncode:
        raise GaveUpError(f"bitcoind-mp reload --exec: exit {done.returncode}: {done.stderr.strip()}")


def stop_everything(daemon: Daemon, chance: random.Random) -> None:
    daemon.stop()
    start_again(daemon, chance)


def operations(more: tuple[str, ...] = ()) -> list[Fault]:
    """Those of this file. ``more``: further units."""
    found = [Fault("reload --exec", "supervisor", upgrade), Fault("stop and start", "everything", stop_everything)]
    for name in (*ROLES, *more):
        found += [
            Fault("restart", name, partial(restart, name=name)),
            Fault("stop and start", name, partial(stop_and_start, name=name)),
            Fault("reload", name, partial(reload, name=name)),
        ]
    return found
