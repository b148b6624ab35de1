"""Requests to replies, by jsonrpcserver: its pipeline with our cheap validator in place of its JSON schema.

Of its defaults, replaced: the schema check (74 µs a call), exceptions' text in replies (`incoming.refusal`), batches
run all at once (the session takes them apart). Handlers that are coroutine functions are only begun here: the
`Incoming` carries the coroutine, and the session sees it through.
"""

import logging
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from jsonrpcserver.dispatcher import dispatch_to_response_pure, to_response
from jsonrpcserver.methods import Methods
from jsonrpcserver.request import Request
from jsonrpcserver.response import ErrorResponse, to_serializable_one
from jsonrpcserver.sentinels import NOCONTEXT, NODATA, NOID
from oslash.either import Left

from bitcoind_mp.interfaces.errors import RpcCode

from .encoding import NO_JSON, encode
from .incoming import Incoming
from .limits import MAX_REPLY
from .registry import Table

if TYPE_CHECKING:
    from .session import Session, Shared

logger = logging.getLogger("bitcoind_mp.ipc")


class InvalidRequest(ValueError):
    """The JSON is no JSON-RPC 2.0 request; the text says why."""


def _as_it_is(value: Any) -> Any:
    return value


class Dispatcher:
    """Dispatches one session's requests."""

    def __init__(self, session: "Session", shared: "Shared") -> None:
        self._session = session
        self._shared = shared
        self._incoming: Incoming | None = None
        self._why = ""
        self._pipeline = partial(
            dispatch_to_response_pure,
            deserializer=_as_it_is,
            validator=self._check,
            context=NOCONTEXT,
            post_process=_as_it_is,
        )

    def dispatch(self, message: Any, table: Table) -> tuple[Any, Incoming | None]:
        """One request (not a batch), decoded. The response, or None for a notification; and the request, None if it
        was no valid one. Where its ``pending`` is set, the response doesn't count: `answer` makes it."""
        self._incoming = None
        response = self._pipeline(methods=cast(Methods, table), request=message)
        incoming = self._incoming
        if incoming is None:
            identity = message.get("id") if isinstance(message, dict) else None
            response = refused(RpcCode.INVALID_REQUEST, self._why, identity if _is_identity(identity) else None)
        elif self._shared.warmup and incoming.served is None and response is not None:
            # Not found, but not everything there will be is there yet.
            response = refused(RpcCode.IN_WARMUP, self._shared.warmup, incoming.identity)
        return response, incoming

    def _check(self, message: Any) -> Any:
        """jsonrpcserver's validator: refuse what is no request, and put the request in place of its params."""
        try:
            check_request(message)
        except InvalidRequest as error:
            self._why = str(error)
            raise
        self._incoming = Incoming(self._session, message, message.get("id", NOID))
        message["params"] = [self._incoming]
        return message


def check_request(message: Any) -> None:
    """Raises InvalidRequest where ``message`` is no JSON-RPC 2.0 request (Core's words, ``src/rpc/request.cpp``)."""
    if type(message) is not dict:
        raise InvalidRequest("Invalid Request object")
    if message.get("jsonrpc") != "2.0":
        raise InvalidRequest('jsonrpc field must be "2.0"')
    if type(message.get("method")) is not str:
        raise InvalidRequest("Method must be a string" if "method" in message else "Missing method")
    if "params" in message and type(message["params"]) not in (list, dict, type(None)):
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
