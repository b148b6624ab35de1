"""What workers tell the supervisor: the datagram socket behind NOTIFY_SOCKET (sd_notify(3)).

What belongs here: receiving datagrams with the sender's pid, which the kernel vouches for, and turning text
into events. What doesn't: which unit a pid is, and what an event does.
"""

import array
import os
import secrets
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bitcoind_mp.interfaces.obstacle import NOTIFICATION, Obstacle
from bitcoind_mp.supervisor.said import said
from bitcoind_mp.supervisor.units import events as ev

#: sockaddr_un holds 108 bytes with the terminating zero.
_LONGEST_PATH = 107
#: The most of a datagram that is read; a longer one is refused. sd_notify messages are a few hundred bytes.
_LONGEST_MESSAGE = 4096
#: Datagrams read at one wake-up: more than the kernel queues (net.unix.max_dgram_qlen), so that one call empties it.
_MOST_AT_ONCE = 1024
#: A worker may ask for a day at once. What it needs longer for it can ask for again.
_LONGEST_EXTENSION = 86400.0
#: Messages that a process may send at once, and a second in the long run. One that is well sends one or two a second,
#: and a few hundred while it starts.
_BURST, _RATE = 500, 50.0
#: Lines of a message that are looked at.
_MOST_LINES = 32
_CREDENTIALS = struct.Struct("3i")
#: As many as a worker puts into one message (``service/notify.py``).
_FDS_AT_MOST = 64


@dataclass(frozen=True)
class Datagram:
    """One message: the sender's pid, 0 where the kernel doesn't vouch for one; what it says, empty for one that was too
    long; the descriptors that came along, which are the receiver's to close."""

    pid: int
    text: bytes
    descriptors: tuple[int, ...] = ()


class Allowance:
    """What one process may still say, at ``now`` (seconds, monotonic): each message costs the manager a round of work,
    and the others wait meanwhile."""

    def __init__(self) -> None:
        self._left = float(_BURST)
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Whether one message more is within it."""
        self._left = min(_BURST, self._left + (now - self._at) * _RATE)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class NotifySocket:
    """Bound in ``directory``, or, where its path would be too long for the kernel, to an abstract name.

    ``address`` is the value for NOTIFY_SOCKET. Only the mode of the directory keeps strangers from the one and
    nothing does from the other: the pid of each message is what counts.
    """

    def __init__(self, directory: Path, *, name: str = "notify") -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self.path: Path | None = directory / name
        if len(os.fsencode(self.path)) <= _LONGEST_PATH:
            self.path.unlink(missing_ok=True)
            self.socket.bind(str(self.path))
            self.path.chmod(0o600)
            self.address = str(self.path)
        else:
            self.path = None
            self.address = f"@bitcoind-mp/{secrets.token_hex(16)}"
            self.socket.bind("\0" + self.address[1:])
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)

    @classmethod
    def taken(cls, descriptor: int, address: str) -> "NotifySocket":
        """The one that a program before us bound, by its ``fileno`` and ``address``."""
        found = cls.__new__(cls)
        found.socket = socket.socket(fileno=descriptor)
        found.address = address
        found.path = Path(address) if address.startswith("/") else None
        return found

    def fileno(self) -> int:
        return self.socket.fileno()

    def receive(self) -> Iterator[Datagram]:
        """The datagrams that wait."""
        for _ in range(_MOST_AT_ONCE):
            try:
                message, ancillary, flags, _ = self.socket.recvmsg(
                    _LONGEST_MESSAGE,
                    socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(_FDS_AT_MOST * 4),
                    socket.MSG_CMSG_CLOEXEC,
                )
            except BlockingIOError:
                return
            yield _datagram(b"" if flags & socket.MSG_TRUNC else message, ancillary)

    def close(self) -> None:
        self.socket.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _datagram(text: bytes, ancillary: list[tuple[int, int, bytes]]) -> Datagram:
    """With what came along."""
    pid, descriptors = 0, array.array("i")
    for level, kind, data in ancillary:
        if level != socket.SOL_SOCKET:
            continue
        if kind == socket.SCM_CREDENTIALS:
            pid = _CREDENTIALS.unpack(data[: _CREDENTIALS.size])[0]
        elif kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    return Datagram(pid, text, tuple(descriptors))


def parse(message: bytes) -> list[ev.Event]:
    """The events in one datagram, in order, and of each kind the last: a message is one state of affairs. What isn't
    understood is passed over, as sd_notify(3) asks."""
    found: dict[type[ev.Event], ev.Event] = {}
    for line in message.split(b"\n", _MOST_LINES)[:_MOST_LINES]:
        key, equals, value = line.partition(b"=")
        reader = _READERS.get(key) if equals else None
        event = reader(value) if reader else None
        if event is not None:
            found[type(event)] = event
    return list(found.values())


def stored_name(message: bytes) -> str:
    """The name of the descriptors that come along to be kept (FDSTORE=1, FDNAME=); empty where none are."""
    lines = message.split(b"\n")
    named = (line.removeprefix(b"FDNAME=") for line in lines if line.startswith(b"FDNAME="))
    return next(named, b"").decode("ascii", "replace") if b"FDSTORE=1" in lines else ""


def _flag(event: ev.Event) -> Callable[[bytes], ev.Event | None]:
    return lambda value: event if value == b"1" else None


def _status(value: bytes) -> ev.Event:
    return ev.Status(said(value.decode("utf-8", "replace")))


def _watchdog(value: bytes) -> ev.Event | None:
    if value == b"trigger":
        return ev.WatchdogTrigger()
    return ev.WatchdogPing() if value == b"1" else None


def _seconds(value: bytes) -> float | None:
    """A number of microseconds in ASCII digits, else None."""
    if not value.isdigit() or len(value) > 20:
        return None
    return min(int(value) / 1e6, _LONGEST_EXTENSION)


def _extend(value: bytes) -> ev.Event | None:
    seconds = _seconds(value)
    return None if seconds is None else ev.ExtendTimeout(seconds)


def _interval(value: bytes) -> ev.Event | None:
    seconds = _seconds(value)
    return None if seconds is None else ev.WatchdogInterval(seconds)


def _obstacle(value: bytes) -> ev.Event | None:
    found = Obstacle.parse(value.decode("utf-8", "surrogateescape"))
    return None if found is None else ev.Obstructed(found)


_READERS: dict[bytes, Callable[[bytes], ev.Event | None]] = {
    b"READY": _flag(ev.Ready()),
    b"STATUS": _status,
    b"WATCHDOG": _watchdog,
    b"WATCHDOG_USEC": _interval,
    b"EXTEND_TIMEOUT_USEC": _extend,
    b"RELOADING": _flag(ev.ReloadStarted()),
    b"STOPPING": _flag(ev.StopStarted()),
    NOTIFICATION.encode(): _obstacle,
}
