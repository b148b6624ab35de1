import asyncio
import json
import logging
import socket
from pathlib import Path
from typing import Any

import pytest

from bitcoind_mp.interfaces.command import command, commit_point, pause_point
from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcCode, RpcError
from bitcoind_mp.interfaces.health import Health, HealthCheck
from bitcoind_mp.ipc.client import connect
from bitcoind_mp.ipc.serve.server import Server
from bitcoind_mp.ipc.wire.credentials import AccessRule, Credentials
from bitcoind_mp.ipc.wire.unix import bind_listener


class Checked(HealthCheck):
    async def check(self) -> Health:
        return Health("well")


def test_a_name_can_be_served_once(hello: Any, example: Any) -> None:
    class Again:
        @command("blockchain")
        def getblockcount(self) -> int:
            """Again."""
            return 1

    async def main() -> None:
        with pytest.raises(ValueError, match="Again: getblockcount is served already"):
            Server([example(), Again()], hello=hello("node"))

    asyncio.run(main())


def test_a_server_may_bring_its_own_help(serving: Any) -> None:
    class Helpful:
        @command("control")
        def help(self, command: str = "") -> str:
            """Better help."""
            return "better"

    async def main() -> None:
        async with serving(Helpful()) as (_, session):
            assert await session.call("help") == "better"
        async with serving() as (_, session):
            assert (await session.call("help")).startswith("== Control ==")
            assert (await session.call("help", ["help"])).startswith('help ( "command" )\n\nList all commands')

    asyncio.run(main())


def test_objects_may_follow_while_it_serves(serving: Any, example: Any) -> None:
    async def main() -> None:
        async with serving(warmup="Loading…") as (server, session):
            with pytest.raises(RpcError, match="Loading…"):
                await session.call("getblockcount")
            server.add(example())
            server.warmup = ""
            assert await session.call("getblockcount") == 112

    asyncio.run(main())


def test_it_serves_on_a_bound_socket_and_stops(tmp_path: Path, hello: Any, example: Any) -> None:
    async def main() -> None:
        path = tmp_path / "node.sock"
        listening = bind_listener(path)
        server = Server([example()], hello=hello("node"))
        await server.serve(listening)
        session = await connect(path, hello=hello("cli"))
        assert await session.call("getblockcount") == 112
        await server.close()
        await asyncio.wait_for(session.closed, 5)
        with pytest.raises(Disconnected):
            await session.call("getblockcount")
        with pytest.raises(ConnectionRefusedError):
            await connect(path)

    asyncio.run(main())


def test_closing_cancels_what_waits_and_lets_what_has_committed_end(serving: Any, example: Any, until: Any) -> None:
    async def main() -> None:
        commands = example()
        async with serving(commands) as (server, session):
            waits = asyncio.ensure_future(session.call("wait", ["a"]))
            commits = asyncio.ensure_future(session.call("commit", ["b"]))
            await asyncio.wait_for(commands.started.wait(), 5)
            await until(lambda: len(server._shared.running) == 2)
            closing = asyncio.ensure_future(server.close(5))
            with pytest.raises(RpcError, match="Shutting down"):
                await waits
            assert not closing.done()
            commands.release.set()
            assert await commits == "b"
            await closing
            assert commands.seen == ["cancelled a", "done b"]

    asyncio.run(main())


class ByParts:
    """Does one thing after the other, and can be told to stop between two."""

    def __init__(self) -> None:
        self.done = 0
        self.more = asyncio.Semaphore(0)

    @command("control", changes=True, waits=True)
    async def parts(self) -> int:
        """Do them."""
        while True:
            commit_point()
            await self.more.acquire()
            self.done += 1
            pause_point()


@pytest.mark.parametrize("how", ["cancelled", "closing"])
def test_a_long_call_that_changes_something_ends_between_two_parts(serving: Any, until: Any, how: str) -> None:
    async def main() -> None:
        work = ByParts()
        async with serving(work) as (server, session):
            called = asyncio.ensure_future(session.call("parts"))
            work.more.release()
            await until(lambda: work.done == 1)
            if how == "cancelled":
                called.cancel()
            else:
                closing = asyncio.ensure_future(server.close())
            await asyncio.sleep(0.3)
            assert server._shared.running, "the part that has begun is done"
            work.more.release()
            await until(lambda: not server._shared.running)
            work.more.release()
            if how == "closing":
                await closing
                with pytest.raises(RpcError, match=r"begun to take effect\. Whether all of it did is unknown"):
                    await called
            assert work.done == 2

    asyncio.run(main())


