"""What jsonrpcserver calls: a declared method bound to its object, taking the whole request as its one argument.

jsonrpcserver looks a method up, binds its arguments and calls it; a parameter list of one request keeps that cheap
and lets the rules of binding be Core's.
"""

import inspect
from collections.abc import Callable
from types import CoroutineType
from typing import Any, Protocol

from jsonrpcserver.result import SuccessResult
from oslash.either import Right

from bitcoind_mp.interfaces.command import Call
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.ipc.declared.binding import Binder
from bitcoind_mp.ipc.declared.help import help_text
from bitcoind_mp.ipc.declared.signature import Method
from bitcoind_mp.ipc.declared.values import Values
from bitcoind_mp.ipc.proxy import proxy

from .incoming import Incoming, refusal


class _OneRequest(inspect.Signature):
    """The signature of every `Served`: one request. jsonrpcserver binds to it before each call; as it has nothing else
    to give, there is nothing to check."""

    def bind(self, /, *args: Any, **kwargs: Any) -> inspect.BoundArguments:
        return _BOUND


_ONE_REQUEST = _OneRequest([inspect.Parameter("incoming", inspect.Parameter.POSITIONAL_ONLY)])
_BOUND = inspect.Signature.bind(_ONE_REQUEST, None)


class Gate(Protocol):
    """Whether commands are answered yet: while ``warmup`` holds a text they are refused with it (Core's -28)."""

    warmup: str


class Served:
    """A method as jsonrpcserver wants it. The function gets the request as it came: it is about the connection itself,
    or is answered by another process."""

    __signature__ = _ONE_REQUEST

    def __init__(self, method: Method, function: Callable[..., Any]) -> None:
        self.method = method
        self.function = function

    def arguments(self, incoming: Incoming) -> list[Any]:
        """What the function is called with, of the request."""
        return [incoming]

    def __call__(self, incoming: Incoming, /) -> Any:
        incoming.called = self.method
        try:
            result = self.function(*self.arguments(incoming))
        except Exception as error:  # noqa: BLE001 (refusal logs it, secrets left out)
            return refusal(error, incoming)
        if type(result) is CoroutineType:
            incoming.pending = result
            result = None
        return Right(SuccessResult(result))


class ServedCommand(Served):
    """A command: Core's rules of binding, refused while the server warms up."""

    def __init__(self, method: Method, function: Callable[..., Any], gate: Gate) -> None:
        super().__init__(method, function)
        self._bind = Binder(method, lambda: help_text(method)).bind
        self._gate = gate
        self._call_index = method.call_index

    def arguments(self, incoming: Incoming) -> list[Any]:
        if self._gate.warmup:
            raise RpcError(RpcCode.IN_WARMUP, self._gate.warmup)
        arguments = self._bind(incoming.params)
        if self._call_index >= 0:
            call = Call(incoming.method, incoming.wallet, incoming.session.number, incoming.progress)
            return [*arguments[: self._call_index], call, *arguments[self._call_index :]]
        return arguments


class ServedInterface(Served):
    """An interface method: values by their annotations, callbacks as proxies, answered after the handshake."""

    def __init__(self, method: Method, function: Callable[..., Any]) -> None:
        super().__init__(method, function)
        self._values = Values(method)

    def arguments(self, incoming: Incoming) -> list[Any]:
        if incoming.session.peer is None:
            raise RpcError(RpcCode.INVALID_REQUEST, f"{self.method.name}: call init.handshake first on this connection")
        arguments = self._values.from_wire(incoming.params)
        for index, interface in enumerate(self._values.callbacks):
            if interface is not None:
                number = arguments[index]
                arguments[index] = proxy(interface, incoming.session, target=number) if number else None
        return arguments
