"""Files that outlive their process: replaced so that a kill leaves the old one or the new one whole, told from others
that take their name; and, of what is kept for the process that is started next, whose it is and how it is read.
"""

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def parent_identity() -> str:
    """This process's parent, told apart from a later process of the same number by when it started (proc(5)), and from
    one of another boot: systemd is process 1 after each, and starts at once."""
    pid = os.getppid()
    try:
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        started = ""
    return f"{boot_identity()}:{pid}:{started}"


def boot_identity() -> str:
    """The boot's id; where a service may not read it (ProcSubset=pid), its unit hands it over as %b."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        text = os.environ.get("BOOT_ID", "")
    return text.strip().replace("-", "")


def read_json(path: Path, longest: int = 1 << 20) -> Any:
    """What a file says that somebody who was broken into may have left: it is never waited for, nor larger than
    ``longest`` bytes.

    Raises:
        ValueError: it is no JSON.
        OSError: it can't be read, or is no regular file of that size.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "It is no regular file", str(path))
        data = file.read(longest + 1)
    if len(data) > longest:
        raise OSError(errno.EFBIG, f"It has more than {longest} bytes", str(path))
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("It is nested too deeply") from error


def write_json(path: Path, value: object) -> None:
    """Write a file in one step: a kill leaves the old one or the new one."""
    with replacing(path.resolve()) as partial, partial.open("w") as file:
        json.dump(value, file, indent=4)
        file.write("\n")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write what is to replace that file, which happens in one step when the context ends. Where it ends with
    an error the file is as it was. Raises OSError."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    try:
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def which_file(path: Path) -> tuple[int, int] | None:
    """What tells the file that has this name from every other, None for none: is it still the one that is open?"""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def sync_directory(directory: Path) -> None:
    """Make the directory's entries survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
