"""Which processes a supervisor left running when it was killed.

The next supervisor must neither start a second worker beside one that still closes its files nor take a
stranger who got the pid for it. So each process's pid, start time and boot are kept in a file in ``run/``.

A process that isn't dumpable, or lives in another user namespace, has no start time for us where /proc is mounted with
hidepid= (systemd's ProtectProc=). Then the number counts that the kernel gives each process's pidfd (pidfs, Linux
6.9), and before that the worker's own lock, which the kernel holds for as long as it lives.
"""

import contextlib
import fcntl
import logging
import os
import select
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger("bitcoind_mp.supervisor")
#: The longest name (`config.instances`), a pid, a start time, a number and a boot.
_RECORD = 320
#: What a record says in place of what isn't known.
_UNKNOWN = "-"


@dataclass(frozen=True)
class Orphan:
    """A worker of an earlier supervisor that still runs. ``pidfd`` becomes readable when it ends."""

    unit: str
    pid: int
    pidfd: int


class Register:
    """The file that names the running processes: one record of fixed length for each unit, overwritten in place,
    so that a full disk doesn't matter after the first time. ``left`` are processes that still run: they stay in it.
    Units that come later get the places of those that went."""

    def __init__(self, path: Path, units: Sequence[str], left: Sequence[Orphan] = (), *, boot: str) -> None:
        self._places = {unit: place for place, unit in enumerate(units)}
        self._boot = boot
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        running = {orphan.unit: orphan.pid for orphan in left}
        for unit in units:
            if unit in running:
                self.put(unit, running[unit])
            else:
                self.clear(unit)
        os.ftruncate(self._fd, len(units) * _RECORD)

    def add(self, unit: str) -> None:
        """One more unit, or one of a process that was left. Raises OSError."""
        if unit in self._places:
            return
        taken = set(self._places.values())
        self._places[unit] = next(place for place in range(len(taken) + 1) if place not in taken)
        self.clear(unit)

    def remove(self, unit: str) -> None:
        """That unit is no more. Raises OSError."""
        self.clear(unit)
        del self._places[unit]

    def put(self, unit: str, pid: int) -> None:
        """That process is the unit's now."""
        words = (unit, str(pid), start_time(pid) or _UNKNOWN, _number_of(pid) or _UNKNOWN, self._boot)
        self._write(unit, " ".join(words))

    def clear(self, unit: str) -> None:
        """The unit has no process."""
        self._write(unit, "")

    def look(self) -> None:
        """Write it anew where somebody removed it, or put another in its place: the next supervisor would take our
        processes for strangers. What can't be, for want of room or of the directory, is tried again the next time."""
        own = os.fstat(self._fd)
        with contextlib.suppress(OSError):
            if os.path.samestat(os.lstat(self._path), own):
                return
        try:
            self._path.unlink(missing_ok=True)
            anew = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError:
            return
        try:
            os.pwrite(anew, os.pread(self._fd, own.st_size, 0), 0)
            os.dup2(anew, self._fd, inheritable=False)
        except OSError:
            self._path.unlink(missing_ok=True)
            return
        finally:
            os.close(anew)
        log.warning("%s had been removed: it was written anew", self._path)

    def _write(self, unit: str, text: str) -> None:
        record = text.encode().ljust(_RECORD - 1) + b"\n"
        os.pwrite(self._fd, record, self._places[unit] * _RECORD)

    def close(self) -> None:
        os.close(self._fd)


def find(path: Path, locks: Path, boot: str) -> Iterator[Orphan]:
    """The processes named in an earlier supervisor's register that are still the same and still run. ``locks`` is the
    directory where each worker's lock says which process has it."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        words = line.split()
        if len(words) != 5 or not words[1].isdigit() or words[4] != boot:
            continue
        unit, pid = words[0], int(words[1])
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            continue
        lock = locks / f"{unit}.lock"
        if has_ended(pidfd) or not _is_same(pid, pidfd, began=words[2], number=words[3], boot=boot, lock=lock):
            os.close(pidfd)  # nobody has waited for it yet, or the pid is another's by now
            continue
        yield Orphan(unit, pid, pidfd)


def has_ended(pidfd: int) -> bool:
    """Whether the process has, be it that nobody has waited for it yet."""
    looking = select.poll()
    looking.register(pidfd, select.POLLIN)
    return bool(looking.poll(0))


def _is_same(pid: int, pidfd: int, *, began: str, number: str, boot: str, lock: Path) -> bool:
    """Whether a process is the one that was noted, by the first of the three that is known of both."""
    if began != _UNKNOWN and (now := start_time(pid)):
        return now == began
    if _UNKNOWN not in (number, boot) and (now := _number(pidfd)):
        return now == number
    return _is_held_by(lock, pid)


def start_time(pid: int) -> str:
    """When the process began, in clock ticks since the boot (field 22, proc_pid_stat(5)); empty for none, and for one
    that hides."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]


def _number_of(pid: int) -> str:
    """`_number` of a process, empty too where there is none."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return ""
    try:
        return _number(pidfd)
    finally:
        os.close(pidfd)


def _number(pidfd: int) -> str:
    """The number that no other process has until the next boot; empty where the kernel gives all the same."""
    own = os.pidfd_open(os.getpid())
    try:
        return "" if os.fstat(own).st_ino == os.fstat(pidfd).st_ino else str(os.fstat(pidfd).st_ino)
    finally:
        os.close(own)


def _is_held_by(lock: Path, pid: int) -> bool:
    """Whether the lock is held, and by whoever wrote that pid into it (``service/lock.py``)."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.read(descriptor, 32).strip() == str(pid).encode()
    finally:
        os.close(descriptor)
    return False


def boot_id(environ: Mapping[str, str]) -> str:
    """What tells this boot of the kernel from every other; where /proc hides it (ProcSubset=pid) the unit says it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return environ.get("BOOT_ID", "").strip() or _UNKNOWN
