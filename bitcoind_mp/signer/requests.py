"""What waits for the owner's word."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bitcoind_mp.interfaces.errors import RpcCode, RpcError

#: How long a request waits, in seconds.
PATIENCE = 300.0
#: More requests than this at once are refused: nobody would read them.
_MOST = 20


@dataclass(frozen=True)
class Request:
    """A use of a key that the owner is asked about. ``facts`` are for people; ``since`` in seconds since 1970."""

    id: str
    facts: dict[str, Any]
    since: int


class Requests:
    """All that wait."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._waiting: dict[str, tuple[Request, asyncio.Future[bool]]] = {}
        self.on_change: Callable[[], None] = lambda: None
        """Called when a request came or went."""

    def __iter__(self) -> Any:
        """The oldest first."""
        return iter([request for request, _ in self._waiting.values()])

    def __len__(self) -> int:
        return len(self._waiting)

    async def ask(self, facts: dict[str, Any]) -> bool:
        """Wait for the owner's word. Raises `RpcError` -4 when none comes."""
        if len(self._waiting) >= _MOST:
            raise RpcError(RpcCode.WALLET_ERROR, f"{_MOST} signatures wait for the owner already: try again later.")
        request = Request(os.urandom(4).hex(), facts, int(time.time()))
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = (request, answer)
        self.on_change()
        try:
            async with asyncio.timeout(self._patience):
                return await answer
        except TimeoutError:
            raise RpcError(
                RpcCode.WALLET_ERROR,
                f"Nothing was signed: the owner did not confirm it within {self._patience:g} seconds "
                "(bitcoin-mp listsigningrequests, confirmsigning).",
            ) from None
        finally:
            del self._waiting[request.id]
            self.on_change()

    def answer(self, id: str, yes: bool) -> Request:
        """The owner's word. Raises `RpcError` -8 for a request that doesn't wait."""
        request, answer = self._waiting.get(id, (None, None))
        if request is None or answer is None or answer.done():
            raise RpcError(RpcCode.INVALID_PARAMETER, f"No request {id} waits: see listsigningrequests")
        answer.set_result(yes)
        return request
