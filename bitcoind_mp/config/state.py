"""What a process keeps for the one that is started in its place: how it is written and read, and who may have it."""

import errno
import json
import os
import stat
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
    path = path.resolve()
    partial = path.with_name(path.name + ".partial")
    with partial.open("w") as file:
        json.dump(value, file, indent=4)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
