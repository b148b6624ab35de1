"""Where log lines go and how they look.

Loggers are named ``bitcoind_mp.<category>`` (`logging.getLogger("bitcoind_mp.ipc")`). The category is what ``-debug=``
names and what stands in brackets, as in Bitcoin Core's ``debug.log``: ``2026-11-23T14:35:38Z [ipc] message``; a
warning's and an error's level too: ``[ipc:warning]``.

Under the journal a record is one entry with fields (``journal.py``) and no time, which the journal adds. Where
JOURNAL_STREAM is a pipe, whoever reads it writes the entry: each line has a ``<N>`` priority (sd-daemon(3)) in front,
and that of an event its id too, ``<N:MESSAGE_ID>``.
"""

import contextlib
import logging
import os
import stat
import sys
import time
from collections.abc import Iterable, Mapping
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bitcoind_mp.interfaces.journal import cause_of, event_of

from .journal import Entries, JournalSocket
from .stderr import Stderr

if TYPE_CHECKING:
    import asyncio

ROOT = "bitcoind_mp"
#: The journal's and syslog's numbers.
_PRIORITIES = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}
#: What ``-debug=`` may name: Core's (``src/logging.cpp``), so that its configuration files are understood, and ours.
CATEGORIES = (
    "addrman",
    "bench",
    "blockstorage",
    "chain",
    "cmpctblock",
    "coindb",
    "estimatefee",
    "health",
    "http",
    "i2p",
    "ipc",
    "kernel",
    "leveldb",
    "libevent",
    "mempool",
    "mempoolrej",
    "net",
    "privatebroadcast",
    "proxy",
    "prune",
    "qt",
    "rand",
    "reindex",
    "rpc",
    "scan",
    "selectcoins",
    "supervisor",
    "tor",
    "txpackages",
    "txreconciliation",
    "validation",
    "wallet",
    "walletdb",
    "zmq",
)
EVERYTHING = ("", "1", "all")
NOTHING = ("0", "none")


class LineFormatter(logging.Formatter):
    """Core's layout. A traceback, or a message of several lines, keeps its newlines, so that it can be read."""

    def __init__(self, *, with_time: bool = True, own: str = "") -> None:
        """``own``: the category that need not be named; of a unit "wallet@NAME" that is "wallet"."""
        super().__init__()
        self._with_time = with_time
        self._own = own.partition("@")[0]

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        if record.stack_info:
            text = f"{text}\n{record.stack_info}"
        line = f"{_prefix(record, self._own)}{text}"
        if not self._with_time:
            return line
        return f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(record.created))} {line}"


class PipeFormatter(LineFormatter):
    """Each line with its priority, for a pipe to somebody who writes to the journal; with the event's id for our
    supervisor, which tells it on, and without (``ids``) for the journal itself, which would print it."""

    def __init__(self, *, ids: bool = True, prefix: str = "", own: str = "") -> None:
        super().__init__(with_time=False, own=own)
        self._ids = ids
        self._prefix = prefix

    def format(self, record: logging.LogRecord) -> str:
        priority = priority_of(record)
        first, *more = super().format(record).splitlines() or [""]
        message_id = event_of(record)[0] if self._ids else ""
        head = f"<{priority}:{message_id}>" if message_id else f"<{priority}>"
        return "\n".join((f"{head}{self._prefix}{first}", *(f"<{priority}>{self._prefix}{line}" for line in more)))


class Journal(Protocol):
    """Takes entries (``journal.py``)."""

    def add(
        self, message: str | bytes, priority: int, *, unit: str, pid: int | None, message_id: str, cause: str = ""
    ) -> bool: ...


class JournalHandler(logging.Handler):
    """Each record as one entry of the journal about ``unit``; what the journal doesn't take goes to standard error,
    which is the journal's too, with ``prefix`` in front."""

    def __init__(self, entries: Journal, unit: str, prefix: str = "") -> None:
        super().__init__()
        self.setFormatter(LineFormatter(with_time=False, own=unit))
        self._entries = entries
        self._unit = unit
        self._fallback = Stderr(PipeFormatter(ids=False, prefix=prefix))

    def emit(self, record: logging.LogRecord) -> None:
        message_id, unit, pid = event_of(record)
        pid = pid if unit else os.getpid()
        text, priority = self.format(record), priority_of(record)
        about = {"unit": unit or self._unit, "message_id": message_id, "cause": cause_of(record)}
        if not self._entries.add(text, priority, pid=pid, **about):
            self._fallback.handle(record)

    def drain_in(self, loop: "asyncio.AbstractEventLoop") -> None:
        """As `Stderr.drain_in`."""
        self._fallback.drain_in(loop)

    def close(self) -> None:
        self._fallback.close()
        super().close()


