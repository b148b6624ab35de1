"""A unit's output: from its pipe to its log file, to the newest lines that ``status`` shows, and to followers.

The pump never makes a worker wait: whatever a disk or a terminal does, the pipe is emptied.
"""

import os
import re
import select
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from bitcoind_mp.supervisor.said import said

from .logfile import LogFile

#: A longer line is cut here: one line can't fill the memory.
_LONGEST_LINE = 16 * 1024
#: Read at one wake-up, so that a worker that floods its output does not keep the others waiting: in the journal each
#: line is an entry, and it may be nothing but ends of lines.
_CHUNK = 8 * 1024
#: /proc/sys/fs/pipe-max-size, as it usually is.
_PIPE_HOLDS_AT_MOST = 1024 * 1024
#: A pipe or terminal that polls writable takes this much without blocking (PIPE_BUF, pipe(7)).
_PIPE_BUF = 4096
#: sd-daemon(3): the priority in front of a line, as the journal takes it.
#: ``<N:ID>``: and the journal's MESSAGE_ID of the event that it tells (service/logging.py).
_PRIORITY = re.compile(rb"<([0-7])(?::([0-9a-f]{32}))?>")
_INFO = b"6"
#: How a line of level error begins after its time: ``[error] `` or ``[net:error] `` (service/logging.py); and how one
#: of a program that doesn't get as far as a log.
_ERROR = re.compile(r"(?:\[(?:[\w-]+:)?error\]|^Error:) (.+)")
#: Lines of one process that are looked through for its error when it has ended.
_LOOK_BACK = 200

Listener = Callable[[list[str]], None]


class Forward(Protocol):
    """Where lines go besides the file: the console or the journal."""

    def write(self, unit: str, lines: list[bytes], pid: int | None) -> None:
        """Take these lines, which the unit's process wrote, or drop them; never block."""


class Entries(Protocol):
    """The journal by its own protocol."""

    def add(self, message: str | bytes, priority: int, *, unit: str, pid: int | None, message_id: str) -> bool:
        """One entry; False where the journal didn't take it."""


class UnitLog:
    """The newest ``keep`` lines of one unit, its file (None: none is written), and whoever follows it."""

    def __init__(self, unit: str, file: LogFile | None, forward: Forward | None = None, *, keep: int = 1000) -> None:
        self.unit = unit
        self.file = file
        self.forward = forward
        self.listeners: set[Listener] = set()
        self.pid: int | None = None
        """Whose lines these are."""
        self._newest: deque[bytes] = deque(maxlen=keep)
        self._count = 0
        self._began = 0

    def write(self, lines: list[bytes]) -> None:
        """Take whole lines, without their ends."""
        if not lines:
            return
        if self.forward is not None:
            self.forward.write(self.unit, lines, self.pid)
        plain = [_PRIORITY.sub(b"", line, count=1) if line[:1] == b"<" else line for line in lines]
        self._newest.extend(plain)
        self._count += len(plain)
        if self.file is not None:
            self.file.write(b"\n".join(plain) + b"\n", len(plain))
        if self.listeners:
            text = [_text(line) for line in plain]
            for listener in list(self.listeners):
                listener(text)

    def tail(self, count: int) -> list[str]:
        """The newest lines, oldest first."""
        if count <= 0:
            return []
        return [_text(line) for line in list(self._newest)[-count:]]

    def remember(self, lines: list[str]) -> None:
        """Lines that are written already."""
        self._newest.extend(line.encode() for line in lines)

    def begin(self) -> None:
        """What comes now is of a new process."""
        self._began = self._count

    def last_words(self, count: int) -> tuple[list[str], str]:
        """The newest lines of the present process, and the newest error among them all, empty for none."""
        lines = self.tail(min(self._count - self._began, _LOOK_BACK))
        errors = [found[1] for line in lines if (found := _ERROR.search(line))]
        # It becomes the reason that people are told, wherever they are; a peer may have chosen words of it.
        return lines[-count:], said(errors[-1]) if errors else ""

    def follow(self, listener: Listener) -> Callable[[], None]:
        """Tell each batch of lines from now on. Returns what ends it."""
        self.listeners.add(listener)
        return lambda: self.listeners.discard(listener)


