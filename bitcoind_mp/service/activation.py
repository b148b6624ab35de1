"""Sockets handed down by whoever started the process (sd_listen_fds(3)), and the lifeline.

The same whether systemd, our supervisor or ``systemd-socket-activate`` did it.
"""

import fcntl
import os
import socket
import stat
from collections.abc import MutableMapping
from dataclasses import dataclass, field

from bitcoind_mp.interfaces.channels import CONFIGURATION

#: sd_listen_fds(3): descriptors are passed from this number on
FIRST = 3
#: The name, in LISTEN_FDNAMES, of a pipe, or a stream, whose far end only the supervisor holds.
LIFELINE = "lifeline"
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


@dataclass
class Activation:
    """What was inherited. ``sockets`` by their name in LISTEN_FDNAMES (``unknown`` where there is none); ``lifeline``
    is a pipe's read end, or a stream's, or None: its end of file says that the supervisor died."""

    sockets: dict[str, list[socket.socket]] = field(default_factory=dict)
    lifeline: int | None = None

    def socket(self, name: str) -> socket.socket | None:
        """The first socket of that name, None where none was handed down."""
        return next(iter(self.sockets.get(name, ())), None)


def inherit(environ: MutableMapping[str, str], *, pid: int, first: int = FIRST) -> Activation:
    """Take what LISTEN_FDS and LISTEN_FDNAMES name, if LISTEN_PID is ``pid``: they may have been meant for another
    process. Sets close-on-exec and unsets the variables, so that no child takes them for its own.

    A configuration was read before this, and is closed. Another descriptor that is neither a socket nor the lifeline is
    left alone.
    """
    for_us = environ.get("LISTEN_PID", "") == str(pid)
    count = environ.get("LISTEN_FDS", "")
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    for variable in _VARIABLES:
        environ.pop(variable, None)
    found = Activation()
    if not for_us or not count.isdecimal():
        return found
    for index in range(int(count)):
        name = names[index] if index < len(names) and names[index] else "unknown"
        _take(found, first + index, name)
    return found


def _take(found: Activation, descriptor: int, name: str) -> None:
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return
    if name == CONFIGURATION:
        os.close(descriptor)
    elif name == LIFELINE:
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            found.lifeline = descriptor
    elif stat.S_ISSOCK(mode):
        inherited = socket.socket(fileno=descriptor)
        inherited.setblocking(False)
        found.sockets.setdefault(name, []).append(inherited)
