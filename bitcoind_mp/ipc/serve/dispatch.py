"""Requests to replies: jsonrpcserver looks the method up, binds its arguments, calls it and makes the response.

Around it, what its own front (``dispatch_to_response_pure``) does otherwise than we want: the schema check (74 µs a
call; `check_request` instead), exceptions' text in replies (`incoming.refusal`), batches run all at once (the session
takes them apart). Handlers that are coroutine functions are only begun here: the `Incoming` carries the coroutine,
and ``serving`` sees it through.
"""

import logging
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from jsonrpcserver.dispatcher import dispatch_request, to_response
from jsonrpcserver.methods import Methods
from jsonrpcserver.request import Request
from jsonrpcserver.response import ErrorResponse, to_serializable_one
from jsonrpcserver.sentinels import NOCONTEXT, NODATA, NOID
from oslash.either import Left

from bitcoind_mp.interfaces.errors import RpcCode
from bitcoind_mp.ipc.limits import MAX_REPLY
from bitcoind_mp.ipc.wire.encoding import NO_JSON, encode

from .incoming import Incoming
from .registry import Table
from .shared import Shared

if TYPE_CHECKING:
    from bitcoind_mp.ipc.session import Session

logger = logging.getLogger("bitcoind_mp.ipc")


class InvalidRequest(ValueError):
    """The JSON is no JSON-RPC 2.0 request; the text says why."""


class Dispatcher:
    """Dispatches one session's requests."""

    def __init__(self, session: "Session", shared: Shared) -> None:
        self._session = session
        self._shared = shared

    def dispatch(self, message: Any, table: Table) -> tuple[Any, Incoming | None]:
        """One request (not a batch), decoded. The response, or None for a notification; and the request, None if it
        was no valid one. Where its ``pending`` is set, the response doesn't count: `answer` makes it."""
        try:
            check_request(message)
        except InvalidRequest as error:
            identity = message.get("id") if isinstance(message, dict) else None
            return refused(RpcCode.INVALID_REQUEST, str(error), identity if _is_identity(identity) else None), None
        incoming = Incoming(self._session, message, message.get("id", NOID))
        request = Request(incoming.method, [incoming], incoming.identity)
        _, result = dispatch_request(cast(Methods, table), NOCONTEXT, request)
        if incoming.called is None:
            self._shared.on_unknown(incoming.method)
        if incoming.identity is NOID:
            return None, incoming
        if incoming.called is None:
            # Not found; while the server warms up, not everything there will be is there yet.
            code = RpcCode.IN_WARMUP if self._shared.warmup else RpcCode.METHOD_NOT_FOUND
            return refused(code, self._shared.warmup or self._shared.unknown, incoming.identity), incoming
        return to_response(request, result), incoming


def check_request(message: Any) -> None:
    """Raises InvalidRequest where ``message`` is no JSON-RPC 2.0 request (Core's words, ``src/rpc/request.cpp``)."""
    if type(message) is not dict:
        raise InvalidRequest("Invalid Request object")
    if message.get("jsonrpc") != "2.0":
        raise InvalidRequest('jsonrpc field must be "2.0"')
    if type(message.get("method")) is not str:
        raise InvalidRequest("Method must be a string" if "method" in message else "Missing method")
    if "params" in message and not isinstance(message["params"], list | dict | None):
        raise InvalidRequest("Params must be an array or object")
    if "id" in message and not _is_identity(message["id"]):
        raise InvalidRequest("Id must be a string, a number or null")
    if type(message.get("wallet", "")) is not str and message["wallet"] is not None:
        raise InvalidRequest("Wallet must be a string")
    if type(message.get("object", 0)) is not int:
        raise InvalidRequest("Object must be a number")


def _is_identity(value: Any) -> bool:
    return value is None or (isinstance(value, str | int | Decimal) and not isinstance(value, bool))


def refused(code: int, message: str, identity: Any = None) -> Any:
    """An error response."""
    return Left(ErrorResponse(int(code), message, NODATA, identity))


def answer(incoming: Incoming, result: Any) -> Any:
    """The response to a request whose handler was a coroutine; None for a notification."""
    if incoming.identity is NOID:
        return None
    return to_response(Request(incoming.method, [], incoming.identity), result)


def reply_text(response: Any) -> bytes:
    """A response as JSON; an internal error in its place where its result has none, or is too long to be taken."""
    try:
        text = encode(to_serializable_one(response))
    except NO_JSON:
        identity = response._error.id if isinstance(response, Left) else response._value.id
        logger.exception("a result could not be written as JSON")
        return reply_text(
            refused(RpcCode.INTERNAL_ERROR, "Internal error (its cause is in the server's log)", identity)
        )
    if len(text) > MAX_REPLY:
        message = f"The result has {len(text)} bytes, more than the {MAX_REPLY} that one reply may have"
        return reply_text(refused(RpcCode.INTERNAL_ERROR, message, response._value.id))
    return text
