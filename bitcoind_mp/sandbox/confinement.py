"""Puts the protections together, in the order that they need, and says which ones there are.

What a process needs is its own affair (`Confinement`); how the kernel is told is ``landlock.py``'s and
``seccomp.py``'s.
"""

import ctypes
import logging
import os
import resource
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bitcoind_mp.interfaces.errors import ExitStatus, FatalError

from . import landlock, seccomp

log = logging.getLogger("bitcoind_mp")

#: prctl(2)
_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38
_PACKAGE = Path(__file__).resolve().parent.parent
#: Where the C library and its helpers lie: nothing there is secret.
_SYSTEM = (
    "/usr/lib", "/usr/lib64", "/usr/lib32", "/usr/local/lib", "/lib", "/lib64", "/usr/share/zoneinfo",
    "/etc/ld.so.cache", "/etc/localtime", "/dev/urandom", "/dev/random", "/proc/self/status",
)  # fmt: skip
_INTERNET = (socket.AF_INET, socket.AF_INET6)


class Mode(StrEnum):
    """-sandbox"""

    AUTO = "auto"
    STRICT = "strict"
    OFF = "off"


@dataclass(frozen=True)
class Confinement:
    """What a process needs from now on; it keeps what it holds already: open files, sockets, its own threads.

    ``read`` and ``write`` are files, and directories with all that is below them (regular files and directories: no
    sockets, devices or symbolic links are made there); those that don't exist are none. In the directories of
    ``remove`` names may be removed, and nothing else. The interpreter's own files and the system's libraries may
    always be read: a late import is no failure. ``apart`` are places that must be out of reach whatever else is
    allowed. ``unix``, ``internet``: whether new sockets of that kind may be made; with neither, nothing is connected
    either, and what it was handed is all that it speaks over. ``listen``: TCP ports that may be
    listened on. Unix sockets of the abstract namespace are out of reach, unless connected already.
    """

    read: tuple[Path, ...] = ()
    write: tuple[Path, ...] = ()
    remove: tuple[Path, ...] = ()
    apart: tuple[Path, ...] = ()
    unix: bool = False
    internet: bool = False
    listen: tuple[int, ...] = ()


@dataclass(frozen=True)
class Protections:
    """What protects a process, and what doesn't, in words for an operator."""

    active: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def confine(confinement: Confinement, mode: Mode) -> Protections:
    """Give up, for good, everything that isn't needed. Call it when all is imported and inherited, on the process's
    only thread: one that exists already would stay free.

    Raises:
        FatalError: CONFIG, in strict mode, where a protection is missing.
        RuntimeError: there is another thread.
    """
    if mode is Mode.OFF:
        return Protections(missing=("everything: -sandbox=off",))
    if len(os.listdir("/proc/self/task")) != 1:  # noqa: PTH208 (a number is all that is wanted)
        raise RuntimeError("confine() was called when there were threads already")
    active: list[str] = []
    missing: list[str] = []
    _close_to_others(active, missing)
    rules, exposed = _rules(confinement)
    missing += [f"{path} is not out of reach: it lies within {place}" for path, place in exposed]
    _use_landlock(rules, active, missing)
    _use_seccomp(confinement, active, missing)
    found = Protections(tuple(active), tuple(missing))
    if missing and mode is Mode.STRICT:
        raise FatalError(
            f"-sandbox=strict: this process can't be confined as it should: {'; '.join(missing)}.",
            hint="Install what is missing, or start with -sandbox=auto.",
            status=ExitStatus.CONFIG,
        )
    for text in missing:
        log.warning("Sandbox: missing: %s", text)
    log.info("Sandbox: %s", ", ".join(active) or "none")
    return found


def _close_to_others(active: list[str], missing: list[str]) -> None:
    """Nobody reads this process's memory, alive or as a core file, and no program that it runs gets more rights."""
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value, words in (
        (_PR_SET_NO_NEW_PRIVS, 1, "no new privileges"),
        (_PR_SET_DUMPABLE, 0, "not dumpable"),
    ):
        if libc.prctl(option, value, 0, 0, 0) == 0:
            active.append(words)
        else:
            missing.append(f"{words}: {os.strerror(ctypes.get_errno())}")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    active.append("no core files")


def _rules(confinement: Confinement) -> tuple[landlock.Rules, list[tuple[Path, Path]]]:
    """The rules; and what should be apart and isn't: (it, the place that it is within)."""
    apart = [path.resolve() for path in confinement.apart]

    def within(place: Path) -> list[Path]:
        return [path for path in apart if path.is_relative_to(place)]

    libraries = [path for path in _libraries() if not within(path.resolve())]
    own = [path.resolve() for path in (*confinement.read, *confinement.write, *confinement.remove)]
    exposed = [(path, place) for place in dict.fromkeys(own) for path in within(place)]
    paths = (
        *((path, landlock.READ) for path in _once((*libraries, *confinement.read))),
        *((path, landlock.WRITE) for path in _once(confinement.write)),
        *((path, landlock.Fs.REMOVE_FILE) for path in _once(confinement.remove)),
        (Path("/dev/null"), landlock.READ | landlock.Fs.WRITE_FILE),
    )
    rules = landlock.Rules(paths, confinement.listen, connect=confinement.internet)
    return rules, exposed


def _libraries() -> list[Path]:
    """Without sysconfig, which takes longer than all the rest."""
    packages = [Path(entry) for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    prefixes = dict.fromkeys((sys.prefix, sys.base_prefix))
    own = [Path(prefix, name) for prefix in prefixes for name in ("lib", "lib64")]
    return [*packages, *own, Path(os.__file__).parent, *map(Path, _SYSTEM), _PACKAGE]


def _once(paths: Iterable[Path]) -> Iterable[Path]:
    return dict.fromkeys(path.resolve() for path in paths)


def _use_landlock(rules: landlock.Rules, active: list[str], missing: list[str]) -> None:
    abi = landlock.version()
    if abi:
        try:
            landlock.restrict(rules, abi)
        except OSError as error:
            missing.append(str(error.strerror or error))
            return
        active.append(f"Landlock (ABI {abi})")
    missing += [f"the kernel does not control {words}" for words in landlock.lacking(abi)]


def _use_seccomp(confinement: Confinement, active: list[str], missing: list[str]) -> None:
    families = ([socket.AF_UNIX] if confinement.unix else []) + ([*_INTERNET] if confinement.internet else [])
    try:
        seccomp.install(families)
    except seccomp.Unavailable as error:
        missing.append(f"system calls are not filtered: {error}")
    else:
        active.append("seccomp")
