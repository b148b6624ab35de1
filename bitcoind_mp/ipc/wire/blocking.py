"""One call with values, on a plain blocking socket: for scripts, checks and benchmarks without a loop.

Not for the one-shot command line, which makes its own JSON to save the imports (``plain.py`` alone). No handshake:
a command needs none. No retry: whether a call may be made again is the caller's to know.
"""

import time
from collections.abc import Callable
from decimal import Decimal
from json import dumps, loads
from typing import Any

from jsonrpcclient.requests import request
from jsonrpcclient.responses import Ok, to_response

from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcError

from .plain import Connection


def call(
    path: str,
    method: str,
    params: Any = (),
    *,
    wallet: str | None = None,
    timeout: float = 900.0,
    parse_float: Callable[[str], Any] = Decimal,
) -> Any:
    """Call a command and return its result as plain JSON values.

    ``parse_float`` is given each number with a fraction or exponent as it was written. Params are encoded by the
    standard library's json: no Decimals in them. ``timeout`` in seconds.

    Raises:
        RpcError: the command refused.
        Disconnected, CallTimeout: no answer came; the outcome is unknown.
        OSError: nobody listens there.
    """
    message = request(method, params)
    if wallet is not None:
        message["wallet"] = wallet
    deadline = time.monotonic() + timeout
    connection = Connection(path, timeout=timeout)
    try:
        connection.send(dumps(message, separators=(",", ":")).encode())
        answer = _answer(connection, deadline, parse_float)
    except TimeoutError:
        raise CallTimeout(f"{method} was not answered within {timeout:g} s") from None
    except ConnectionError as error:
        raise Disconnected(f"{method} was not answered: {error}") from None
    finally:
        connection.close()
    response = to_response(answer)
    if isinstance(response, Ok):
        return response.result
    raise RpcError(response.code, response.message, response.data)


def _answer(connection: Connection, deadline: float, parse_float: Callable[[str], Any]) -> dict[str, Any]:
    """The first response; notifications before it (progress) are passed over."""
    while True:
        line = connection.receive(max(deadline - time.monotonic(), 0.001))
        message = loads(line, parse_float=parse_float)
        if isinstance(message, dict) and ("result" in message or "error" in message):
            return message