class Brief:
    """Takes a moment, as most calls do."""

    @command("control")
    async def brief(self) -> str:
        """Take a moment."""
        await asyncio.sleep(0.03)
        return "done"


def test_who_just_came_is_answered_before_it_closes(serving: Any, until: Any) -> None:
    """A worker that is restarted refuses nobody whose call takes a moment: the next one has the others."""

    async def main() -> None:
        async with serving(Brief()) as (server, session):
            called = asyncio.ensure_future(session.call("brief"))
            await until(lambda: server._shared.running)
            await server.close()
            assert await called == "done"

    asyncio.run(main())


def test_a_connection_that_was_just_accepted_may_say_what_it_is_for(serving: Any) -> None:
    async def main() -> None:
        async with serving(Brief()) as (server, _):
            ours, theirs = socket.socketpair()
            await server.adopt(theirs)
            closing = asyncio.ensure_future(server.close())
            await asyncio.sleep(0)
            reader, writer = await asyncio.open_unix_connection(sock=ours)
            writer.write(b'{"jsonrpc":"2.0","id":1,"method":"brief"}\n')
            assert json.loads(await reader.readline())["result"] == "done"
            await closing
            writer.close()

    asyncio.run(main())


@pytest.mark.parametrize("handshake", [True, False])
def test_what_comes_while_it_closes_is_not_begun(serving: Any, example: Any, handshake: bool) -> None:
    """What it needs would be closed under it. Its caller may ask the next process."""

    async def main() -> None:
        commands = example()
        async with serving(commands, handshake=handshake) as (server, session):
            commits = asyncio.ensure_future(session.call("commit", ["b"]))
            await asyncio.wait_for(commands.started.wait(), 5)
            closing = asyncio.ensure_future(server.close(5))
            await asyncio.sleep(0)
            for late in ("note", "anote"):
                with pytest.raises(RpcError, match="Shutting down") as refused:
                    await session.call(late, ["late"])
                assert refused.value.code == RpcCode.CLIENT_NOT_CONNECTED
            commands.release.set()
            assert await commits == "b"
            await closing
            assert commands.seen == ["done b"]

    asyncio.run(main())


def test_what_does_not_end_in_time_is_cancelled(serving: Any, example: Any, caplog: Any) -> None:
    async def main() -> None:
        commands = example()
        async with serving(commands) as (server, session):
            commits = asyncio.ensure_future(session.call("commit", ["b"]))
            await asyncio.wait_for(commands.started.wait(), 5)
            await server.close(0.01, patience=0.01)
            with pytest.raises((RpcError, Disconnected)):
                await commits
            assert commands.seen == ["cancelled b"]

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert "1 calls did not end" in caplog.text


def test_a_disconnected_client_s_call_is_cancelled(serving: Any, example: Any, until: Any) -> None:
    async def main() -> None:
        commands = example()
        async with serving(commands) as (server, session):
            call = asyncio.ensure_future(session.call("wait", ["a"]))
            await asyncio.wait_for(commands.started.wait(), 5)
            (theirs,) = server.sessions
            session.abort()
            with pytest.raises(Disconnected):
                await call
            await asyncio.wait_for(theirs.closed, 5)
            await until(lambda: not server._shared.running)
            assert commands.seen == ["cancelled a"] and server.sessions == []

    asyncio.run(main())


def test_a_client_that_only_shut_down_its_side_is_answered(hello: Any, example: Any) -> None:
    async def main() -> None:
        commands = example()
        server = Server([commands], hello=hello("node"))
        ours, theirs = socket.socketpair()
        await server.adopt(ours)
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(theirs, b'{"jsonrpc":"2.0","method":"wait","params":["x"],"id":1}\n')
        theirs.shutdown(socket.SHUT_WR)
        await asyncio.wait_for(commands.started.wait(), 5)
        commands.release.set()
        answer = await asyncio.wait_for(loop.sock_recv(theirs, 1000), 5)
        assert json.loads(answer)["result"] == "x"
        assert await asyncio.wait_for(loop.sock_recv(theirs, 1000), 5) == b""
        theirs.close()
        await server.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    "peer, admitted",
    [
        (Credentials(1, 1000, 1000), True),
        (Credentials(1, 0, 0), True),
        (Credentials(1, 1001, 1001), False),
        (Credentials(1, 1001, 500), True),
        (Credentials(1, 1001, 1001, (4, 500)), True),
    ],
)
def test_who_may_call(hello: Any, example: Any, caplog: Any, peer: Credentials, admitted: bool) -> None:
    async def main() -> None:
        server = Server(
            [example()], hello=hello("node"), access=AccessRule(1000, 500), credentials=lambda connected: peer
        )
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        if admitted:
            await server.adopt(ours)
            await loop.sock_sendall(theirs, b'{"jsonrpc":"2.0","method":"getblockcount","id":1}\n')
            assert json.loads(await asyncio.wait_for(loop.sock_recv(theirs, 1000), 5))["result"] == 112
        else:
            with pytest.raises(PermissionError):
                await server.adopt(ours)
            refusal = json.loads(await asyncio.wait_for(loop.sock_recv(theirs, 1000), 5))
            assert "uid 1001 may not call this node" in refusal["error"]["message"]
            assert await asyncio.wait_for(loop.sock_recv(theirs, 1000), 5) == b""
            assert "refused a connection by uid 1001 (pid 1)" in caplog.text
        theirs.close()
        await server.close()

    asyncio.run(main())


