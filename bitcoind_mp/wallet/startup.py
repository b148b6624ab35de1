"""Which wallets are loaded when the process starts.

Two lists. Core's ``settings.json`` (key ``wallet``) holds what people marked ``load_on_startup``; it lasts. The other
holds what was loaded when the process last ran, for a restart by the same parent: a wallet process that was killed
and started again by its supervisor has the wallets that its callers were using.
"""

import json
import os
from pathlib import Path
from typing import Any

#: The key of Core's dynamic settings.
_KEY = "wallet"


class StartupList:
    """The names in Core's ``settings.json``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> list[str]:
        """Those to load. Raises ValueError where the file is no JSON object, OSError."""
        found = self._read().get(_KEY, [])
        return [name for name in (found if isinstance(found, list) else [found]) if isinstance(name, str)]

    def change(self, name: str, load: bool) -> None:
        """Add or remove a name. Raises ValueError, OSError."""
        settings = self._read()
        names = [other for other in self.names() if other != name]
        settings[_KEY] = [*names, name] if load else names
        write_json(self._path, settings)

    def _read(self) -> dict[str, Any]:
        try:
            settings = json.loads(self._path.read_text())
        except FileNotFoundError:
            return {}
        if not isinstance(settings, dict):
            raise ValueError(f"{self._path} is not a JSON object")
        return settings


class SessionList:
    """What is loaded now, remembered for a restart by the same parent."""

    def __init__(self, path: Path, parent: str) -> None:
        self._path = path
        self._parent = parent

    def names(self) -> list[str]:
        """What a predecessor under the same parent had loaded."""
        try:
            found = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return []
        if not isinstance(found, dict) or found.get("parent") != self._parent:
            return []
        return [name for name in found.get("wallets", []) if isinstance(name, str)]

    def remember(self, names: list[str]) -> None:
        """These are loaded now. Raises OSError."""
        write_json(self._path, {"parent": self._parent, "wallets": names})


def parent_identity() -> str:
    """This process's parent, told apart from a later process of the same number by when it started (proc(5)), and from
    one of another boot: systemd is process 1 after each, and starts at once."""
    pid = os.getppid()
    try:
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        started = ""
    return f"{_boot()}:{pid}:{started}"


def _boot() -> str:
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
