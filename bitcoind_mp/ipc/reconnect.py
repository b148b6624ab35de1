"""A session to a path that is made again whenever it ends."""

from collections.abc import Awaitable, Callable
from typing import Any

from bitcoind_mp.interfaces.init import Hello

from .session import Session


class Reconnecting:
    """Keeps a session to ``path``: exponential back-off from ``first`` to ``most`` seconds, woken early when the
    socket appears. ``on_up(session)`` is awaited after each handshake, before `session` is set; ``on_down(reason)``
    is called when the session ends or an attempt fails for a new reason."""

    session: Session | None

    def __init__(
        self,
        path: str,
        *,
        hello: Hello,
        on_up: Callable[[Session], Awaitable[None]] | None = None,
        on_down: Callable[[str], None] | None = None,
        first: float = 0.05,
        most: float = 5.0,
        timeout: float = 30.0,
    ) -> None:
        raise NotImplementedError

    def start(self) -> None:
        raise NotImplementedError

    async def up(self, deadline: float | None = None) -> Session:
        """The session, waiting for one. Raises `CallTimeout`."""
        raise NotImplementedError

    async def call(
        self,
        method: str,
        params: Any = (),
        *,
        wallet: str | None = None,
        changes: bool = True,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> Any:
        """Call over the present session. With ``changes=False`` (a read) it is tried again on the next session when
        the connection ends under it; a call that may change something never is."""
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError
