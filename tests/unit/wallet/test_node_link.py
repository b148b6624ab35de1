"""Calls to another process that goes down under them: which are asked of the next one."""

import asyncio
from abc import ABC, abstractmethod
from typing import Any

import pytest

from bitcoind_mp.interfaces.command import interface_method
from bitcoind_mp.interfaces.errors import SHUTTING_DOWN, Disconnected, RpcCode, RpcError
from bitcoind_mp.wallet.chain.node_link import through


class Other(ABC):
    @interface_method("other.read")
    @abstractmethod
    async def read(self) -> str: ...

    @interface_method("other.change", changes=True)
    @abstractmethod
    async def change(self) -> str: ...

    @interface_method("other.follow")
    @abstractmethod
    async def follow(self) -> str: ...


class Going(Other):
    """Answers each call with the next of these."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    async def _next(self) -> str:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    async def read(self) -> str:
        return await self._next()

    async def change(self) -> str:
        return await self._next()

    async def follow(self) -> str:
        return await self._next()


def test_no_ticket_is_taken_to_another_process_than_gave_it() -> None:
    from bitcoind_mp.interfaces.signer import Signer
    from bitcoind_mp.ipc.declared.signature import declared
    from bitcoind_mp.wallet.keyring.signer_link import WITH_TICKETS

    told = {name for name, method in declared(Signer).items() if any(each.secret for each in method.parameters)}
    assert told == set(WITH_TICKETS)


NOTHING_DONE = RpcError(RpcCode.CLIENT_NOT_CONNECTED, SHUTTING_DOWN)
UNKNOWN = Disconnected("it was killed")


@pytest.mark.parametrize(
    ("method", "why", "is_repeated"),
    [
        ("read", NOTHING_DONE, True),
        ("read", UNKNOWN, True),
        ("change", NOTHING_DONE, True),
        ("change", UNKNOWN, False),
        ("follow", NOTHING_DONE, False),
        ("follow", UNKNOWN, False),
        ("read", RpcError(RpcCode.CLIENT_NOT_CONNECTED, "The node is stopped."), False),
    ],
)
def test_what_was_not_done_or_changes_nothing_is_asked_of_the_next(
    method: str, why: Exception, is_repeated: bool
) -> None:
    async def main() -> None:
        other = Going(why, "answered")

        async def current() -> Other:
            return other

        link: Any = through(Other, current, bound=("follow",))  # type: ignore[type-abstract]
        if is_repeated:
            assert await getattr(link, method)() == "answered"
        else:
            with pytest.raises(type(why)) as raised:
                await getattr(link, method)()
            assert raised.value is why

    asyncio.run(main())
