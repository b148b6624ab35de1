"""What crosses in an interface method's params and result: values by their annotations, callbacks by number.

Dataclasses and JSON types are msgspec's business. A parameter annotated with an interface class (`Follower`,
`EventSink`) crosses as the number under which the caller's end of the connection serves it; 0 stands for None.
"""

import inspect
import types
import typing
from typing import Any, Protocol

import msgspec

from bitcoind_mp.interfaces.command import DECLARATION
from bitcoind_mp.interfaces.errors import RpcCode, RpcError

from .signature import Method


class Connection(Protocol):
    """As much of a session as values need."""

    def serve(self, *objects: object) -> int:
        """Serve an object; the number that it is called by."""


def callback_interface(annotation: Any) -> type | None:
    """The interface class in a parameter's annotation (``X`` or ``X | None``), None for a plain value."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        found = [callback_interface(branch) for branch in typing.get_args(annotation)]
        return next((one for one in found if one), None)
    if isinstance(annotation, type) and inspect.isabstract(annotation) and declared_names(annotation):
        return annotation
    return None


def declared_names(interface: type) -> dict[str, str]:
    """attribute -> wire name of each declared method of a class, inherited ones too."""
    found: dict[str, str] = {}
    for base in reversed(interface.__mro__):
        for attribute, value in vars(base).items():
            if declaration := getattr(value, DECLARATION, None):
                found[attribute] = declaration.name
    return found


class Values:
    """Converts one interface method's arguments and result, in both directions."""

    def __init__(self, method: Method) -> None:
        self.method = method
        self.callbacks = [callback_interface(parameter.annotation) for parameter in method.parameters]
        self._names = [parameter.name for parameter in method.parameters]

    def to_wire(self, arguments: list[Any], connection: Connection) -> list[Any]:
        """The caller's side: arguments in order to params; callbacks are served on ``connection``."""
        if not any(self.callbacks):
            return arguments
        return [
            value if interface is None else 0 if value is None else connection.serve(value)
            for value, interface in zip(arguments, self.callbacks, strict=True)
        ]

    def from_wire(self, params: list[Any] | dict[str, Any] | None) -> list[Any]:
        """The called side: params to arguments, callbacks still as numbers. Raises RpcError INVALID_PARAMS."""
        given = self._in_order(params) if isinstance(params, dict) else list(params or ())
        parameters = self.method.parameters
        if len(given) > len(parameters) or any(p.required for p in parameters[len(given) :]):
            raise RpcError(RpcCode.INVALID_PARAMS, f"{self.method.name} takes {', '.join(self._names) or 'nothing'}")
        arguments = [parameter.default for parameter in parameters]
        for index, value in enumerate(given):
            wanted: Any = int if self.callbacks[index] else parameters[index].annotation
            try:
                arguments[index] = msgspec.convert(value, wanted)
            except msgspec.ValidationError as error:
                raise RpcError(RpcCode.INVALID_PARAMS, f"{self._names[index]}: {error}") from None
        return arguments

    def _in_order(self, params: dict[str, Any]) -> list[Any]:
        if unknown := sorted(params.keys() - set(self._names)):
            raise RpcError(RpcCode.INVALID_PARAMS, f"{self.method.name} has no parameter {unknown[0]}")
        missing = [p.name for p in self.method.parameters if p.required and p.name not in params]
        if missing:
            raise RpcError(RpcCode.INVALID_PARAMS, f"{self.method.name} needs {missing[0]}")
        return [params.get(p.name, p.default) for p in self.method.parameters]

    def result(self, value: Any) -> Any:
        """The caller's side: a decoded result as the signature promises it. Raises RpcError INTERNAL_ERROR."""
        try:
            return msgspec.convert(value, self.method.returns)
        except msgspec.ValidationError as error:
            raise RpcError(RpcCode.INTERNAL_ERROR, f"{self.method.name} answered what it shouldn't: {error}") from None
