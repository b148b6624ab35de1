import asyncio
from pathlib import Path
from typing import Any

import pytest

from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected
from bitcoind_mp.ipc.reconnect import Backoff, Reconnecting
from bitcoind_mp.ipc.serve.server import Server
from bitcoind_mp.ipc.wire.inotify import Appearance
from bitcoind_mp.ipc.wire.unix import bind_listener


def test_the_pause_doubles_up_to_the_most_and_starts_anew_after_a_success_that_lasted() -> None:
    backoff = Backoff(0.1, 1.0)
    assert [backoff.failed() for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    backoff.lasted(0.5)
    assert backoff.failed() == 1.0
    backoff.lasted(1.5)
    assert backoff.failed() == 0.1


def test_a_socket_s_appearance_starts_the_pauses_anew() -> None:
    backoff = Backoff(0.1, 1.0)
    assert [backoff.failed() for _ in range(3)] == [0.1, 0.2, 0.4]
    backoff.appeared()
    assert backoff.failed() == 0.1


def test_a_name_s_appearance_is_seen_and_another_s_is_not(tmp_path: Path) -> None:
    async def main() -> None:
        with Appearance(tmp_path / "node.sock") as appearance:
            waiting = asyncio.ensure_future(appearance.wait())
            (tmp_path / "other").touch()
            for _ in range(5):
                await asyncio.sleep(0)
            assert not waiting.done()
            (tmp_path / "x").touch()
            (tmp_path / "x").rename(tmp_path / "node.sock")
            await asyncio.wait_for(waiting, 5)
        with pytest.raises(FileNotFoundError):
            Appearance(tmp_path / "nosuch" / "node.sock")

    asyncio.run(main())


class Harness:
    """A server that can be taken away and brought back under one path."""

    def __init__(self, path: Path, hello: Any, objects: list[object]) -> None:
        self.path, self.hello, self.objects = path, hello, objects
        self.server: Server | None = None

    async def up(self) -> None:
        self.server = Server(self.objects, hello=self.hello("node"))
        await self.server.serve(bind_listener(self.path))

    async def down(self) -> None:
        assert self.server is not None
        await self.server.close(0.1)
        self.server = None


@pytest.fixture
def harness(tmp_path: Path, hello: Any) -> Any:
    return lambda *objects: Harness(tmp_path / "node.sock", hello, list(objects))


def test_the_session_comes_back_with_the_server(harness: Any, hello: Any, example: Any, until: Any) -> None:
    async def main() -> None:
        there = harness(example())
        events: list[str] = []

        async def on_up(session: Any) -> None:
            events.append(f"up {await session.call('getblockcount')}")

        client = Reconnecting(
            there.path, hello=hello("wallet"), on_up=on_up, on_down=events.append, first=0.01, most=60
        )
        client.start()
        await until(lambda: events)
        assert events[0].endswith(" is not there") and client.session is None
        await there.up()  # seen by its appearance: the pause has grown, the test's deadline has not
        assert (await client.up(5)).peer.role == "node"
        assert await client.call("getblockcount") == 112
        await there.down()
        await until(lambda: client.session is None)
        assert events[1] == "up 112" and "closed" in events[2]
        await there.up()
        await client.up(5)
        assert events[-1] == "up 112"
        await client.close()
        assert client.session is None
        await there.down()

    asyncio.run(main())


def test_a_read_is_retried_and_a_change_is_not(harness: Any, hello: Any, example: Any) -> None:
    async def main() -> None:
        commands = example()
        there = harness(commands)
        await there.up()
        client = Reconnecting(there.path, hello=hello("wallet"), first=0.001)
        client.start()
        await client.up(5)
        reading = asyncio.ensure_future(client.call("wait", ["r"], changes=False))
        await asyncio.wait_for(commands.started.wait(), 5)
        for session in there.server.sessions:
            session.abort()
        commands.started.clear()
        await asyncio.wait_for(commands.started.wait(), 5)
        commands.release.set()
        assert await asyncio.wait_for(reading, 5) == "r"

        commands.release.clear()
        commands.started.clear()
        changing = asyncio.ensure_future(client.call("wait", ["c"]))
        await asyncio.wait_for(commands.started.wait(), 5)
        for session in there.server.sessions:
            session.abort()
        with pytest.raises(Disconnected):
            await changing
        await client.close()
        await there.down()

    asyncio.run(main())


def test_without_a_server_the_deadline_holds(harness: Any, hello: Any) -> None:
    async def main() -> None:
        client = Reconnecting(harness().path, hello=hello("wallet"))
        client.start()
        with pytest.raises(CallTimeout, match="No connection to"):
            await client.call("getblockcount", timeout=0.01)
        await client.close()

    asyncio.run(main())


def test_a_server_of_another_chain_is_an_attempt_that_failed(harness: Any, hello: Any, until: Any) -> None:
    async def main() -> None:
        there = harness()
        await there.up()
        reasons: list[str] = []
        client = Reconnecting(
            there.path, hello=hello("wallet", chain="main"), on_down=reasons.append, first=0.001, most=0.002
        )
        client.start()
        await until(lambda: reasons)
        for _ in range(200):
            await asyncio.sleep(0)
        assert len(reasons) == 1 and "-chain=regtest" in reasons[0]
        await client.close()
        await there.down()

    asyncio.run(main())


def test_an_on_up_that_fails_is_an_attempt_that_failed(harness: Any, hello: Any, until: Any) -> None:
    async def main() -> None:
        there = harness()
        await there.up()
        attempts: list[Any] = []

        async def on_up(session: Any) -> None:
            attempts.append(session)
            if len(attempts) < 3:
                raise RuntimeError("not yet")

        client = Reconnecting(there.path, hello=hello("wallet"), on_up=on_up, first=0.001)
        client.start()
        assert await client.up(5) is attempts[2]
        await until(lambda: attempts[0].closed.done())
        await client.close()
        await there.down()

    asyncio.run(main())


def test_closed_while_a_new_session_is_put_to_use_it_leaves_none_behind(harness: Any, hello: Any, until: Any) -> None:
    async def main() -> None:
        there = harness()
        await there.up()
        attempts: list[Any] = []

        async def on_up(session: Any) -> None:
            attempts.append(session)
            await asyncio.Event().wait()

        client = Reconnecting(there.path, hello=hello("wallet"), on_up=on_up, first=0.001)
        client.start()
        await until(lambda: attempts)
        await client.close()
        await until(lambda: attempts[0].closed.done() and not there.server.sessions)
        await there.down()

    asyncio.run(main())


def test_one_that_is_held_is_tried_each_second() -> None:
    backoff = Backoff(0.5, 8.0)
    waits = []
    for _ in range(5):
        waits.append(backoff.failed())
        backoff.held()
    assert waits == [0.5, 1.0, 1.0, 1.0, 1.0]
