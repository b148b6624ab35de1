"""The notice board and its followers: kinds, order, and what becomes of one that reads too slowly."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcError
from bitcoind_mp.interfaces.notices import NoticeSink
from bitcoind_mp.supervisor.outward.board import Board, Followers


class Sink(NoticeSink):
    """Reads while ``open`` is set."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.gone: Callable[[], None] = lambda: None
        self._moved = asyncio.Condition()

    async def event(self, notice: dict[str, Any]) -> None:
        await self.open.wait()
        async with self._moved:
            self.told.append(notice)
            self._moved.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20), self._moved:
            await self._moved.wait_for(condition)


def on_disconnect(sink: Any, gone: Callable[[], None]) -> Callable[[], None]:
    sink.gone = gone
    return lambda: None


def run(scenario: Callable[[Board, Followers, list[Any]], Awaitable[None]]) -> None:
    async def life() -> None:
        board, wanted = Board(clock=lambda: 12.3456), []

        async def want(kinds: Any) -> None:
            wanted.append(kinds)

        followers = Followers(board, on_disconnect, want)
        await scenario(board, followers, wanted)
        await followers.close()

    asyncio.run(life())


def test_a_follower_is_told_what_it_asked_for_in_order() -> None:
    async def scenario(board: Board, followers: Followers, wanted: list[Any]) -> None:
        few, every = Sink(), Sink()
        assert await followers.follow(["alert", "tip"], few) == ["tip", "alert"]
        assert await followers.follow([], every) == ["unit", "tip", "transaction", "alert"]
        assert wanted == [["tip", "alert"], ["unit", "tip", "transaction", "alert"]]
        board.post("unit", unit="node")
        board.post("tip", height=1)
        board.post("missed", count=2)
        board.post("alert", text="x")
        await every.until(lambda: len(every.told) == 4)
        await few.until(lambda: len(few.told) == 3)
        assert every.told[0] == {"kind": "unit", "time": 12.346, "unit": "node"}
        assert [notice["kind"] for notice in few.told] == ["tip", "missed", "alert"]
        assert board.counts == {"unit": 1, "tip": 1, "missed": 1, "alert": 1}

    run(scenario)


def test_a_kind_that_there_isnt_is_refused() -> None:
    async def scenario(board: Board, followers: Followers, wanted: list[Any]) -> None:
        with pytest.raises(RpcError, match="no events of kind 'mempool': expected unit or tip or transaction or alert"):
            await followers.follow(["mempool"], Sink())
        assert wanted == []

    run(scenario)


def test_a_follower_that_reads_slowly_is_told_how_many_it_missed() -> None:
    async def scenario(board: Board, followers: Followers, wanted: list[Any]) -> None:
        slow = Sink()
        slow.open.clear()
        await followers.follow(["tip"], slow)
        for height in range(3000):
            board.post("tip", height=height)
        slow.open.set()
        await slow.until(lambda: bool(slow.told) and slow.told[-1]["kind"] == "dropped")
        board.post("tip", height=3000)
        await slow.until(lambda: slow.told[-1].get("height") == 3000)
        heights = [notice["height"] for notice in slow.told if notice["kind"] == "tip"]
        dropped = [notice["count"] for notice in slow.told if notice["kind"] == "dropped"]
        assert heights[:-1] == list(range(len(heights) - 1))
        assert len(heights) + sum(dropped) == 3001

    run(scenario)


def test_nothing_is_kept_for_one_that_is_gone() -> None:
    async def scenario(board: Board, followers: Followers, wanted: list[Any]) -> None:
        sink = Sink()
        await followers.follow(["tip"], sink)
        sink.gone()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        board.post("tip", height=1)
        await asyncio.sleep(0)
        assert sink.told == []
        assert board._listeners == []

    run(scenario)


def test_whoever_posts_may_wait_for_what_is_done_about_it() -> None:
    async def scenario(board: Board, followers: Followers, wanted: list[Any]) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        end = board.listen(lambda notice: done if notice["kind"] == "transaction" else None)
        assert board.post("tip") == []
        assert board.post("transaction") == [done]
        end()
        assert board.post("transaction") == []

    run(scenario)


def test_a_mistake_of_ours_that_ends_a_follower_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever has left, or wants no more, is none."""

    class Failing(Sink):
        def __init__(self, error: Exception) -> None:
            super().__init__()
            self._error = error
            self.asked = asyncio.Event()

        async def event(self, notice: dict[str, Any]) -> None:
            self.asked.set()
            raise self._error

    async def scenario(board: Board, followers: Followers, wanted: list[Any]) -> None:
        for error in (Disconnected("gone"), CallTimeout("slow"), RpcError(-1, "no more"), KeyError("a mistake")):
            sink = Failing(error)
            await followers.follow(["tip"], sink)
            board.post("tip", height=1)
            await asyncio.wait_for(sink.asked.wait(), 20)

    run(scenario)
    assert caplog.messages == ["a follower could not be told"]
    assert "KeyError: 'a mistake'" in caplog.text
