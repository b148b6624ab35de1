"""Tasks that tell somebody something for as long as he is there: followers of logs, and of events.

What they are told is ``streams.py``'s and ``outward/board.py``'s.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import Any

from bitcoind_mp.interfaces.errors import RpcError

log = logging.getLogger("bitcoind_mp.supervisor")

#: Call the function when the other side of a sink is gone; returns what undoes it.
OnDisconnect = Callable[[Any, Callable[[], None]], Callable[[], None]]
#: What a follower who goes away, or wants no more, makes of a call to him.
_LEFT = (OSError, RpcError)


class Following:
    """All that are under way."""

    def __init__(self, on_disconnect: OnDisconnect) -> None:
        self._on_disconnect = on_disconnect
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, telling: Coroutine[Any, Any, None], sink: Any, unfollow: Callable[[], None]) -> None:
        """Run ``telling`` until the other side of ``sink`` is gone; then, and whenever else it ends, ``unfollow``."""
        task = asyncio.get_running_loop().create_task(telling)
        self._tasks.add(task)
        at_end = ExitStack()
        at_end.callback(self._tasks.discard, task)
        at_end.callback(unfollow)
        at_end.callback(self._on_disconnect(sink, lambda: _cancel(task)))

        def ended(task: "asyncio.Task[None]") -> None:
            at_end.close()
            error = None if task.cancelled() else task.exception()
            if error is not None and not isinstance(error, _LEFT):
                log.error("a follower could not be told", exc_info=error)

        task.add_done_callback(ended)

    async def close(self) -> None:
        """Tell nobody any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
