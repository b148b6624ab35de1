import asyncio
from typing import Any

from bitcoind_mp.interfaces.errors import Disconnected
from bitcoind_mp.interfaces.events import EventSink
from bitcoind_mp.ipc.events import Publisher


class Sink(EventSink):
    def __init__(self, *, gate: asyncio.Event | None = None) -> None:
        self.told: list[tuple[str, Any]] = []
        self.gate = gate
        self.gone = False

    async def changed(self, topic: str, state: dict[str, Any]) -> None:
        if self.gone:
            raise Disconnected("gone")
        if self.gate is not None:
            await self.gate.wait()
        self.told.append((topic, state["n"]))


def test_a_subscriber_is_told_the_present_state_and_then_changes(until: Any) -> None:
    async def main() -> None:
        publisher = Publisher(["tip", "mempool", "unknown yet"], interval=0)
        publisher.publish("tip", {"n": 1})
        sink = Sink()
        assert await publisher.subscribe(["tip", "nosuch", "unknown yet"], sink) == ["tip", "unknown yet"]
        await until(lambda: sink.told == [("tip", 1)])
        publisher.publish("tip", {"n": 1})
        publisher.publish("mempool", {"n": 5})
        publisher.publish("tip", {"n": 2})
        await until(lambda: sink.told == [("tip", 1), ("tip", 2)])
        publisher.close()

    asyncio.run(main())


def test_changes_in_quick_succession_are_told_as_one() -> None:
    class Clock(asyncio.SelectorEventLoop):
        """A loop whose time stands still until it is moved."""

        now = 100.0

        def time(self) -> float:
            return self.now

    async def main(loop: Any) -> None:
        async def turn() -> None:
            for _ in range(10):
                await asyncio.sleep(0)

        publisher = Publisher(["tip"], interval=0.25)
        sink = Sink()
        await publisher.subscribe(["tip"], sink)
        for n in range(50):
            publisher.publish("tip", {"n": n})
        await turn()
        assert [n for _, n in sink.told] in ([49], [0])
        publisher.publish("tip", {"n": 50})
        await turn()
        told_early = len(sink.told)
        loop.now += 0.3
        await turn()
        assert sink.told[-1] == ("tip", 50) and len(sink.told) == told_early + 1 <= 3
        loop.now += 10
        await turn()
        assert len(sink.told) == told_early + 1
        publisher.close()

    loop = Clock()
    try:
        loop.run_until_complete(main(loop))
    finally:
        loop.close()


def test_a_slow_subscriber_delays_nobody_and_gets_the_newest(until: Any) -> None:
    async def main() -> None:
        publisher = Publisher(["tip"], interval=0)
        slow, fast = Sink(gate=asyncio.Event()), Sink()
        for sink in (slow, fast):
            await publisher.subscribe(["tip"], sink)
        for n in range(5):
            publisher.publish("tip", {"n": n})
            await until(lambda n=n: ("tip", n) in fast.told)
        assert slow.gate is not None
        slow.gate.set()
        await until(lambda: ("tip", 4) in slow.told)
        assert len(slow.told) == 2
        publisher.close()

    asyncio.run(main())


def test_a_subscriber_that_is_gone_is_forgotten(serving: Any, until: Any) -> None:
    async def main() -> None:
        from bitcoind_mp.interfaces.events import Events
        from bitcoind_mp.ipc.proxy import proxy

        publisher = Publisher(["tip"], interval=0)
        async with serving(publisher) as (_, session):
            sink = Sink()
            publisher.publish("tip", {"n": 1})
            assert await proxy(Events, session).subscribe(["tip"], sink) == ["tip"]
            await until(lambda: sink.told == [("tip", 1)])
            await session.close()
            await until(lambda: not publisher._subscribers)
        local = Sink()
        await publisher.subscribe(["tip"], local)
        await until(lambda: local.told)
        local.gone = True
        publisher.publish("tip", {"n": 2})
        await until(lambda: not publisher._subscribers)

    asyncio.run(main())