class Pump:
    """The pipe that all the processes of one unit write to, one after the other: ``writer`` is for them."""

    def __init__(
        self, log: UnitLog, *, fifo: Path | None = None, ends: tuple[int, int] | None = None, partial: str = ""
    ) -> None:
        """``fifo``: the pipe has this name, is made where it isn't there, and is removed by `close`. ``ends`` and
        ``partial`` are of a pump before us, whose pipe goes on."""
        self.log = log
        self._fifo = fifo
        self.reader, self.writer = ends or (os.pipe2(os.O_CLOEXEC) if fifo is None else _named_pipe(fifo))
        os.set_blocking(self.reader, False)
        self._partial = bytes.fromhex(partial)

    @property
    def partial(self) -> str:
        """The line that has only begun, in hexadecimal."""
        return self._partial.hex()

    def fileno(self) -> int:
        return self.reader

    def journal_stream(self) -> str:
        """What JOURNAL_STREAM is to say to a writer, for it to put priorities in front of its lines."""
        status = os.fstat(self.writer)
        return f"{status.st_dev}:{status.st_ino}"

    def read(self) -> bool:
        """Take what the pipe holds, up to a bound. False where it held nothing."""
        try:
            data = os.read(self.reader, _CHUNK)
        except BlockingIOError:
            return False
        *whole, self._partial = (self._partial + data).split(b"\n")
        lines = [line[:_LONGEST_LINE] for line in whole]
        while len(self._partial) > _LONGEST_LINE:
            lines.append(self._partial[:_LONGEST_LINE])
            self._partial = self._partial[_LONGEST_LINE:]
        self.log.write(lines)
        return bool(data)

    def finish(self) -> None:
        """The process ended: take all that it wrote, the last line even without its end.

        Bounded: something it started may have escaped its group and go on writing.
        """
        for _ in range(_PIPE_HOLDS_AT_MOST // _CHUNK):
            if not self.read():
                break
        if self._partial:
            rest, self._partial = self._partial, b""
            self.log.write([rest])

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)
        if self._fifo is not None:
            self._fifo.unlink(missing_ok=True)


def _named_pipe(path: Path) -> tuple[int, int]:
    """Both ends of the pipe of that name, which may have writers from before us."""
    if path.exists() and not path.is_fifo():
        path.unlink()
    if not path.exists():
        os.mkfifo(path, 0o600)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    return reader, os.open(path, os.O_WRONLY | os.O_CLOEXEC)


class Console:
    """Lines to a terminal or a pipe that somebody may have stopped reading: then they are dropped and counted."""

    def __init__(self, fd: int) -> None:
        self.lost = 0
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    def write(self, unit: str, lines: list[bytes], pid: int | None) -> None:
        self._put([unit.encode() + b": " + _harmless(line) for line in lines])

    def _put(self, lines: list[bytes]) -> None:
        """As many lines at once as are sure not to block."""
        while lines:
            piece, taken = lines[0][: _PIPE_BUF - 1] + b"\n", 1
            while taken < len(lines) and len(piece) + len(lines[taken]) < _PIPE_BUF:
                piece += lines[taken] + b"\n"
                taken += 1
            if not self._write(piece):
                self.lost += len(lines)
                return
            lines = lines[taken:]

    def _write(self, piece: bytes) -> bool:
        try:
            ready = self._poll.poll(0)
            return bool(ready and ready[0][1] & select.POLLOUT and os.write(self._fd, piece))
        except OSError:
            return False


class Journal(Console):
    """Lines to the journal, one entry each; what it doesn't take by its own protocol goes to ``fd``, the standard error
    that systemd connected to it, each line with its priority (sd-daemon(3))."""

    def __init__(self, fd: int, entries: Entries) -> None:
        super().__init__(fd)
        self._entries = entries

    def write(self, unit: str, lines: list[bytes], pid: int | None) -> None:
        for line in lines:
            found = _PRIORITY.match(line)
            priority, text = (found[1], line[found.end() :]) if found else (_INFO, line)
            message_id = (found[2] or b"").decode() if found else ""
            text = unit.encode() + b": " + text
            if not self._entries.add(text, int(priority), unit=unit, pid=pid, message_id=message_id):
                self._put([b"<" + priority + b">" + text])


def _harmless(line: bytes) -> bytes:
    """As it may be shown on a terminal: what a worker wrote, a peer of the node's may have chosen."""
    text = _text(line)
    if text.isprintable():
        return line
    return "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in text).encode()


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")
