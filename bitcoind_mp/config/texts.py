"""What the configuration files say, word for word: read from disk, or handed over by a supervisor.

A supervisor starts its workers again at any time, and by then the files may have been edited: half-way, or into what it
has refused. So it hands each worker the texts that it goes by itself, in a file without a path that LISTEN_FDNAMES
names (sd_listen_fds(3)). A worker that was handed none reads the files. What a text means is ``grammar.py``'s.
"""

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: sd_listen_fds(3): the first descriptor that is handed down.
_FIRST_FD = 3


class Texts:
    """The files' texts. ``handed``: those that somebody handed over; no file is then looked at. Each text goes by the
    name that the configuration has for its file, ``includeconf``'s as it was written."""

    def __init__(self, handed: "dict[str, str] | None" = None) -> None:
        self._handed = handed
        self.by_name: dict[str, str] = {}
        self._stamps: dict[str, tuple[int, ...] | None] = {}

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        if self._handed is not None:
            return path in self._handed
        self._stamps[path] = _stamp(path)
        return os.path.exists(path)

    def _note(self, path: str, found: os.stat_result) -> None:
        """A pipe and a device can't be read twice, or say the same for ever: whether they changed means nothing."""
        if stat.S_ISREG(found.st_mode):
            self._stamps[path] = _fields(found)
        else:
            self._stamps.pop(path, None)

    def read(self, name: str, path: str) -> str:
        """What the file at ``path`` says. Raises OSError, UnicodeDecodeError."""
        if self._handed is None:
            with open(path, encoding="utf-8") as stream:
                self._note(path, os.fstat(stream.fileno()))
                self.by_name[name] = stream.read()
        elif name in self._handed:
            self.by_name[name] = self._handed[name]
        else:
            raise FileNotFoundError(errno.ENOENT, "it was not handed over", path)
        return self.by_name[name]

    def is_current(self) -> bool:
        """Whether the files are as they were when they were read; one stat(2) each."""
        return all(_stamp(path) == stamp for path, stamp in self._stamps.items())

    def to_hand_over(self) -> str:
        """As `handed_over` reads it."""
        import json

        return json.dumps(self.by_name)


def handed_over(environ: "Mapping[str, str]") -> "dict[str, str] | None":
    """The texts that whoever started this process gave it, None where nobody did.

    Others may have the same open file: it is read without moving on in it, and is not closed here.

    Raises OSError, ValueError.
    """
    import json

    from bitcoind_mp.interfaces.channels import CONFIGURATION

    names = environ.get("LISTEN_FDNAMES", "").split(":")
    if CONFIGURATION not in names or environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    descriptor = _FIRST_FD + names.index(CONFIGURATION)
    texts = json.loads(os.pread(descriptor, os.fstat(descriptor).st_size, 0))
    if not isinstance(texts, dict):
        raise ValueError("these are no files by name")
    return {str(name): str(text) for name, text in texts.items()}


def _stamp(path: str) -> "tuple[int, ...] | None":
    """What changes whenever the file does, or who may read it; None for one that isn't there."""
    try:
        return _fields(os.stat(path))
    except OSError:
        return None


def _fields(found: os.stat_result) -> "tuple[int, ...]":
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
