"""Taking over workers that a killed supervisor left running (-adopt), with the sockets they listen on.

A worker answers SIGHUP, besides reading its options again, by handing its listening socket to its manager, as systemd
would keep it (FDSTORE=1, sd_pid_notify_with_fds(3)): so the next supervisor asks each. One that doesn't answer in time
is not taken over: it is told to stop, and another takes its place. Which processes were left ``orphans.py`` says.
"""

import asyncio
import logging
import os
import signal
import socket
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bitcoind_mp.supervisor.units.events import WatchdogInterval

from .notify import NotifySocket, parse, stored_name
from .orphans import Orphan
from .private import ENDS

log = logging.getLogger("bitcoind_mp.supervisor")
#: Seconds that a worker has to hand its socket over.
PATIENCE = 5.0


@dataclass(frozen=True)
class Left:
    """What orphans handed over, by unit: the sockets that they listen on, and, by name, their ends of the channels
    between them (``private.py``). ``watchdogs``: how often each gives a sign of life (seconds, 0 for never)."""

    listeners: dict[str, int] = field(default_factory=dict)
    watchdogs: dict[str, float] = field(default_factory=dict)
    ends: dict[str, dict[str, int]] = field(default_factory=dict)


async def listeners(notify: NotifySocket, orphans: Sequence[Orphan], locks: Path) -> Left:
    """What those orphans hand over that answer in time. ``locks`` is the directory where each worker's lock says which
    process has it."""
    asked = {each.pid: each for each in orphans if _holds_lock(locks / f"{each.unit}.lock", each.pid)}
    left = Left()
    found = left.listeners
    complete = asyncio.Event()

    def hear() -> None:
        for message in notify.receive():
            orphan = asked.get(message.pid)
            name = stored_name(message.text)
            if orphan is not None:
                for event in parse(message.text):
                    if isinstance(event, WatchdogInterval):
                        left.watchdogs[orphan.unit] = event.seconds
            for descriptor in message.descriptors:
                kept, key = None, ""
                if orphan is not None and name:
                    if name in ENDS and _is_end(descriptor):
                        kept, key = left.ends.setdefault(orphan.unit, {}), name
                    elif name == orphan.unit.partition("@")[0] and _listens(descriptor):
                        kept, key = found, orphan.unit
                if kept is None or key in kept:
                    os.close(descriptor)
                else:
                    kept[key] = descriptor
        if len(found) == len(asked):
            complete.set()

    loop = asyncio.get_running_loop()
    loop.add_reader(notify.fileno(), hear)
    try:
        for orphan in asked.values():
            signal.pidfd_send_signal(orphan.pidfd, signal.SIGHUP)
        if asked:
            async with asyncio.timeout(PATIENCE):
                await complete.wait()
    except TimeoutError:
        silent = [each.unit for each in asked.values() if each.unit not in found]
        log.warning("the %s did not hand over its socket within %g s", " and the ".join(silent), PATIENCE)
    finally:
        loop.remove_reader(notify.fileno())
    return left


def _holds_lock(file: Path, pid: int) -> bool:
    try:
        with file.open("rb") as lock:
            return lock.read(32).strip() == str(pid).encode()
    except OSError:
        return False


def _is_end(descriptor: int) -> bool:
    """Whether it is one of a channel: what else a worker may give, nobody could take a connection from."""
    return _option(descriptor, socket.SO_TYPE) == socket.SOCK_SEQPACKET


def _listens(descriptor: int) -> bool:
    return _option(descriptor, socket.SO_ACCEPTCONN) == 1


def _option(descriptor: int, name: int) -> int:
    """A Unix socket's; -1 for anything else."""
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return -1
    with socket.socket(fileno=os.dup(descriptor)) as found:
        return found.getsockopt(socket.SOL_SOCKET, name) if found.family == socket.AF_UNIX else -1
