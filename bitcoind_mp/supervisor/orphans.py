"""Which processes a supervisor left running when it was killed, and waiting for their end.

The next supervisor must neither start a second worker beside one that still closes its files nor take a
stranger who got the pid for it. So each process's pid, start time and boot are kept in a file in ``run/``.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
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
    so that a full disk doesn't matter after the first time."""

    def __init__(self, path: Path, units: list[str]) -> None:
        self._places = {unit: place for place, unit in enumerate(units)}
        self._boot = boot_id()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._fd, 0)
        for unit in units:
            self.clear(unit)

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


async def outlive(orphans: list[Orphan], patience: float, progress: Callable[[str], None]) -> None:
    """Wait until these have ended: they read the end of their lifeline, and stop by themselves. One that hasn't after
    ``patience`` seconds is killed. ``progress`` gets a line for a person about each one waited for."""
    await asyncio.gather(*(_outlive(orphan, patience, progress) for orphan in orphans))


async def _outlive(orphan: Orphan, patience: float, progress: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(orphan.pidfd, ended.set)
    try:
        progress(f"Waiting for the {orphan.unit} that an earlier supervisor left (pid {orphan.pid}) to stop.")
        await asyncio.wait_for(ended.wait(), patience)
    except TimeoutError:
        progress(f"The {orphan.unit} (pid {orphan.pid}) has not stopped in {patience:g} s: killing it.")
        signal.pidfd_send_signal(orphan.pidfd, signal.SIGKILL)
        await ended.wait()
    finally:
        loop.remove_reader(orphan.pidfd)
        os.close(orphan.pidfd)
