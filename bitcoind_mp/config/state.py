"""What a process keeps for the one that is started in its place: how it is written, and who may have it."""

import json
import os
from pathlib import Path


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
