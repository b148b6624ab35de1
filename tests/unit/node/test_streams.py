"""How far ahead of its acknowledgements a follower is told."""

import asyncio
import gc
import logging

import pytest

from bitcoind_mp.interfaces.errors import Disconnected
from bitcoind_mp.node.backlog import Backlog, Window


def never() -> None:
    raise AssertionError("it keeps nobody waiting")


def test_a_connection_that_ends_under_calls_that_were_given_up_is_no_matter(caplog: pytest.LogCaptureFixture) -> None:
    """One that waits until it may write hears of the end before it hears that it was cancelled: else each were a
    traceback in the log."""

    async def lost() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            raise Disconnected("The connection was lost") from None

    async def story() -> None:
        window = Window(lambda: None, Backlog(), never)
        for _ in range(8):
            window.send(lost())
        await asyncio.sleep(0)
        window.cancel()
        for _ in range(3):
            await asyncio.sleep(0)

    with caplog.at_level(logging.DEBUG):
        asyncio.run(story())
        gc.collect()
    assert "never retrieved" not in caplog.text


def test_what_a_call_raised_is_raised_for_whoever_looks() -> None:
    async def lost() -> None:
        raise Disconnected("The connection was lost")

    async def story() -> None:
        window = Window(lambda: None, Backlog(), never)
        window.send(lost())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(Disconnected):
            window.check()

    asyncio.run(story())


class Told:
    """A follower that acknowledges what it is told when it is asked to."""

    def __init__(self, backlog: Backlog, give_up=never) -> None:
        self.window = Window(lambda: None, backlog, give_up)
        self.owed: list[asyncio.Future[None]] = []
        self.told = 0

    async def tell(self, size: int) -> None:
        async with self.window.room(size):
            self.window.send(self._hear(), size)

    async def _hear(self) -> None:
        self.told += 1
        self.owed.append(asyncio.get_running_loop().create_future())
        await self.owed[-1]

    async def tell_all(self, sizes: list[int]) -> None:
        for size in sizes:
            await self.tell(size)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_all_together_owe_no_more_than_there_is_room_for_and_each_has_its_turn() -> None:
    async def story() -> None:
        backlog = Backlog(most=100)
        followers = [Told(backlog) for _ in range(10)]
        telling = [asyncio.create_task(each.tell_all([30, 20, 10])) for each in followers]
        most = 0
        while not all(task.done() for task in telling):
            await settled()
            assert backlog.used <= 100
            most = max(most, backlog.used)
            owing = [future for each in followers for future in each.owed if not future.done()]
            assert owing, "one at least has room"
            owing[0].set_result(None)
        assert most > 60
        assert [each.told for each in followers] == [3] * 10
        for each in followers:
            for future in each.owed:
                if not future.done():
                    future.set_result(None)
        await settled()
        assert backlog.used == 0

    asyncio.run(story())


def test_room_comes_back_with_the_acknowledgement_though_nobody_looks() -> None:
    async def story() -> None:
        backlog = Backlog(most=100)
        first, second = Told(backlog), Told(backlog)
        await first.tell(100)
        waiting = asyncio.create_task(second.tell(100))
        await settled()
        assert not waiting.done()
        first.owed[0].set_result(None)
        await settled()
        assert waiting.done() and second.told == 1

    asyncio.run(story())


def test_one_that_owes_too_much_itself_takes_no_room_of_the_others() -> None:
    async def story() -> None:
        backlog = Backlog(most=100)
        deaf, other = Told(backlog), Told(backlog)
        telling = asyncio.create_task(deaf.tell_all([1] * 100))
        await settled()
        assert deaf.told == backlog.used == 16
        await other.tell(84)
        await settled()
        assert other.told == 1
        telling.cancel()

    asyncio.run(story())


@pytest.mark.parametrize("size", [100, 1000])
def test_whoever_is_cancelled_while_it_waits_or_just_after_keeps_nothing(size: int) -> None:
    async def story() -> None:
        backlog = Backlog(most=100)
        await backlog.take(100)
        waiting = [asyncio.create_task(backlog.take(size)) for _ in range(3)]
        await settled()
        waiting[0].cancel()
        await settled()
        backlog.give(100)
        waiting[1].cancel()  # it has been given its turn, and not heard of it
        await settled()
        assert [task.cancelled() for task in waiting] == [True, True, False]
        assert backlog.used == size
        backlog.give(size)
        assert backlog.used == 0

    asyncio.run(story())


def test_one_that_acknowledges_nothing_is_given_up_where_others_wait_and_only_there() -> None:
    async def story() -> None:
        backlog = Backlog(most=100, patience=0.2)
        given_up: list[str] = []
        slow = Told(backlog, lambda: given_up.append("slow"))
        deaf = Told(backlog, lambda: (given_up.append("deaf"), deaf.window.cancel()))
        await slow.tell(20)
        await deaf.tell(20)
        await slow.tell(20)
        await asyncio.sleep(0.4)
        assert not given_up, "nobody waits"
        slow.owed[0].set_result(None)
        other = Told(backlog)
        await asyncio.wait_for(other.tell(80), 30)
        assert given_up == ["deaf"]

    asyncio.run(story())
