"""A log file that is started anew at a size, and that outlives a full disk.

Bytes to a file belong here; where they come from, and who else is told, is ``logs.py``.
"""

import os
from pathlib import Path


class LogFile:
    """Appends whole lines to ``path``; at ``max_size`` bytes it becomes ``path.1``, and so on up to ``backups``.

    Nothing here raises for what the disk does: a line that could not be written is counted in ``lost``, the reason
    is in ``error`` until writing works again, and the file then says how many lines it lacks.
    """

    def __init__(self, path: Path, *, max_size: int, backups: int) -> None:
        self.path = path
        self.max_size = max_size
        self.backups = backups
        self.lost = 0
        self.error = ""
        self._missing = 0
        self._torn = False
        self._fd = -1
        self._size = 0
        self.reopen()

    def reopen(self) -> None:
        """Open ``path`` anew: after something else moved the file away, or the directory came back."""
        self.close()
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._size = os.fstat(self._fd).st_size
        except OSError as error:
            self.error = f"{self.path}: {error.strerror}"

    def close(self) -> None:
        """Nothing is written before the next `reopen`."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def write(self, data: bytes, lines: int) -> None:
        """Append ``data``, which is ``lines`` whole lines."""
        if self._fd < 0:
            self.reopen()
        if self._size > 0 and self._size + len(data) > self.max_size:
            self._rotate()
        try:
            if self._fd >= 0:
                self._append(self._notice() + data)
        except OSError as error:
            self.error = f"{self.path}: {error.strerror}"
        else:
            if self._fd >= 0:
                self.error, self._missing = "", 0
                return
        self.lost += lines
        self._missing += lines

    def _notice(self) -> bytes:
        if not self._missing:
            return b""
        return (b"\n" if self._torn else b"") + f"[{self._missing} lines lost: {self.error}]\n".encode()

    def _append(self, data: bytes) -> None:
        """All of it, or OSError; ``_torn`` says that the file ends within a line."""
        view = memoryview(data)
        while view:
            written = os.write(self._fd, view)
            self._size += written
            view = view[written:]
            self._torn = bool(view)

    def _rotate(self) -> None:
        """Where a rename fails the file simply goes on growing; the next write tries again."""
        try:
            for number in range(self.backups, 0, -1):
                older = self._numbered(number - 1)
                if older.exists():
                    older.replace(self._numbered(number))
            if not self.backups:
                self.path.unlink(missing_ok=True)
        except OSError as error:
            self.error = f"{self.path}: {error.strerror}"
            return
        self.reopen()

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}") if number else self.path
