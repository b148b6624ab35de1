"""Time that nobody who sets the clock can make pass: what the daily limit counts by. Pure but for `read`.

Within one boot it is the kernel's CLOCK_BOOTTIME, which no step of the clock moves and which goes on in suspension.
Across boots there is only the wall clock; a step back doesn't count.
"""

import time
from dataclasses import dataclass
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Reading:
    """The clocks at one moment, in seconds; ``boot`` is the boot's own id."""

    wall: int
    since_boot: int
    boot: str


def boot_id() -> str:
    """The id of this boot (random(4)); empty where it can't be read, and then the wall clock is all there is."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def read(boot: str) -> Reading:
    """Now."""
    return Reading(int(time.time()), int(time.clock_gettime(time.CLOCK_BOOTTIME)), boot)


def elapsed(last: Reading, now: Reading) -> int:
    """Seconds that have passed for certain, never negative."""
    if last.boot == now.boot != "":
        return max(now.since_boot - last.since_boot, 0)
    return max(now.wall - last.wall, 0)
