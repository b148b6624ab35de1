"""Telling the service manager how we are: sd_notify(3), nothing but a datagram to NOTIFY_SOCKET."""

import array
import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import MutableMapping, Sequence

#: Seconds until what the manager's queue had no room for is tried again; twice as long each time.
_PAUSE, _LONGEST_PAUSE = 0.02, 1.0
#: Messages that are kept for a manager that doesn't read.
_MOST_UNSENT = 64
#: Descriptors in one message: what a receiver must have room for.
_FDS_AT_ONCE = 64
#: Of these only the newest counts.
_NEWEST_COUNTS = (b"STATUS=", b"WATCHDOG=", b"EXTEND_TIMEOUT_USEC=")


class Notifier:
    """Sends to the manager at ``address``, or nowhere where there is none.

    Never raises and never waits: a manager that is gone, or too busy to read, is no error of ours. What that one has
    no room for is sent as soon as it has, in a loop that runs.
    """

    def __init__(self, address: str = "") -> None:
        self._socket: socket.socket | None = None
        self._address = "\0" + address[1:] if address.startswith("@") else address
        if address.startswith(("/", "@")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        self._unsent: deque[tuple[bytes, Sequence[int]]] = deque(maxlen=_MOST_UNSENT)
        self._pause = _PAUSE
        self._timer: asyncio.TimerHandle | None = None
        self._is_connected = address.startswith("@") and self._connect()

    @property
    def connected(self) -> bool:
        """Whether there is a manager to tell."""
        return self._socket is not None

    def ready(self, status: str = "") -> None:
        """Start-up, or a reload, is finished."""
        self._send("READY=1", _status(status))

    def status(self, text: str) -> None:
        """One line for people. To our supervisor it is also a sign of life while starting or stopping."""
        self._send(_status(text))

    def watchdog(self) -> None:
        """The serving loop turns."""
        self._send("WATCHDOG=1")

    def extend_timeout(self, seconds: float) -> None:
        """Starting or stopping will take up to so many seconds more from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def reloading(self, monotonic_usec: int) -> None:
        """A reload begins; `ready` ends it. ``monotonic_usec`` is CLOCK_MONOTONIC now."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={monotonic_usec}")

    def store(self, name: str, *descriptors: int) -> None:
        """Give the manager descriptors to keep (FDSTORE=1): one that has lost ours gets them back so. They must stay
        open until it has them."""
        for first in range(0, len(descriptors), _FDS_AT_ONCE):
            self._put(f"FDSTORE=1\nFDNAME={name}".encode(), descriptors[first : first + _FDS_AT_ONCE])

    def stopping(self, status: str = "") -> None:
        """Going down."""
        self._send("STOPPING=1", _status(status))

    def send(self, *assignments: str) -> None:
        """Any other assignments (``MAINPID=…``, ``ERRNO=…``)."""
        self._send(*assignments)

    def close(self) -> None:
        if self._socket is not None:
            if self._timer is not None:
                self._timer.cancel()
            self._socket.close()
            self._socket = None

    def _connect(self) -> bool:
        """To an address in the abstract namespace, now: a process that confines itself later can't reach it then."""
        assert self._socket is not None
        try:
            self._socket.connect(self._address)
        except OSError:
            return False
        return True

    def _send(self, *assignments: str) -> None:
        self._put("\n".join(filter(None, assignments)).encode(), ())

    def _put(self, message: bytes, descriptors: Sequence[int]) -> None:
        """Send it; after what waits already, where the manager's queue was full."""
        if self._socket is None or (not self._unsent and self._sent(message, descriptors)):
            return
        for kind in _NEWEST_COUNTS:
            if message.startswith(kind):
                left = [each for each in self._unsent if not each[0].startswith(kind)]
                self._unsent = deque(left, _MOST_UNSENT)
        self._unsent.append((message, descriptors))
        self._again()

    def _sent(self, message: bytes, descriptors: Sequence[int]) -> bool:
        """Whether it is through, or never will be: nobody listens there. The manager may be busy, or stopped, and its
        queue is short (net.unix.max_dgram_qlen, 10): a hundred workers that come up at once fill it."""
        assert self._socket is not None
        along = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        try:
            if self._is_connected:
                self._socket.sendmsg([message], along)
            else:
                self._socket.sendmsg([message], along, 0, self._address)  # socket.send_fds takes no address
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def _again(self) -> None:
        """Try once more after a while, where there is a loop to do it in."""
        if self._timer is None:
            with contextlib.suppress(RuntimeError):
                self._timer = asyncio.get_running_loop().call_later(self._pause, self._flush)
                self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _flush(self) -> None:
        self._timer = None
        while self._unsent and self._socket is not None:
            if not self._sent(*self._unsent[0]):
                self._again()
                return
            self._unsent.popleft()
        self._pause = _PAUSE


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.splitlines())}" if text else ""


def from_environment(environ: MutableMapping[str, str]) -> Notifier:
    """The notifier that NOTIFY_SOCKET names; the variable is unset, so that no child speaks for us."""
    return Notifier(environ.pop("NOTIFY_SOCKET", ""))


def watchdog_interval(environ: MutableMapping[str, str], *, pid: int) -> float:
    """Seconds within which the manager wants to hear WATCHDOG=1, 0 for never (sd_watchdog_enabled(3)).

    WATCHDOG_USEC and WATCHDOG_PID are unset."""
    microseconds = environ.pop("WATCHDOG_USEC", "")
    meant_for = environ.pop("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or meant_for not in ("", str(pid)):
        return 0.0
    return int(microseconds) / 1_000_000
