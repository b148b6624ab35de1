"""Which wallets are loaded when the process starts.

Two lists. Core's ``settings.json`` (key ``wallet``) holds what people marked ``load_on_startup``; it lasts. The other
holds what was loaded when the process last ran, for a restart by the same parent: a wallet process that was killed
and started again by its supervisor has the wallets that its callers were using.

Both are read once the process is confined, and by it alone: who breaks into it can write there what he likes, and has
no more of it than wallets to load where it reaches them.
"""

import logging
from pathlib import Path
from typing import Any

from bitcoind_mp.config.state import read_json, write_json

log = logging.getLogger("bitcoind_mp")

#: The key of Core's dynamic settings.
_KEY = "wallet"


class StartupList:
    """The names in Core's ``settings.json``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problem = ""
        """Why `marked` found none, in words; empty where it could be read."""

    def names(self) -> list[str]:
        """Those to load. Raises ValueError where the file is no JSON object, OSError."""
        found = self._read().get(_KEY, [])
        return [name for name in (found if isinstance(found, list) else [found]) if isinstance(name, str)]

    def marked(self) -> list[str]:
        """The same at the start, which a file that can't be read doesn't stop: then none, and `problem` says why."""
        self.problem = ""
        try:
            return self.names()
        except (OSError, ValueError) as error:
            why = (error.strerror if isinstance(error, OSError) else "") or str(error)
            self.problem = f"The list of wallets to load at the start, {self._path}, can't be read: {why}"
            log.error("%s. Mend or remove it.", self.problem)
            return []

    def change(self, name: str, load: bool) -> None:
        """Add or remove a name. Raises ValueError, OSError."""
        settings = self._read()
        names = [other for other in self.names() if other != name]
        settings[_KEY] = [*names, name] if load else names
        write_json(self._path, settings)

    def _read(self) -> dict[str, Any]:
        try:
            settings = read_json(self._path)
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
            found = read_json(self._path)
        except (OSError, ValueError):
            return []
        if not isinstance(found, dict) or found.get("parent") != self._parent:
            return []
        wallets = found.get("wallets")
        return [name for name in wallets if isinstance(name, str)] if isinstance(wallets, list) else []

    def remember(self, names: list[str]) -> None:
        """These are loaded now. Raises OSError."""
        write_json(self._path, {"parent": self._parent, "wallets": names})
