"""Callers of a process that ended in order: their connections, kept until the unit's next process takes them.

So a restart is nothing but a pause to whoever keeps a connection open: what he sends meanwhile the kernel holds, and
the next process reads it. Only connections that came in by the unit's own socket are kept: a process that was broken
into can't make such a one, and so leaves nothing to be obeyed by the next.
"""

import fcntl
import os
import socket
from collections.abc import Sequence
from contextlib import ExitStack

#: More are let go. A worker answers 1,500 at once, most of them by one call each.
_MOST = 512
#: What one packet can carry (SCM_MAX_FD, unix(7)). The kernel queues ten packets at least (net.unix.max_dgram_qlen).
_IN_A_PACKET = 253
_HERE = b"."


class WaitingCallers:
    """One unit's. ``listener`` is the descriptor of its listening socket, which stays the caller's; None for none."""

    def __init__(self, listener: int | None) -> None:
        self._listener = listener
        self._kept: list[socket.socket] = []

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, descriptors: Sequence[int]) -> None:
        """These were given back. They are ours to close, and closed at once where they are no callers' of the unit."""
        for descriptor in descriptors:
            try:
                connected = socket.socket(fileno=descriptor)
            except OSError:  # no socket at all
                os.close(descriptor)
                continue
            if len(self._kept) < _MOST and self._came_in(connected):
                self._kept.append(connected)
            else:
                connected.close()

    def channel(self) -> socket.socket:
        """All of them in a channel, for a process to take (``ipc/wire/passing.py``); they stay here too. Raises
        OSError."""
        with ExitStack() as ends:
            sending, taking = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
            ends.enter_context(sending)
            ends.enter_context(taking)
            sending.setblocking(False)
            numbers = [each.fileno() for each in self._kept]
            for first in range(0, len(numbers), _IN_A_PACKET):
                socket.send_fds(sending, [_HERE], numbers[first : first + _IN_A_PACKET])
            return taking.dup()

    def leave(self) -> list[socket.socket]:
        """All of them, which are whoever's who calls from now on."""
        kept, self._kept = self._kept, []
        return kept

    def close(self) -> None:
        """They are told nothing more."""
        for connected in self.leave():
            connected.close()

    def _came_in(self, connected: socket.socket) -> bool:
        """Whether the unit's listening socket accepted it: whoever bound that gave it the name that only the kernel
        gives on to what is accepted there."""
        if self._listener is None:
            return False
        try:
            connected.getpeername()
            with socket.socket(fileno=fcntl.fcntl(self._listener, fcntl.F_DUPFD_CLOEXEC, 0)) as listening:
                name = listening.getsockname()
            listens = connected.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            kind = connected.type & ~socket.SOCK_NONBLOCK
            return (connected.family, kind, listens) == (socket.AF_UNIX, socket.SOCK_STREAM, 0) and (
                name not in ("", b"") and connected.getsockname() == name
            )
        except OSError:
            return False
