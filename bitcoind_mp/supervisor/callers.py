"""Who calls on ``supervisor.sock``: a person may have everything done; a worker, which somebody may have broken into,
nothing but what it is there for.

A worker is known by its pid, which the kernel tells and which is ours to know: we made it, or took it over. What it
forks stays in its process group, which its filter of system calls doesn't let it leave. So this rests neither on /proc,
which a service may not be shown, nor on any file.
"""

import logging
import socket
from collections import Counter
from collections.abc import Callable

from bitcoind_mp.ipc.serve.server import Server
from bitcoind_mp.ipc.wire.credentials import living_peer

log = logging.getLogger("bitcoind_mp.supervisor")
#: The unit whose process makes and lists wallets, where each has a process of its own.
_KEEPER = "wallet"
#: A unit whose processes are turned away is told of so often, then counted.
_REFUSALS_LOGGED = 5


class Callers:
    """``whose(pid)`` is the unit that a process is of, None for none; ``persons`` answers them, and ``keeper``, where
    there is one, the process that makes and lists wallets."""

    def __init__(self, whose: Callable[[int], str | None], persons: Server, keeper: Server | None) -> None:
        self.refused: Counter[str] = Counter()
        self._whose = whose
        self._persons = persons
        self._keeper = keeper

    def chosen(self, connected: socket.socket) -> Server | str:
        """What a `Door` asks. Raises OSError for who can't be told any more."""
        pid = living_peer(connected)
        unit = self._whose(pid)
        if unit is None:
            return self._persons
        if unit == _KEEPER and self._keeper is not None:
            return self._keeper
        self.refused[unit] += 1
        if self.refused[unit] <= _REFUSALS_LOGGED:
            log.warning("refused a call by the %s (pid %d), which has no business with the supervisor", unit, pid)
        return f"The supervisor answers persons: this is a process of the {unit}'s"
