"""The owner's socket, and who isn't let in there. (Wallets have an entrance of their own, ``ipc/serve/``.)

A wallet that somebody broke into may say what it likes; where its process comes from it can't change. So whoever is a
worker, or descends from one or from the supervisor that runs them, is told of nothing here: it can neither confirm its
own requests nor have keys shown. (Were it not confined it could write into the files by which workers are known. It
can't change who is our parent, and while that is the supervisor, its children are known by that.)

Whose child is who stands in /proc. Where that hides processes (systemd's ProtectProc=, hidepid=), those are refused of
which it is known without: the workers by their pids, what is in a worker's process group, and what is in the
supervisor's session, where that leads one. A confined worker can neither fork nor leave either.
"""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bitcoind_mp.ipc.serve.server import Server
from bitcoind_mp.ipc.wire.credentials import living_peer

#: A chain of parents longer than this is none.
_DEEPEST = 64
#: What a worker, or what came from one, is told whatever it asks.
REFUSAL = (
    "Method not found: the signer answers its owner alone, and takes this process for a worker, or for what a worker "
    "or the supervisor has started. Call it from a shell or a service of your own, with bitcoin-mp"
)


class Lineage:
    """Tells workers from others, by what the supervisor and the wallet write into ``network`` and by whose child is
    who. ``own_parent`` gives our parent's pid; ``parent`` another process's, None for one that is gone or hidden;
    ``belongs`` its process group and session, which nothing hides, None for one that is gone."""

    def __init__(
        self,
        network: Path,
        own_parent: Callable[[], int] = os.getppid,
        parent: Callable[[int], int | None] | None = None,
        belongs: Callable[[int], tuple[int, int] | None] | None = None,
    ) -> None:
        self._supervisor_lock = network / "supervisor.lock"
        self._wallet_lock = network / "wallet.lock"
        self._register = network / "run" / "units"
        self._own_parent = own_parent
        self._parent = parent or parent_of
        self._belongs = belongs or group_and_session
        self._known: int | None = None
        self._wallets: set[int] = set()

    def is_wallet(self, pid: int) -> None:
        """That process came in as a wallet. One that gets its pid later is taken for it: it is refused, not let in."""
        self._wallets.add(pid)

    def is_worker(self, pid: int) -> bool:
        """Whether that process is a worker or came from one. One that is gone counts as one."""
        supervisor, workers = self._supervisor(), self._workers()
        if pid <= 0:  # of another pid namespace (pid_namespaces(7))
            return True
        if pid == supervisor:
            return False
        belongs = self._belongs(pid)  # later than the workers: one that ended since is no stranger, but gone
        if belongs is None or belongs[0] in workers or belongs[1] == supervisor:
            return True
        return self._descends(pid, supervisor, workers)

    def _descends(self, pid: int, supervisor: int | None, workers: set[int]) -> bool:
        """By /proc, as far as that shows processes."""
        for _ in range(_DEEPEST):
            if pid in workers:
                return True
            if pid <= 1:
                return False
            above = self._parent(pid)
            if above is None:
                return self._parent(1) is not None  # the first process is always there: if it is hidden, so are others
            if above == supervisor:
                return True
            pid = above
        return True

    def _supervisor(self) -> int | None:
        """Who runs us: our parent, once it was known to be a supervisor; else who has its lock, as when a supervisor
        took us over."""
        parent = self._own_parent()
        if self._known == parent:
            return parent
        found = _pid(self._supervisor_lock)
        if found is not None and found == parent:
            self._known = found
        return found

    def _workers(self) -> set[int]:
        found = _pid(self._wallet_lock)
        workers = {*self._wallets, found} if found is not None and found > 1 else set(self._wallets)
        with suppress(OSError):
            for line in self._register.read_text("utf-8", "replace").splitlines():
                words = line.split()
                if len(words) > 1 and words[1].isdecimal():
                    workers.add(int(words[1]))
        return workers


def _pid(lock: Path) -> int | None:
    with suppress(OSError, ValueError), lock.open("rb") as file:
        return int(file.read(32))  # who wrote it may have been broken into, and let it grow
    return None


def group_and_session(pid: int) -> tuple[int, int] | None:
    """A process's group and session; None for one that is gone."""
    try:
        return os.getpgid(pid), os.getsid(pid)
    except ProcessLookupError:
        return None


def parent_of(pid: int) -> int | None:
    """A process's parent (proc(5)); None for one that is gone, or hidden."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None


def chooser(lineage: Lineage, owner: Server, worker: Server) -> Callable[[socket.socket], Server]:
    """What a `Door` asks: ``owner`` answers the owner, and ``worker``, which answers nothing, a worker."""

    def chosen(connected: socket.socket) -> Server:
        return worker if lineage.is_worker(living_peer(connected)) else owner

    return chosen
