"""A process's own open files and disk traffic: what one that isn't dumpable hides from everybody else (proc(5))."""

import os
import resource

#: getrusage(2) counts disk traffic in these, whatever the disk's own are.
_BLOCK = 512


class OwnCounters:
    """Made before the process confines itself, after which ``/proc/self`` may be out of its reach; good in this
    process alone, not in a fork of it."""

    def __init__(self) -> None:
        self._listing = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def read(self) -> dict[str, int]:
        """``open_files``; ``read_bytes`` and ``write_bytes``, since the process began."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "open_files": len(os.listdir(self._listing)) - 1,  # noqa: PTH208 (a copy of a descriptor does the listing)
            "read_bytes": usage.ru_inblock * _BLOCK,
            "write_bytes": usage.ru_oublock * _BLOCK,
        }
