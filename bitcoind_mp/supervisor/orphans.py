"""Which processes a supervisor left running when it was killed.

The next supervisor must neither start a second worker beside one that still closes its files nor take a
stranger who got the pid for it. So each process's pid, start time and boot are kept in a file in ``run/``.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_RECORD = 128


@dataclass(frozen=True)
class Orphan:
    """A worker of an earlier supervisor that still runs. ``pidfd`` becomes readable when it ends."""

    unit: str
    pid: int
    pidfd: int


class Register:
    """The file that names the running processes: one record of fixed length for each unit, overwritten in place,
    so that a full disk doesn't matter after the first time. ``left`` are processes that still run: they stay in it."""

    def __init__(self, path: Path, units: Sequence[str], left: Sequence[Orphan] = ()) -> None:
        self._places = {unit: place for place, unit in enumerate(units)}
        self._boot = boot_id()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        running = {orphan.unit: orphan.pid for orphan in left}
        for unit in units:
            if unit in running:
                self.put(unit, running[unit])
            else:
                self.clear(unit)
        os.ftruncate(self._fd, len(units) * _RECORD)

    def put(self, unit: str, pid: int) -> None:
        """That process is the unit's now."""
        self._write(unit, f"{unit} {pid} {start_time(pid)} {self._boot}")

    def clear(self, unit: str) -> None:
        """The unit has no process."""
        self._write(unit, "")

    def _write(self, unit: str, text: str) -> None:
        record = text.encode().ljust(_RECORD - 1) + b"\n"
        os.pwrite(self._fd, record, self._places[unit] * _RECORD)

    def close(self) -> None:
        os.close(self._fd)


def find(path: Path) -> Iterator[Orphan]:
    """The processes named in an earlier supervisor's register that are still the same and still run."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return
    boot = boot_id()
    for line in lines:
        words = line.split()
        if len(words) != 4 or not words[1].isdigit() or words[3] != boot:
            continue
        pid = int(words[1])
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            continue
        if start_time(pid) != words[2]:  # the pid is another's by now
            os.close(pidfd)
            continue
        yield Orphan(words[0], pid, pidfd)


def start_time(pid: int) -> str:
    """When the process began, in clock ticks since the boot (field 22, proc_pid_stat(5)); empty for none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return text.rpartition(")")[2].split()[19]


def boot_id() -> str:
    """What tells this boot of the kernel from every other."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:  # ProcSubset=pid hides it; the start time has to do
        return "unknown"
