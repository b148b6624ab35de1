"""The audit log: one JSON line for each use of a key, appended and on disk before the key is used.

Each line carries a hash over itself and the line before; the store keeps how far the log has come. So a line that was
changed shows, and so does a log that was cut. What doesn't belong: what is recorded (``vault.py``).
"""

import json
import os
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Head:
    """How far a log has come: how many lines, and the last one's hash."""

    count: int = 0
    chain: str = ""


class AuditDamaged(Exception):
    """The log isn't what was written; the message says what is wrong, for people."""


class AuditLog:
    """An open log. `append` raises OSError where it can't be written, `AuditDamaged` where it isn't as it was left;
    nothing was appended then."""

    def __init__(self, path: Path, known: Head) -> None:
        """Open it, made if absent, and check it. ``known``: how far it had come at the least.

        Raises `AuditDamaged`, OSError."""
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self.head = self._check(known)
            self._size = os.fstat(self._file).st_size
        except BaseException:
            os.close(self._file)
            raise

    def append(self, event: str, **facts: Any) -> Head:
        """Add a line; it is on disk when this returns."""
        line = {"n": self.head.count + 1, "time": _utc(), "event": event, **facts}
        chain = _chained(self.head.chain, line)
        text = (json.dumps({**line, "chain": chain}) + "\n").encode()
        self._look()
        try:
            if os.write(self._file, text) != len(text):
                raise OSError(28, "No space left on device")
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(text)
        self.head = Head(self.head.count + 1, chain)
        return self.head

    def damage(self) -> str:
        """Why nothing can go on record, empty where something can."""
        try:
            self._look()
        except (AuditDamaged, OSError) as error:
            return str(error)
        return ""

    def _look(self) -> None:
        """Whether the file is still there under its name, and as long as it was: nothing may go on record where nobody
        would look for it (a rotation), nor after a cut."""
        ours = os.fstat(self._file)
        try:
            named = self._path.stat()
        except FileNotFoundError:
            raise AuditDamaged(f"{self._path} was moved away or removed: put it back") from None
        if (named.st_dev, named.st_ino) != (ours.st_dev, ours.st_ino):
            raise AuditDamaged(f"{self._path} is another file than it was: put the one before back")
        if ours.st_size != self._size:
            raise AuditDamaged(f"{self._path} was changed by somebody else, and is not written any more")

    def close(self) -> None:
        """Close it."""
        os.close(self._file)

    def _check(self, known: Head) -> Head:
        head, good, at_known = Head(), 0, known.count == 0
        with self._path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):  # cut short by a kill: nobody was told of it
                    break
                head = self._follow(head, line)
                good += len(line)
                at_known = at_known or head == known
        if not at_known:
            raise AuditDamaged(
                f"{self._path} was cut or written anew: it has {head.count} lines, and {known.count} were written."
            )
        if good != os.fstat(self._file).st_size:
            os.ftruncate(self._file, good)
            os.fsync(self._file)
        return head

    def _follow(self, head: Head, line: bytes) -> Head:
        number = head.count + 1
        try:
            read = json.loads(line)
            chain = read.pop("chain")
        except (ValueError, KeyError, AttributeError, TypeError):
            raise AuditDamaged(f"{self._path}: line {number} is no line of an audit log.") from None
        if chain != _chained(head.chain, read):
            raise AuditDamaged(f"{self._path}: line {number}, or the one before it, was changed.")
        return Head(number, chain)


def _chained(previous: str, line: dict[str, Any]) -> str:
    return sha256((previous + json.dumps(line, sort_keys=True)).encode()).hexdigest()


def _utc() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
