"""Another process as wallets see it, whether or not it is there: each call goes to the connection of the moment."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from bitcoind_mp.interfaces.chain import Chain

T = TypeVar("T")


def through(interface: type[T], current: Callable[[], Awaitable[T]]) -> T:
    """An instance of the abstract class whose every method awaits ``current()`` for the object to call, and raises what
    that raises."""

    def forward(name: str) -> Callable[..., Any]:
        async def call(self: T, *arguments: Any, **named: Any) -> Any:
            return await getattr(await current(), name)(*arguments, **named)

        call.__name__ = name
        return call

    abstract: Any = interface
    methods: dict[str, Any] = {name: forward(name) for name in abstract.__abstractmethods__}
    return cast(T, type(f"{abstract.__name__}Link", (abstract,), methods)())


def chain_through(current: Callable[[], Awaitable[Chain]]) -> Chain:
    """The node."""
    return through(Chain, current)  # type: ignore[type-abstract]
