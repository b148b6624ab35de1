"""From objects with declared methods to the table that jsonrpcserver looks names up in."""

from typing import Any

from bitcoind_mp.ipc.declared.signature import declared

from .served import Gate, Served, ServedCommand, ServedInterface

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
