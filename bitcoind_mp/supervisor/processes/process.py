"""One child process: made with exactly the descriptors and variables it is to have, signalled, waited for.

How to start and end a process belongs here; when is ``unit.py``'s.

LISTEN_PID and WATCHDOG_PID must be the child's own pid (sd_listen_fds(3)), which nobody knows before it exists: a
shell's one line sets them and becomes the worker. That takes 0.7 ms; fork() in Python takes longer, and copies us.
(A process that is there to be copied is ``template.py``'s.)
"""

import errno
import fcntl
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bitcoind_mp.supervisor.units.policy import Exit

from .orphans import has_ended

SHELL = "/bin/sh"
_BECOME_WORKER = 'export LISTEN_PID=$$ WATCHDOG_PID=$$; exec "$@"'
#: sd_listen_fds(3): the first descriptor that is handed down.
_FIRST_FD = 3
#: Descriptors to be handed down are first moved here and up, out of the way of the places they go to.
_OUT_OF_THE_WAY = 64
#: What systemd may have told us is not for our workers.
_OURS_ALONE = frozenset(
    {
        "INVOCATION_ID",
        "JOURNAL_STREAM",
        "LISTEN_FDNAMES",
        "LISTEN_FDS",
        "LISTEN_PID",
        "NOTIFY_SOCKET",
        "SYSTEMD_EXEC_PID",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
    }
)
#: What asks a process to end.
_ENDING = (signal.SIGTERM, signal.SIGABRT)
#: Ignored signals stay ignored over exec: the worker is to have the usual ones.
USUAL_SIGNALS = [
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGPIPE,
    signal.SIGXFSZ,
    signal.SIGCHLD,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGTSTP,
    signal.SIGUSR1,
    signal.SIGUSR2,
]


@dataclass(frozen=True)
class Command:
    """What to execute. ``fds`` are (name, descriptor) in the order they are handed down from 3 on; ``output`` takes
    standard output and error."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    fds: tuple[tuple[str, int], ...]
    output: int


def command(
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    fds: Sequence[tuple[str, int]],
    output: int,
    notify: str,
    watchdog: float,
) -> Command:
    """Everything about a start that doesn't change from one to the next, made once.

    The descriptors are copied out of the way of 3, 4, …, and stay the caller's.
    """
    environment = for_children(environ)
    environment["NOTIFY_SOCKET"] = notify
    if fds:
        environment["LISTEN_FDS"] = str(len(fds))
        environment["LISTEN_FDNAMES"] = ":".join(name for name, _ in fds)
    if watchdog > 0:
        environment["WATCHDOG_USEC"] = str(round(watchdog * 1_000_000))
    high = tuple((name, _copy_high(fd)) for name, fd in fds)
    return Command(tuple(argv), environment, high, _copy_high(output))


def handing(made: Command, name: str, descriptor: int) -> Command:
    """The same with one descriptor more, after the others. It is copied out of the way, and the copy is the caller's to
    close: the last of ``fds``."""
    fds = (*made.fds, (name, _copy_high(descriptor)))
    environment = {**made.environment, "LISTEN_FDS": str(len(fds)), "LISTEN_FDNAMES": ":".join(each for each, _ in fds)}
    return replace(made, fds=fds, environment=environment)


def for_children(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what systemd told us alone."""
    return {name: value for name, value in environ.items() if name not in _OURS_ALONE}


def release(made: Command) -> None:
    """Close the copies that `command` made."""
    for fd in (made.output, *(fd for _, fd in made.fds)):
        os.close(fd)


def _copy_high(fd: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)


class Process:
    """A child of ours, from its start until `reap`. Its pid can't be another's before that."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self.pidfd = pidfd

    @classmethod
    def spawn(cls, what: Command) -> "Process":
        """Start it, in a process group of its own. Raises OSError where the system can't."""
        actions: list[tuple[int, int, int] | tuple[int, int, str, int, int]] = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, what.output, 1),
            (os.POSIX_SPAWN_DUP2, what.output, 2),
        ]
        actions += [(os.POSIX_SPAWN_DUP2, fd, _FIRST_FD + place) for place, (_, fd) in enumerate(what.fds)]
        pid = os.posix_spawn(
            SHELL,
            (SHELL, "-c", _BECOME_WORKER, SHELL, *what.argv),
            what.environment,
            file_actions=actions,
            setpgroup=0,
            setsigmask=(),
            setsigdef=USUAL_SIGNALS,
        )
        return cls.of_child(pid)

    @classmethod
    def of_child(cls, pid: int) -> "Process":
        """A child of ours that exists. Raises OSError, and ends it, where it can't be watched."""
        try:
            return cls(pid, os.pidfd_open(pid))
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise

    def send(self, number: signal.Signals) -> None:
        """Signal the process itself. One that has ended already is none the worse for it; one that was stopped
        (SIGSTOP) is continued, so that it can end as it is told to."""
        try:
            signal.pidfd_send_signal(self.pidfd, number)
            if number in _ENDING:
                signal.pidfd_send_signal(self.pidfd, signal.SIGCONT)
        except ProcessLookupError:
            return

    def kill_group(self) -> None:
        """SIGKILL to the process and to what it started."""
        for kill in (os.killpg, os.kill):  # it may not have become its group's leader yet, or have left it
            try:
                kill(self.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue

    def reap(self) -> Exit | None:
        """How it ended, None while it runs. What it left behind in its group is killed: nothing outlives its unit."""
        if os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        self.kill_group()
        _, status = os.waitpid(self.pid, 0)
        return Exit.from_returncode(os.waitstatus_to_exitcode(status))

    def wait(self) -> None:
        """Wait for the end of one that was killed; how it ended doesn't matter."""
        os.waitpid(self.pid, 0)

    def close(self) -> None:
        """Close the pidfd, once nothing watches it any more."""
        os.close(self.pidfd)


class Foundling(Process):
    """A process that an earlier supervisor started: no child of ours, so that how it ends is not for us to know, and
    its process group may be another's once it has ended."""

    @classmethod
    def of_pid(cls, pid: int) -> "Foundling":
        """Raises OSError where it can't be watched."""
        return cls(pid, os.pidfd_open(pid))

    def kill_group(self) -> None:
        self.send(signal.SIGKILL)

    def reap(self) -> Exit | None:
        return Exit() if has_ended(self.pidfd) else None


def keep_to_ourselves() -> None:
    """Set close-on-exec on every descriptor above 2: what whoever started us left open is not for our workers."""
    for entry in Path("/proc/self/fd").iterdir():
        fd = int(entry.name)
        if fd < _FIRST_FD:
            continue
        try:
            os.set_inheritable(fd, False)
        except OSError as error:
            if error.errno != errno.EBADF:  # the listing's own descriptor
                raise
