"""Another process as wallets see it, whether or not it is there: each call goes to the connection of the moment."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeVar, cast

from bitcoind_mp.interfaces.chain import Chain
from bitcoind_mp.interfaces.command import DECLARATION
from bitcoind_mp.interfaces.errors import SHUTTING_DOWN, Disconnected, RpcError

T = TypeVar("T")

#: Seconds until a process that is going down is asked for again.
_LOOK_AGAIN = 0.05


def through(interface: type[T], current: Callable[[], Awaitable[T]], *, bound: Collection[str] = ()) -> T:
    """An instance of the abstract class whose every method awaits ``current()`` for the object to call, and raises what
    that raises.

    The next object is asked where the other process goes down without having done it, and where it is gone and may
    have done it, but it changes nothing; not so for methods that mean something on one connection alone (``bound``).
    """
    abstract: Any = interface

    def forward(name: str) -> Callable[..., Any]:
        changes = getattr(getattr(abstract, name), DECLARATION).changes

        async def call(self: T, *arguments: Any, **named: Any) -> Any:
            while True:
                present = await current()
                try:
                    return await getattr(present, name)(*arguments, **named)
                except Disconnected:
                    if changes or name in bound:
                        raise
                except RpcError as error:
                    if error.message != SHUTTING_DOWN or name in bound:
                        raise
                await asyncio.sleep(_LOOK_AGAIN)

        call.__name__ = name
        return call

    methods: dict[str, Any] = {name: forward(name) for name in abstract.__abstractmethods__}
    return cast(T, type(f"{abstract.__name__}Link", (abstract,), methods)())


def chain_through(current: Callable[[], Awaitable[Chain]]) -> Chain:
    """The node."""
    return through(Chain, current, bound=("follow", "unfollow"))  # type: ignore[type-abstract]
