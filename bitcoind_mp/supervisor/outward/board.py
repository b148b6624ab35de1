"""The notice board: what happened, as `interfaces.notices` has it, to all who look at it.

Where a notice comes from and what is done about it is others' business. What belongs here: putting it up, and followers
that read at their own pace.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.notices import DROPPED, KINDS, MISSED, TIP, Notices, NoticeSink
from bitcoind_mp.supervisor.following import Following, OnDisconnect

#: Notices that a follower may be behind before it misses some.
_MOST_WAITING = 1000
Notice = dict[str, Any]
#: Told of each notice; what is still to be done about it, where somebody may want to wait for that.
Listener = Callable[[Notice], "asyncio.Future[None] | None"]


class Board:
    """``counts`` are the notices so far, by kind."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.counts: Counter[str] = Counter()
        self._clock = clock
        self._listeners: list[Listener] = []

    def post(self, kind: str, **facts: Any) -> "list[asyncio.Future[None]]":
        """Put it up. Returns what is still to be done about it."""
        self.counts[kind] += 1
        notice = {"kind": kind, "time": round(self._clock(), 3), **facts}
        under_way = [listener(notice) for listener in list(self._listeners)]
        return [each for each in under_way if each is not None]

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell ``listener`` each notice from now on. Returns what ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)


class Followers(Notices):
    """`notices.follow`: each follower has a task that tells it what it hasn't been told. ``wanted`` is called with the
    kinds, and waited for: what happens once a follower has its answer is heard of."""

    def __init__(
        self, board: Board, on_disconnect: OnDisconnect, wanted: Callable[[Collection[str]], Awaitable[None]]
    ) -> None:
        self._board = board
        self._following = Following(on_disconnect)
        self._wanted = wanted

    async def follow(self, kinds: list[str], sink: NoticeSink) -> list[str]:
        unknown = next((kind for kind in kinds if kind not in KINDS), None)
        if unknown is not None:
            raise RpcError(
                RpcCode.INVALID_PARAMETER, f"There are no events of kind {unknown!r}: expected {' or '.join(KINDS)}"
            )
        chosen = [kind for kind in KINDS if kind in kinds or not kinds]
        waiting = _Waiting({*chosen, MISSED} if TIP in chosen else set(chosen))
        self._following.begin(waiting.tell(sink), sink, self._board.listen(waiting.add))
        await self._wanted(chosen)
        return chosen

    async def close(self) -> None:
        """Tell nobody any more."""
        await self._following.close()


class _Waiting:
    """Notices on their way to one follower."""

    def __init__(self, kinds: Collection[str]) -> None:
        self._kinds = kinds
        self._notices: deque[Notice] = deque()
        self._dropped = 0
        self._more = asyncio.Event()

    def add(self, notice: Notice) -> None:
        if notice["kind"] not in self._kinds:
            return
        if self._dropped or len(self._notices) >= _MOST_WAITING:
            self._dropped += 1  # those that it missed are the ones after those that it has, in one piece
        else:
            self._notices.append(notice)
        self._more.set()

    async def tell(self, sink: NoticeSink) -> None:
        while True:
            await self._more.wait()
            while self._notices:
                await sink.event(self._notices.popleft())
            dropped, self._dropped = self._dropped, 0
            self._more.clear()
            if dropped:
                await sink.event({"kind": DROPPED, "time": round(time.time(), 3), "count": dropped})
