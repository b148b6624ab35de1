import asyncio
import inspect
from typing import Any

import pytest

from bitcoind_mp.interfaces.chain import Chain
from bitcoind_mp.interfaces.command import interface_method
from bitcoind_mp.interfaces.errors import Disconnected, RpcError
from bitcoind_mp.interfaces.events import EventSink
from bitcoind_mp.interfaces.health import Health, HealthCheck
from bitcoind_mp.ipc.proxy import hang_up, on_disconnect, proxy, set_timeout


class Checked(HealthCheck):
    async def check(self) -> Health:
        return Health("well")


class Listening:
    """Keeps the sink that a test hands over, and tells it as told."""

    def __init__(self) -> None:
        self.sinks: list[EventSink | None] = []

    @interface_method("test.listen")
    async def listen(self, sink: EventSink | None = None) -> int:
        """Keep the sink."""
        self.sinks.append(sink)
        return len(self.sinks)


class Collecting(EventSink):
    def __init__(self) -> None:
        self.told: list[str] = []
        self.running = 0
        self.most = 0
        self.three = asyncio.Event()

    async def changed(self, topic: str, state: dict[str, Any]) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        self.told.append(topic)
        if len(self.told) >= 3:
            self.three.set()


def test_a_proxy_is_an_instance_of_its_interface(serving: Any) -> None:
    async def main() -> None:
        async with serving(Checked()) as (_, session):
            remote = proxy(HealthCheck, session)
            assert isinstance(remote, HealthCheck)
            assert inspect.iscoroutinefunction(remote.check)
            assert await remote.check() == Health("well")
            set_timeout(remote, 0)
            with pytest.raises(TimeoutError):
                await remote.check()

    asyncio.run(main())


def test_a_wrong_number_of_arguments_is_the_caller_s_error(serving: Any) -> None:
    async def main() -> None:
        async with serving() as (_, session):
            chain: Any = proxy(Chain, session)
            for arguments, named in ([1], {}), ([], {"x": 1}), ([], {}):
                with pytest.raises(TypeError):
                    await (chain.status(*arguments) if arguments else chain.find_block(**named))
            with pytest.raises(TypeError):
                await chain.find_block("a", hash="b")

    asyncio.run(main())


def test_callbacks_come_in_order_and_one_at_a_time(serving: Any) -> None:
    async def main() -> None:
        server_side = Listening()
        sink = Collecting()
        async with serving(server_side) as (_, session):
            remote: Any = proxy(Listening, session)
            assert await remote.listen(sink) == 1
            assert await remote.listen(sink=None) == 2
            assert await remote.listen() == 3
            first, second, third = server_side.sinks
            assert isinstance(first, EventSink) and second is third is None
            for topic in "abc":
                await first.changed(topic, {})
            await asyncio.wait_for(sink.three.wait(), 5)
            assert sink.told == ["a", "b", "c"] and sink.most == 1
            assert await remote.listen(sink) == 4
            assert server_side.sinks[3]._target == first._target  # type: ignore[union-attr]

    asyncio.run(main())


@pytest.mark.parametrize("by_us", [False, True])
def test_the_end_of_the_connection_ends_the_callback(serving: Any, by_us: bool) -> None:
    async def main() -> None:
        server_side = Listening()
        ended: list[str] = []
        async with serving(server_side) as (_, session):
            await proxy(Listening, session).listen(Collecting())  # type: ignore[attr-defined]
            (remote,) = server_side.sinks
            assert remote is not None
            gone = asyncio.Event()
            on_disconnect(remote, gone.set)
            undo = on_disconnect(remote, lambda: ended.append("undone"))
            undo()
            on_disconnect(Collecting(), lambda: ended.append("local"))
            hang_up(Collecting())
            if by_us:
                hang_up(remote)
            else:
                await session.close()
            await asyncio.wait_for(gone.wait(), 30)
            with pytest.raises(Disconnected):
                await remote.changed("x", {})
            await asyncio.wait_for(session.closed, 30)
            assert ended == []

    asyncio.run(main())


def test_without_a_handshake_no_interface_method_is_answered(serving: Any) -> None:
    async def main() -> None:
        async with serving(Checked(), handshake=False) as (_, session):
            with pytest.raises(RpcError, match=r"call init\.handshake first"):
                await proxy(HealthCheck, session).check()
            assert (await session.call("rpc.discover"))["openrpc"]

    asyncio.run(main())
