"""The node as wallets see it, whether or not it is there: each call goes to the connection of the moment."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from bitcoind_mp.interfaces.chain import Chain


def chain_through(current: Callable[[], Awaitable[Chain]]) -> Chain:
    """A Chain whose every method awaits ``current()`` for the object to call, and raises what that raises."""

    def forward(name: str) -> Callable[..., Any]:
        async def call(self: Chain, *arguments: Any, **named: Any) -> Any:
            return await getattr(await current(), name)(*arguments, **named)

        call.__name__ = name
        return call

    methods: dict[str, Any] = {name: forward(name) for name in Chain.__abstractmethods__}
    return cast(Chain, type("ChainLink", (Chain,), methods)())