def test_a_peer_that_can_t_be_told_is_refused(hello: Any) -> None:
    def fails(connected: socket.socket) -> Credentials:
        raise OSError("no credentials")

    async def main() -> None:
        server = Server(hello=hello("node"), credentials=fails)
        ours, theirs = socket.socketpair()
        with pytest.raises(PermissionError):
            await server.adopt(ours)
        theirs.close()
        await server.close()

    asyncio.run(main())


def test_beyond_the_most_connections_the_most_silent_is_cut(tmp_path: Path, hello: Any, example: Any) -> None:
    async def main() -> None:
        path = tmp_path / "s"
        server = Server([example()], hello=hello("node"), max_connections=3)
        await server.serve(bind_listener(path))
        greeted = await connect(path, hello=hello("wallet"))
        silent = await connect(path)
        talking = await connect(path)
        assert await talking.call("getblockcount") == 112
        newest = await connect(path)
        assert await newest.call("getblockcount") == 112
        await asyncio.wait_for(silent.closed, 5)
        assert await talking.call("getblockcount") == await greeted.call("getblockcount") == 112
        for session in (greeted, talking, newest):
            await session.close()
        await server.close()

    asyncio.run(main())


def test_a_server_that_does_not_answer_is_a_timeout(tmp_path: Path, hello: Any) -> None:
    async def main() -> None:
        path = tmp_path / "s"
        with bind_listener(path):
            with pytest.raises(CallTimeout):
                await connect(path, hello=hello("cli"), deadline=0.01)
            with pytest.raises(FileNotFoundError):
                await connect(tmp_path / "nosuch")

    asyncio.run(main())


def test_the_manifest_lists_commands_alone(serving: Any, example: Any) -> None:
    async def main() -> None:
        async with serving(example(), Checked()) as (server, _):
            commands = {entry["name"]: entry for entry in server.manifest()["commands"]}
            assert "getblockcount" in commands and "health.check" not in commands and "rpc.discover" not in commands
            assert commands["getblock"] == {
                "name": "getblock",
                "topic": "blockchain",
                "summary": "Returns a block.",
                "usage": 'getblock "blockhash" ( verbosity )',
                "params": [
                    {"name": "blockhash", "type": "string", "required": True},
                    {"name": "verbosity", "type": "number|boolean", "aliases": ["verbose"]},
                ],
            }
            assert commands["send"]["changes"] is True and commands["send"]["options"] == "options"
            assert commands["send"]["params"][1]["type"] == "number|string"
            assert commands["send"]["named"] == [
                {"name": "conf_target", "type": "number", "param": "options"},
                {"name": "replaceable", "type": "boolean", "param": "options"},
            ]
            assert commands["walletpassphrase"]["params"][0]["secret"] is True

    asyncio.run(main())


def test_discover_is_an_openrpc_document(serving: Any, example: Any) -> None:
    async def main() -> None:
        async with serving(example(), Checked()) as (_, session):
            document = await session.call("rpc.discover")
        methods = {method["name"]: method for method in document["methods"]}
        assert document["openrpc"] == "1.3.2" and document["info"]["title"] == "bitcoind-mp node"
        assert methods["getblock"]["params"][0]["schema"] == {"type": "string"}
        assert methods["getblock"]["tags"] == [{"name": "blockchain"}]
        assert methods["health.check"]["result"]["schema"] == {"$ref": "#/components/schemas/Health"}
        assert document["components"]["schemas"]["Health"]["properties"]["status"] == {"type": "string"}
        assert methods["init.handshake"]["params"][0]["name"] == "hello"
        assert methods["rpc.cancel"]["x-notification"] is True

    asyncio.run(main())
