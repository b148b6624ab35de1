"""The three ways in which a user calls: a JSON-RPC client on the socket, a single command, the shell on a terminal.

Each gives a result, or raises one of three exceptions: refused, unreachable, outcome unknown.
"""

import json
from abc import ABC, abstractmethod
from decimal import Decimal
from typing import Any

from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcError

from .daemon import Daemon, GaveUpError

#: Seconds for one call: more than a unit needs to be found hung, killed and started again.
PATIENCE = 60.0


class RefusedError(Exception):
    """The call was answered with an error and has done nothing."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


class UnreachableError(Exception):
    """Nobody took the call: it has done nothing."""


class UnknownError(Exception):
    """The call was taken and not answered."""


class FrontEnd(ABC):
    """``name`` is what the report calls it."""

    name: str

    @abstractmethod
    def call(self, wallet: str | None, method: str, *params: Any) -> Any:
        """One command, made once. Raises RefusedError, UnreachableError, UnknownError."""

    def close(self) -> None:  # noqa: B027 (most hold nothing)
        """Let go of what it holds."""


class Socket(FrontEnd):
    """The client library, a connection for each call."""

    name = "JSON-RPC"

    def __init__(self, daemon: Daemon, role: str) -> None:
        self._daemon = daemon
        self._role = role

    def call(self, wallet: str | None, method: str, *params: Any) -> Any:
        try:
            return self._daemon.ask(self._role, method, *params, wallet=wallet, timeout=PATIENCE)
        except RpcError as error:
            raise answered(error.code, error.message) from error
        except (Disconnected, CallTimeout) as error:
            raise UnknownError(type(error).__name__) from error
        except OSError as error:
            raise UnreachableError(error.strerror or str(error)) from error


class SingleCommand(FrontEnd):
    """``bitcoin-mp COMMAND``, a process for each call."""

    name = "bitcoin-mp"

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def call(self, wallet: str | None, method: str, *params: Any) -> Any:
        chosen = [f"-rpcwallet={wallet}"] if wallet else []
        try:
            done = self._daemon.run("bitcoin-mp", *chosen, method, *map(str, params))
        except GaveUpError as error:
            raise UnknownError("timed out") from error
        if done.returncode == 0:
            return read_result(done.stdout.strip())
        raise what_was_said(done.stderr)


def read_result(text: str) -> Any:
    """JSON where it is, else the string itself."""
    try:
        return json.loads(text, parse_float=Decimal)
    except json.JSONDecodeError:
        return text


def answered(code: int, message: str) -> Exception:
    """The exception for an error in answer: a refusal, unless it says that it may have been done all the same."""
    return UnknownError(message) if "is unknown" in message else RefusedError(code, message)


def what_was_said(text: str) -> Exception:
    """The exception for what a single command, or the shell, complained."""
    text = text.strip()
    if "error code: " in text:
        code, _, rest = text.partition("error code: ")[2].partition("\n")
        return answered(int(code.strip()), rest.partition("error message:\n")[2].strip())
    if "is unknown" in text or text.startswith("error: timeout"):
        return UnknownError("closed before it answered")
    return UnreachableError(text.removeprefix("error: ").partition("\n")[0])
