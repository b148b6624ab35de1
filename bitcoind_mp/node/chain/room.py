"""Whether the disk has room for the chain: before a block is taken, before the kernel is opened, and now and then.

The kernel can't go on once it has run out of room in the middle of a write; so nothing is begun that may end so.
"""

import asyncio
import os
from pathlib import Path

from bitcoind_mp.interfaces.errors import ExitStatus, FatalError
from bitcoind_mp.interfaces.obstacle import Obstacle

_MIN_DISK_SPACE = 50 << 20
"""What the kernel itself keeps free (``CheckDiskSpace``, Core's ``src/util/fs_helpers.cpp``)."""
_FILE_CHUNKS = 17 << 20
"""It lengthens block files by 16 MiB and undo files by 1 MiB at a time."""
_LEAST = _MIN_DISK_SPACE + _FILE_CHUNKS
_AMPLE = 100 << 20
"""What is to be free before a node that stopped for want of room starts again: it is not to stop again at once."""


def has_room(directory: Path, size: int = 0) -> bool:
    """Whether the kernel finds the room that it asks for before it writes, and ``size`` bytes more, wherever it
    writes."""
    return _fullest(directory)[0] >= _LEAST + size


def room_wanted(directory: Path) -> Obstacle:
    """What must be gone before a start that found no room can do better."""
    return Obstacle("disk", str(_fullest(directory)[1]), _AMPLE)


def no_room(directory: Path, what: str = "") -> FatalError:
    """The error of a node that stops, or (``what`` it can't do) doesn't start, before the disk is full."""
    free, place = _fullest(directory)
    return FatalError(
        f"{what}Disk space is too low! {free >> 20} MiB are free in {place}, want {_LEAST >> 20}.",
        hint="Make room on the disk.",
        status=ExitStatus.DISK_FULL,
        obstacle=room_wanted(directory),
    )


async def watch_room(directory: Path, every: float) -> None:
    """Look each ``every`` seconds, for as long as there is room (Core's ``src/init.cpp`` does so every 5 minutes).

    Raises:
        FatalError: there isn't any more.
    """
    while True:
        await asyncio.sleep(every)
        if not has_room(directory):
            raise no_room(directory)


def _fullest(directory: Path) -> tuple[int, Path]:
    """Bytes free where the fewest are: ``blocks/`` and ``chainstate/`` may be on disks of their own."""
    places = [place for place in (directory, directory / "blocks", directory / "chainstate") if place.exists()]
    disks = [(disk.f_bavail * disk.f_frsize, place) for place in places for disk in (os.statvfs(place),)]
    return min(disks, key=lambda found: found[0])
