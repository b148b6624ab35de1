"""One flock on a file of a directory says who owns it; the file holds the owner's pid."""

from pathlib import Path


class DirectoryLock:
    """Held until `release` or the process's end."""

    def release(self) -> None:
        raise NotImplementedError


def acquire(path: Path, *, program: str = "", wait: float = 0.0) -> DirectoryLock:
    """Lock ``path`` (made if absent), trying for ``wait`` seconds. Raises FatalError, TRY_AGAIN, naming the pid that holds it."""
    raise NotImplementedError
