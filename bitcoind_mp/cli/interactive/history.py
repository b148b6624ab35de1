"""The lines that are remembered: in a file over sessions, but never one with a secret in it.

A line whose command nobody has is remembered for this session only: it may be a passphrase after a slip of the keys.
"""

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from prompt_toolkit.history import History

from bitcoind_mp.cli.arguments import Command

from .line import BadLine, commands, inner, parse
from .secrets import is_secret

#: Lines that the file keeps.
MOST = 5000
_ESCAPE = re.compile(r"\\(.)")


def history_file(chain: str, environ: "dict[str, str]") -> Path:
    """One file a network, below the user's state directory (XDG Base Directory Specification)."""
    state = environ.get("XDG_STATE_HOME") or os.path.join(
        environ.get("HOME") or os.path.expanduser("~"), ".local/state"
    )
    return Path(state) / "bitcoind-mp" / f"history-{chain}"


class SafeHistory(History):
    """prompt_toolkit's history over a file of one line each (line breaks inside as ``\\n``). ``command`` tells what a
    name is described as, ``own`` the names of the shell's own commands."""

    def __init__(self, file: Path, command: Callable[[str], Command | None], own: Iterable[str]) -> None:
        super().__init__()
        self._file = file
        self._command = command
        self._own = frozenset(own)

    def load_history_strings(self) -> Iterable[str]:
        """Newest first."""
        try:
            lines = self._file.read_text("utf-8").removesuffix("\n").split("\n")
        except (OSError, UnicodeDecodeError):
            return []
        if len(lines) > 2 * MOST:
            lines = lines[-MOST:]
            self._rewrite(lines)
        return [_ESCAPE.sub(lambda found: "\n" if found[1] == "n" else found[1], line) for line in reversed(lines)]

    def append_string(self, string: str) -> None:
        """Remember each command of it, unless it holds a secret."""
        for command in _each(string):
            if not is_secret(command, self._described(command)):
                super().append_string(command)

    def store_string(self, string: str) -> None:
        if not self._is_known(string):
            return
        line = string.replace("\\", "\\\\").replace("\n", "\\n")
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as stream:
                stream.write(line + "\n")
        except OSError:  # a full disk, too: it is remembered for this session
            return

    def _rewrite(self, lines: list[str]) -> None:
        unfinished = self._file.with_suffix(".new")
        try:
            unfinished.touch(mode=0o600)
            unfinished.write_text("\n".join(lines) + "\n", "utf-8")
            unfinished.replace(self._file)
        except OSError:
            return

    def _name(self, string: str) -> str:
        try:
            return inner(parse(string)).command
        except BadLine:
            return ""

    def _described(self, string: str) -> Command | None:
        return self._command(self._name(string))

    def _is_known(self, string: str) -> bool:
        name = self._name(string)
        return name in self._own or self._command(name) is not None


def _each(string: str) -> list[str]:
    try:
        return commands(string)
    except BadLine:
        return [string]
