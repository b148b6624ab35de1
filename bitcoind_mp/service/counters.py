"""A process's own figures: what one that isn't dumpable, or that /proc hides, hides from everybody else (proc(5))."""

import os
import resource

#: getrusage(2) counts disk traffic in these, whatever the disk's own are.
_BLOCK = 512
_LONGEST = 4096


class OwnCounters:
    """Made before the process confines itself, after which ``/proc/self`` may be out of its reach; good in this
    process alone, not in a fork of it."""

    def __init__(self) -> None:
        self._listing = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._stat = os.open("/proc/self/stat", os.O_RDONLY | os.O_CLOEXEC)
        self._page = os.sysconf("SC_PAGESIZE")

    def read(self) -> dict[str, int]:
        """``open_files``; ``read_bytes`` and ``write_bytes``, since the process began; ``memory``, resident bytes;
        ``cpu_ms``, processor time used so far; ``threads``."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        fields = os.pread(self._stat, _LONGEST, 0).rpartition(b")")[2].split()  # from the third on, proc_pid_stat(5)
        return {
            "open_files": len(os.listdir(self._listing)) - 1,  # noqa: PTH208 (a copy of a descriptor does the listing)
            "read_bytes": usage.ru_inblock * _BLOCK,
            "write_bytes": usage.ru_oublock * _BLOCK,
            "memory": int(fields[21]) * self._page,
            "cpu_ms": int((usage.ru_utime + usage.ru_stime) * 1000),
            "threads": int(fields[17]),
        }
