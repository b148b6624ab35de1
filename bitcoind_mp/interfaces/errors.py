"""Error codes and the exceptions that cross a process boundary, and the exit statuses of our processes.

What belongs here: numbers and exception types that more than one package must agree on.
What doesn't: turning an exception into a JSON-RPC reply (``ipc/serve/dispatch.py``) or into a line on a
terminal (``cli/format.py``).
"""

import errno
from enum import IntEnum
from typing import Any

from .obstacle import Obstacle

#: The message, with CLIENT_NOT_CONNECTED, of a call that a server's end cancelled before it took effect: asked again of
#: the server's next process, it loses and doubles nothing.
SHUTTING_DOWN = "Shutting down"


class RpcCode(IntEnum):
    """Bitcoin Core's RPC error codes (``src/rpc/protocol.h``) and JSON-RPC 2.0's own."""

    PARSE_ERROR = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL_ERROR = -32603

    MISC_ERROR = -1
    TYPE_ERROR = -3
    WALLET_ERROR = -4
    INVALID_ADDRESS_OR_KEY = -5
    WALLET_INSUFFICIENT_FUNDS = -6
    OUT_OF_MEMORY = -7
    INVALID_PARAMETER = -8
    CLIENT_NOT_CONNECTED = -9
    CLIENT_IN_INITIAL_DOWNLOAD = -10
    WALLET_INVALID_LABEL_NAME = -11
    WALLET_KEYPOOL_RAN_OUT = -12
    WALLET_UNLOCK_NEEDED = -13
    WALLET_PASSPHRASE_INCORRECT = -14
    WALLET_WRONG_ENC_STATE = -15
    WALLET_ENCRYPTION_FAILED = -16
    WALLET_ALREADY_UNLOCKED = -17
    WALLET_NOT_FOUND = -18
    WALLET_NOT_SPECIFIED = -19
    DATABASE_ERROR = -20
    DESERIALIZATION_ERROR = -22
    CLIENT_NODE_ALREADY_ADDED = -23
    CLIENT_NODE_NOT_ADDED = -24
    VERIFY_ERROR = -25
    VERIFY_REJECTED = -26
    VERIFY_ALREADY_IN_UTXO_SET = -27
    IN_WARMUP = -28
    CLIENT_NODE_NOT_CONNECTED = -29
    CLIENT_INVALID_IP_OR_SUBNET = -30
    CLIENT_P2P_DISABLED = -31
    METHOD_DEPRECATED = -32
    CLIENT_MEMPOOL_DISABLED = -33
    CLIENT_NODE_CAPACITY_REACHED = -34
    WALLET_ALREADY_LOADED = -35
    WALLET_ALREADY_EXISTS = -36


class ExitStatus(IntEnum):
    """Exit statuses of our daemons, from sysexits(3) where one fits. They tell the supervisor (or systemd) what may
    help: ``failures.py`` has the table."""

    OK = 0
    FAILURE = 1
    USAGE = 64
    DATA_CORRUPT = 65
    PORT_TAKEN = 69
    SOFTWARE = 70
    OS_ERROR = 71
    DISK_FULL = 74
    LOCKED = 75
    CONFIG = 78
    OUT_OF_MEMORY = 150


def status_of_os_error(error: OSError) -> ExitStatus:
    """DISK_FULL where it is room that is missing, else OS_ERROR."""
    return ExitStatus.DISK_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else ExitStatus.OS_ERROR


class RpcError(Exception):
    """A call was refused: what a handler raises and what a caller of another process catches.

    ``code`` is one of `RpcCode`, ``message`` is one a person can act on and carries no secret, and
    ``data`` is JSON or None.
    """

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = int(code)
        self.message = message
        self.data = data


class Disconnected(ConnectionError):
    """The connection ended before the answer came. The outcome of the call is unknown."""


class CallTimeout(TimeoutError):
    """The call's deadline passed before the answer came. The outcome of the call is unknown."""


class FatalError(Exception):
    """The process can't go on. ``__main__`` prints the message as one line and exits with ``status``; ``obstacle`` is
    what must be gone before another start can do better, None where that isn't known."""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        status: ExitStatus = ExitStatus.FAILURE,
        obstacle: Obstacle | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.status = status
        self.obstacle = obstacle

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()
