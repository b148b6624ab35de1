"""One call on a plain blocking socket, for the one-shot command line: as few imports as can be.

No handshake: a command needs none. No retry: whether a call may be made again is the caller's to know.
"""

import os
import time
from _socket import AF_UNIX, SOCK_STREAM
from _socket import socket as Socket
from json import dumps, loads
from typing import TYPE_CHECKING, Any

from jsonrpcclient.requests import request
from jsonrpcclient.responses import Ok, to_response

from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcError

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 1 << 20
_LONGEST_PATH = 107


def call(
    path: str,
    method: str,
    params: Any = (),
    *,
    wallet: "str | None" = None,
    timeout: float = 900.0,
    parse_float: "Callable[[str], Any] | None" = None,
) -> Any:
    """Call a command and return its result as plain JSON values.

    ``parse_float`` is given each number with a fraction or exponent as it was written (None: `Decimal`). Params
    are encoded by the standard library's json: no Decimals in them. ``timeout`` in seconds (0: none).

    Raises:
        RpcError: the command refused.
        Disconnected, CallTimeout: no answer came; the outcome is unknown.
        OSError: nobody listens there.
    """
    message = request(method, params)
    if wallet is not None:
        message["wallet"] = wallet
    deadline = time.monotonic() + timeout if timeout else None
    connected = _connect(path, timeout or None)
    try:
        answer = _exchange(connected, dumps(message, separators=(",", ":")).encode() + b"\n", deadline, parse_float)
    except TimeoutError:
        raise CallTimeout(f"{method} was not answered within {timeout:g} s") from None
    except (BrokenPipeError, ConnectionResetError):
        raise Disconnected(f"the connection ended before {method} was answered") from None
    finally:
        connected.close()
    response = to_response(answer)
    if isinstance(response, Ok):
        return response.result
    raise RpcError(response.code, response.message, response.data)


def _connect(path: str, timeout: "float | None") -> Socket:
    connected = Socket(AF_UNIX, SOCK_STREAM)
    try:
        connected.settimeout(timeout)
        if len(os.fsencode(path)) <= _LONGEST_PATH:
            connected.connect(path)
        else:
            directory, name = os.path.split(path)
            descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                connected.connect(f"/proc/self/fd/{descriptor}/{name}")
            finally:
                os.close(descriptor)
    except BaseException:
        connected.close()
        raise
    return connected


def _exchange(
    connected: Socket, line: bytes, deadline: "float | None", parse_float: "Callable[[str], Any] | None"
) -> "dict[str, Any]":
    """Send the request; the response to it. Notifications before it (progress) are passed over."""
    connected.sendall(line)
    if parse_float is None:
        from decimal import Decimal as parse_float
    parts: list[bytes] = []
    while True:
        if deadline is not None:
            connected.settimeout(max(deadline - time.monotonic(), 0.001))
        data = connected.recv(_CHUNK)
        if not data:
            raise Disconnected("the server closed the connection before it answered")
        parts.append(data)
        while b"\n" in data:
            first, _, data = b"".join(parts).partition(b"\n")
            parts = [data]
            message = loads(first, parse_float=parse_float)
            if isinstance(message, dict) and ("result" in message or "error" in message):
                return message