class LogFile(WatchedFileHandler):
    """A log file that may be moved away at any time. A line that can't be written (the disk is full) is lost: logging
    must not hurt what is logged."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


def priority_of(record: logging.LogRecord) -> int:
    """The journal's and syslog's number for its level."""
    return _PRIORITIES.get(record.levelno, 6)


def _prefix(record: logging.LogRecord, own: str) -> str:
    category = record.name.removeprefix(ROOT).lstrip(".").partition(".")[0]
    category = "" if category == own else category
    if record.levelno > logging.INFO:
        level = record.levelname.lower()
        return f"[{category}:{level}] " if category else f"[{level}] "
    return f"[{category}] " if category else ""


def setup(
    *,
    file: Path | None = None,
    console: bool = True,
    unit: str = "",
    debug: Iterable[str] = (),
    exclude: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
    heir: Path | None = None,
) -> None:
    """Log to stderr (``console``) and ``file``; with neither, nowhere.

    ``debug``: categories to log at debug level; "1" or "all" for every one, "0" or "none" takes back what came
    before. ``exclude``: categories not to (-debugexclude), whatever ``debug`` says.
    With JOURNAL_STREAM in ``environ`` that is our stderr, lines there are the journal's, about ``unit``. Otherwise
    those for a stderr that nobody reads any more go to ``heir``, in a directory that exists.

    Raises:
        ValueError: ``debug`` or ``exclude`` names no category of ours.
        OSError: the file can't be opened.
    """
    debug, exclude = list(debug), list(exclude)
    require_categories(debug, exclude)
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    if file is not None:
        handler = LogFile(file, encoding="utf-8", errors="backslashreplace")
        handler.setFormatter(LineFormatter())
        root.addHandler(handler)
    if console:
        root.addHandler(_console(unit, stderr_is_journal(environ or {}), heir))
    if not root.handlers:
        root.addHandler(logging.NullHandler())  # else Python writes warnings to stderr all the same
    root.setLevel(logging.WARNING)
    logging.getLogger(ROOT).setLevel(logging.INFO)
    for name in CATEGORIES:
        set_category(name, False)
    for name in debug:
        _switch(name)
    for name in exclude:
        set_category(name, False)


def require_categories(debug: Iterable[str], exclude: Iterable[str]) -> None:
    """Raises ValueError: they aren't what `setup` takes."""
    for option, names, also in (("debug", debug, (*EVERYTHING, *NOTHING)), ("debugexclude", exclude, ())):
        for name in names:
            if name not in CATEGORIES and name not in also:
                raise ValueError(f"Unsupported logging category -{option}={name}")


def _console(unit: str, journal: bool, heir: Path | None) -> logging.Handler:
    if journal and not stat.S_ISFIFO(os.fstat(sys.stderr.fileno()).st_mode):
        program = f"bitcoin-mp-{unit.partition('@')[0]}"
        return JournalHandler(Entries(program, JournalSocket()), unit)
    return Stderr(PipeFormatter(own=unit)) if journal else Stderr(LineFormatter(), heir)


def drain_in(loop: "asyncio.AbstractEventLoop") -> None:
    """Have that loop, which runs, write what standard error doesn't take at once."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, Stderr | JournalHandler):
            handler.drain_in(loop)


def _switch(name: str) -> None:
    if name in EVERYTHING or name in NOTHING:
        for category in CATEGORIES:
            set_category(category, name in EVERYTHING)
    else:
        set_category(name, True)


def stderr_is_journal(environ: Mapping[str, str]) -> bool:
    """Whether stderr is the stream that JOURNAL_STREAM names by device and inode (systemd.exec(5))."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return environ.get("JOURNAL_STREAM", "") == f"{status.st_dev}:{status.st_ino}"


def set_category(name: str, on: bool) -> None:
    """Switch one category's debug lines on or off (the `logging` command). Raises KeyError for an unknown one."""
    if name not in CATEGORIES:
        raise KeyError(name)
    logging.getLogger(f"{ROOT}.{name}").setLevel(logging.DEBUG if on else logging.NOTSET)


def categories() -> dict[str, bool]:
    """Each category and whether its debug lines are logged, by name."""
    return {name: logging.getLogger(f"{ROOT}.{name}").isEnabledFor(logging.DEBUG) for name in CATEGORIES}
