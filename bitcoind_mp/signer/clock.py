"""Time that nobody who sets the clock can make pass: what the daily limit counts by. Pure but for `reader`.

Within one boot it is the kernel's CLOCK_BOOTTIME, which no step of the clock moves and which goes on in suspension.
Across boots there is only the wall clock; a step back doesn't count.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from bitcoind_mp.config.state import boot_identity


@dataclass(frozen=True)
class Reading:
    """The clocks at one moment, in seconds; ``boot`` is the boot's own id, empty where nobody tells it: then the wall
    clock is all there is."""

    wall: int
    since_boot: int
    boot: str


def reader() -> Callable[[], Reading]:
    """What reads the clocks, from within a sandbox too."""
    boot = boot_identity()
    return lambda: Reading(int(time.time()), int(time.clock_gettime(time.CLOCK_BOOTTIME)), boot)


def elapsed(last: Reading, now: Reading) -> int:
    """Seconds that have passed for certain, never negative."""
    if last.boot == now.boot != "":
        return max(now.since_boot - last.since_boot, 0)
    return max(now.wall - last.wall, 0)
