"""Sockets handed down by whoever started the process (sd_listen_fds(3)), and the lifeline."""

import socket
from collections.abc import MutableMapping
from dataclasses import dataclass, field

LIFELINE = "lifeline"


@dataclass
class Activation:
    """What was inherited. ``sockets`` by their name in LISTEN_FDNAMES; ``lifeline`` is a pipe's read end or None:
    its end of file says that the supervisor died."""

    sockets: dict[str, list[socket.socket]] = field(default_factory=dict)
    lifeline: int | None = None

    def socket(self, name: str) -> socket.socket | None:
        """The first socket of that name."""
        raise NotImplementedError


def inherit(environ: MutableMapping[str, str], *, pid: int) -> Activation:
    """Take what LISTEN_FDS and LISTEN_FDNAMES name if LISTEN_PID is ``pid``; set close-on-exec; unset the variables."""
    raise NotImplementedError
