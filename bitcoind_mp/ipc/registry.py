"""From objects with declared methods to the table that jsonrpcserver looks names up in."""

from functools import cache
from typing import Any

from bitcoind_mp.interfaces.command import DECLARATION, Declaration

from .served import Gate, Served, ServedCommand, ServedInterface
from .signature import Method, read_method

#: what jsonrpcserver dispatches from
Table = dict[str, Served]


def collect(instance: object, gate: Gate) -> Table:
    """The declared methods of an object, bound to it."""
    kind: Any = type(instance)
    return {
        method.name: (
            ServedCommand(method, getattr(instance, attribute), gate)
            if method.is_command
            else ServedInterface(method, getattr(instance, attribute))
        )
        for attribute, method in declared(kind).items()
    }


@cache
def declared(kind: type) -> dict[str, Method]:
    """attribute -> Method of each declared method of a class. An implementation inherits its interface's
    declaration and its signature, which is what crosses."""
    found: dict[str, Method] = {}
    for attribute in dir(kind):
        function, declaration = _declaration(kind, attribute)
        if declaration is not None:
            found[attribute] = read_method(function, declaration)
    return found


def _declaration(kind: type, attribute: str) -> tuple[Any, Declaration | None]:
    for base in kind.__mro__:
        function = vars(base).get(attribute)
        declaration = getattr(function, DECLARATION, None)
        if isinstance(declaration, Declaration):
            return function, declaration
    return None, None
