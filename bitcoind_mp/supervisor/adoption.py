"""Taking over workers that a killed supervisor left running (-adopt), with the sockets they listen on.

A worker answers SIGHUP, besides reading its options again, by handing its listening socket to its manager, as systemd
would keep it (FDSTORE=1, sd_pid_notify_with_fds(3)): so the next supervisor asks each. One that doesn't answer in time
is not taken over: it is told to stop, and another takes its place. Which processes were left ``orphans.py`` says.
"""

import asyncio
import logging
import os
import signal
import stat
from collections.abc import Sequence
from pathlib import Path

from .notify import NotifySocket
from .orphans import Orphan

log = logging.getLogger("bitcoind_mp.supervisor")
#: Seconds that a worker has to hand its socket over.
PATIENCE = 5.0


async def listeners(notify: NotifySocket, orphans: Sequence[Orphan], locks: Path) -> dict[str, int]:
    """The listening sockets of those orphans that can be taken over, by unit. ``locks`` is the directory where each
    worker's lock says which process has it."""
    asked = {each.pid: each for each in orphans if _holds_lock(locks / f"{each.unit}.lock", each.pid)}
    found: dict[str, int] = {}
    complete = asyncio.Event()

    def hear() -> None:
        for message in notify.receive():
            orphan = asked.get(message.pid)
            wanted = orphan is not None and orphan.unit not in found and b"FDSTORE=1" in message.text.split(b"\n")
            for descriptor in message.descriptors:
                if orphan is not None and wanted and orphan.unit not in found and _is_socket(descriptor):
                    found[orphan.unit] = descriptor
                else:
                    os.close(descriptor)
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
    return found


def _holds_lock(file: Path, pid: int) -> bool:
    try:
        return file.read_text("ascii", "replace").strip() == str(pid)
    except OSError:
        return False


def _is_socket(descriptor: int) -> bool:
    return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
