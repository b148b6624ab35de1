"""The table of commands that a server writes beside its socket, read by the front end and the supervisor.

JSON: ``{"role", "chain", "version", "pid", "commands": [{"name", "topic", "summary", "usage", "changes", "hidden",
"options", "params": [{"name", "type", "required", "aliases", "secret"}]}]}``; ``type`` is a JSON type's name
(string, number, boolean, array, object), several joined by "|", or "any". In front-end terms: a parameter whose types include no "string" is
parsed as JSON from the command line.
"""

from typing import Any


def write(path: str, manifest: dict[str, Any]) -> None:
    """Write it in one step (a reader sees the old one or the new one)."""
    raise NotImplementedError


def read(path: str) -> dict[str, Any] | None:
    """The manifest, or None where there is none that can be read."""
    raise NotImplementedError
