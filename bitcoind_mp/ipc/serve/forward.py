"""Commands that another process answers: taken as they come, bound and checked by nobody here, and handed on.

Whose they are and how to reach that process is the caller's affair.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec

from bitcoind_mp.interfaces.repeated import RepeatedMembers
from bitcoind_mp.ipc.declared.signature import declared
from bitcoind_mp.ipc.wire.encoding import encode

from .incoming import Incoming
from .registry import Table
from .served import Served

#: Gets a request, and gives what it is answered with. Raises what the answering process does.
HandOn = Callable[[Incoming], Awaitable[Any]]


def elsewhere(kinds: Iterable[type], hand_on: HandOn) -> Table:
    """A table of the commands of those classes, each handed on by ``hand_on`` (a coroutine function)."""
    return {
        method.name: Served(method, hand_on)
        for kind in kinds
        for method in declared(kind).values()
        if method.is_command
    }


def as_it_came(value: Any) -> Any:
    """Params to be sent on, with the members that an object of them names twice: its values alone have the last."""
    if isinstance(value, RepeatedMembers):
        pairs = [encode(name) + b":" + encode(as_it_came(member)) for name, member in value.pairs]
        return msgspec.Raw(b"{" + b",".join(pairs) + b"}")
    if isinstance(value, dict):
        return {name: as_it_came(member) for name, member in value.items()}
    return [as_it_came(member) for member in value] if isinstance(value, list) else value
