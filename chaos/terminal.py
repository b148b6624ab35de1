"""The shell, on a pseudo-terminal: keys in, and what comes out of its screen back as a result or an error."""

import os
import pty
import re
import select
import signal
import termios
import time
from typing import Any

from .daemon import Daemon
from .frontends import PATIENCE, FrontEnd, UnknownError, UnreachableError, answered

_CONTROL = re.compile(rb"\x1b\[[?>]?[\d;]*[A-Za-z]|\x1b\][^\x07]*\x07|\x1b[=>78]|\x1b\(B|[\r\x07]")
_WHERE_IS_THE_CURSOR = b"\x1b[6n"
#: Where it asks whether to start a supervisor of its own.
_NOTHING_RUNS = "[Y/n]"
_PROMPT = re.compile(r"regtest( \w+)?>")
_TXID = re.compile(r"([0-9a-f]{64})\n")
_ERROR = re.compile(r"error code: (-?\d+)\s*error message:\s*([^\n]+)\n")
#: What the shell says of a call that was lost (``cli/interactive/``), of one that nobody took, and of an odd answer.
_UNKNOWN = "is unknown"
_LOST = "error: the connection ended"
_NOBODY = re.compile(
    r"^\s*((?:error: .*)|(?:Could not connect.*)|(?:.*nobody listens.*)|(?:.* is not known to .*))\n", re.M
)


def what_is_seen(seen: str) -> str | Exception | None:
    """The txid, or the exception for what the shell complained; None while neither can be told. A terminal breaks
    lines, and what is written may have come in part."""
    if found := _TXID.search(seen):
        return found[1]
    if refused := _ERROR.search(seen):
        return answered(int(refused[1]), refused[2].strip())
    flat = " ".join(seen.split())
    if _UNKNOWN in flat or _LOST in flat:
        return UnknownError("closed before it answered")
    if nobody := _NOBODY.search(seen):
        return UnreachableError(nobody[1].strip())
    return None


class Shell(FrontEnd):
    """One shell, opened anew when it has ended or doesn't answer."""

    name = "shell"

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._pid = 0
        self._fd = -1

    def call(self, wallet: str | None, method: str, *params: Any) -> str:
        """A command whose result is a txid."""
        if not self._pid:
            self._open(wallet)
        try:
            os.write(self._fd, " ".join([method, *map(str, params)]).encode() + b"\r")
            return self._result()
        except OSError as error:
            self.close()
            raise UnknownError("the shell ended") from error

    def close(self) -> None:
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            os.close(self._fd)
            self._pid, self._fd = 0, -1

    def _open(self, wallet: str | None) -> None:
        command = self._daemon.command("bitcoin-mp", *([f"-rpcwallet={wallet}"] if wallet else []))
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            termios.tcsetwinsize(0, (50, 1000))  # so wide that it breaks no message
            os.execve(command[0], command, {**self._daemon.environment, "TERM": "xterm", "LANG": "C.UTF-8"})
        end = time.monotonic() + PATIENCE
        seen = ""
        while not _PROMPT.search(seen):
            if time.monotonic() > end:
                self.close()
                raise UnreachableError("the shell shows no prompt")
            try:
                seen += self._read(0.2)
            except OSError as error:
                self.close()
                raise UnreachableError("the shell ended at its start") from error
            if _NOTHING_RUNS in seen:
                self.close()
                raise UnreachableError("the shell offers to start a private supervisor")

    def _result(self) -> str:
        end = time.monotonic() + PATIENCE
        seen = ""
        while time.monotonic() < end:
            seen += self._read(0.2)
            found = what_is_seen(seen)
            if isinstance(found, Exception):
                raise found
            if found is not None:
                return found
        self.close()
        raise UnknownError("timed out")

    def _read(self, seconds: float) -> str:
        """What is written within that time, its control sequences gone; questions about the cursor are answered."""
        if not select.select([self._fd], [], [], seconds)[0]:
            return ""
        data = os.read(self._fd, 65536)
        if _WHERE_IS_THE_CURSOR in data:
            os.write(self._fd, b"\x1b[1;1R")
        return _CONTROL.sub(b"", data).decode("utf-8", "replace")
