"""The calling half of JSON-RPC 2.0: ids, calls that wait, answers matched to them. jsonrpcclient builds and parses.

No socket and no clock: the session writes what is built here and hands in what came.
"""

import asyncio
from typing import Any

from jsonrpcclient.id_generators import decimal
from jsonrpcclient.requests import notification_pure, request_impure
from jsonrpcclient.responses import Ok, to_response

from bitcoind_mp.interfaces.errors import RpcError

from .encoding import encode

Params = list[Any] | tuple[Any, ...] | dict[str, Any]


class NotAResponse(ValueError):
    """The message is no JSON-RPC response."""


class Calls:
    """The calls of one session that wait for their answers."""

    def __init__(self) -> None:
        self._ids = decimal()
        self._waiting: dict[Any, asyncio.Future[Any]] = {}

    def open(
        self, method: str, params: Params, wallet: str | None, target: int, future: "asyncio.Future[Any]"
    ) -> tuple[int, bytes]:
        """The id and the line of a new call, which ``future`` waits for. Raises one of `encoding.NO_JSON`."""
        message = request_impure(self._ids, method, params)  # type: ignore[arg-type]
        if wallet is not None:
            message["wallet"] = wallet
        if target:
            message["object"] = target
        line = encode(message) + b"\n"
        identity: int = message["id"]
        self._waiting[identity] = future
        return identity, line

    def close(self, identity: Any) -> "asyncio.Future[Any] | None":
        """Wait for that one no longer; its future if it did wait."""
        return self._waiting.pop(identity, None)

    def answered(self, message: dict[str, Any]) -> Any:
        """Settle the call that a response is for. Returns its id; None where nobody waits for it.

        Raises:
            NotAResponse: the message's members are not a response's.
        """
        try:
            response = to_response(message)
            future = self._waiting.pop(response.id, None)
        except (KeyError, TypeError, AttributeError) as error:
            raise NotAResponse(str(error)) from None
        if future is None or future.done():
            return None
        if isinstance(response, Ok):
            future.set_result(response.result)
        elif type(response.code) is int and type(response.message) is str:
            future.set_exception(RpcError(response.code, response.message, response.data))
        else:
            raise NotAResponse("an error has a number and a text")
        return response.id

    def fail(self, error: Exception) -> None:
        """Settle every call that waits with ``error``."""
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(error)

    def __len__(self) -> int:
        return len(self._waiting)


def notification_line(method: str, params: Params, target: int = 0) -> bytes:
    """The line of a notification."""
    message = notification_pure(method, params)  # type: ignore[arg-type]
    if target:
        message["object"] = target
    return encode(message) + b"\n"


def error_line(code: int, message: str) -> bytes:
    """The line of an error that answers no request in particular."""
    return encode({"jsonrpc": "2.0", "error": {"code": int(code), "message": message}, "id": None}) + b"\n"
