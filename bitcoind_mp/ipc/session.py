"""One connection on which both sides may call."""

import asyncio
from typing import Any

from ..interfaces.init import Hello


class Session:
    """One connection. ``peer`` is the other side's Hello once hands were shaken (None before)."""

    peer: Hello | None
    closed: "asyncio.Future[None]"  # done when the connection is gone; never an exception

    async def call(
        self,
        method: str,
        params: "list[Any] | tuple[Any, ...] | dict[str, Any]" = (),
        *,
        wallet: str | None = None,
        timeout: float | None = None,
        target: int = 0,
    ) -> Any:
        """Call the other side and wait for the answer (plain JSON values; numbers with a fraction are Decimals).

        ``timeout`` in seconds (None: the session's default). Cancelling the awaiting task, or the timeout, tells
        the other side to cancel the call too. Raises `RpcError`, `Disconnected`, `CallTimeout`.
        """
        raise NotImplementedError

    async def notify(self, method: str, params: "list[Any] | dict[str, Any]" = [], *, target: int = 0) -> None:  # noqa: B006
        """Send a notification; waits only while the connection's write buffer is full. Raises `Disconnected`."""
        raise NotImplementedError

    def serve(self, *objects: object) -> int:
        """Let the other side call these objects' interface methods. Calls run one at a time, in order of arrival."""
        raise NotImplementedError

    async def close(self) -> None:
        """Flush, disconnect and wait until it is done."""
        raise NotImplementedError

    def abort(self) -> None:
        """Disconnect at once."""
        raise NotImplementedError
