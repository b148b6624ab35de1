"""A server that closes while another process is to go on with its callers: nobody's call is lost or refused, and no
connection goes over that the other process couldn't go on with."""

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bitcoind_mp.interfaces.command import command, interface_method
from bitcoind_mp.interfaces.errors import Disconnected, RpcCode, RpcError
from bitcoind_mp.ipc.client import attach
from bitcoind_mp.ipc.serve.server import Server
from bitcoind_mp.ipc.session import Session
from bitcoind_mp.ipc.wire.unix import bind_listener


class Here:
    """Says which server answers, at once or when it is told to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.begun: list[str] = []
        self.go = asyncio.Event()

    @command("control")
    def where(self) -> str:
        """Who."""
        self.begun.append("where")
        return self.name

    @command("control", changes=True)
    async def slow(self) -> str:
        """Who, after a while."""
        self.begun.append("slow")
        await self.go.wait()
        return self.name

    @command("control", waits=True)
    async def wait(self) -> str:
        """Who, when something happens."""
        self.begun.append("wait")
        await self.go.wait()
        return self.name


class Caller:
    """A program with a connection of its own, which has shaken no hands."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def of(cls, server: Server) -> "Caller":
        ours, theirs = socket.socketpair()
        await server.adopt(theirs)
        return cls(*await asyncio.open_unix_connection(sock=ours))

    def say(self, method: str, identity: int = 1) -> None:
        self.writer.write(json.dumps({"jsonrpc": "2.0", "method": method, "id": identity}).encode() + b"\n")

    async def hear(self) -> Any:
        """The next result or error; "" at the end of the connection."""
        line = await asyncio.wait_for(self.reader.readline(), 10)
        if not line:
            return ""
        message = json.loads(line)
        return message["result"] if "result" in message else message["error"]


@pytest.fixture
def pair(hello: Any) -> Callable[[], tuple[Server, Here, Server, Here]]:
    """Two servers, the one that goes and the next, with what each serves."""

    def make() -> tuple[Server, Here, Server, Here]:
        old, new = Here("old"), Here("new")
        return Server([old], hello=hello("node")), old, Server([new], hello=hello("node")), new

    return make


def test_a_caller_notices_nothing(pair: Any, until: Any) -> None:
    async def main() -> None:
        first, old, second, _ = pair()
        caller = await Caller.of(first)
        idle = await Caller.of(first)
        caller.say("where")
        assert await caller.hear() == "old"
        caller.say("slow", 2)
        await until(lambda: "slow" in old.begun)
        kept: list[socket.socket] = []
        closing = asyncio.ensure_future(first.close(keep=kept.extend))
        await asyncio.sleep(0)
        caller.say("where", 3)
        idle.say("where")
        old.go.set()
        assert await caller.hear() == "old", "what had begun is answered"
        await closing
        assert old.begun == ["where", "slow"], "what came later was left to the next"
        await second.go_on_with(kept)
        assert [await caller.hear(), await idle.hear()] == ["new", "new"]
        caller.say("where", 4)
        assert await caller.hear() == "new"
        await second.close(0)

    asyncio.run(main())


def test_many_go_over_in_a_channel(pair: Any) -> None:
    async def main() -> None:
        first, _, second, _ = pair()
        callers = [await Caller.of(first) for _ in range(300)]
        sending, taking = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

        def keep(connections: list[socket.socket]) -> None:
            numbers = [each.fileno() for each in connections]
            for start in range(0, len(numbers), 253):
                socket.send_fds(sending, [b"."], numbers[start : start + 253])
            for each in connections:
                each.close()

        await first.close(keep=keep)
        sending.close()
        await second.go_on_with([taking])
        for caller in callers:
            caller.say("where")
            assert await caller.hear() == "new"
        assert taking.fileno() == -1
        await second.close(0)

    asyncio.run(main())


def test_who_connects_as_it_closes_is_answered_by_the_next(pair: Any, tmp_path: Path) -> None:
    """Be it that the server has accepted already or not, in whichever turn of the loop."""

    async def main(turns: int) -> None:
        first, _, second, _ = pair()
        listening = bind_listener(tmp_path / f"{turns}")
        again = listening.dup()
        await first.serve(listening)
        callers = [Caller(*await asyncio.open_unix_connection(tmp_path / f"{turns}")) for _ in range(20)]
        for caller in callers:
            caller.say("where")
        for _ in range(turns):
            await asyncio.sleep(0)
        kept: list[socket.socket] = []
        await first.close(keep=kept.extend)
        await second.serve(again)
        await second.go_on_with(kept)
        answers = [await caller.hear() for caller in callers]
        assert set(answers) <= {"old", "new"}, answers
        await second.close(0)

    for turns in range(8):
        asyncio.run(main(turns))


@pytest.mark.parametrize("state", ["half a request", "a subscription", "hands shaken", "replies unread"])
def test_who_needs_what_this_process_knows_stays(pair: Any, hello: Any, state: str) -> None:
    class Large:
        @command("control")
        def large(self) -> str:
            """More than a socket takes."""
            return "x" * 8_000_000

    async def main() -> None:
        first, _, _, _ = pair()
        first.add(Large())
        caller = await Caller.of(first)
        (session,) = first.sessions
        if state == "half a request":
            caller.writer.write(b'{"jsonrpc":"2.0",')
        elif state == "a subscription":
            session.on_end(lambda: None)
        elif state == "hands shaken":
            session.peer = hello("cli")
        else:
            caller.reader._limit = 1 << 30  # type: ignore[attr-defined]
            caller.writer.transport.pause_reading()  # type: ignore[attr-defined]
            caller.say("large")
        for _ in range(10):
            await asyncio.sleep(0)
        kept: list[socket.socket] = []
        await first.close(0.1, keep=kept.extend)
        assert kept == []

    asyncio.run(main())


def test_what_can_be_made_anew_keeps_nobody(pair: Any) -> None:
    async def main() -> None:
        first, _, _, _ = pair()
        caller = await Caller.of(first)
        tidied: list[str] = []
        first.sessions[0].on_end(lambda: tidied.append("a connection for this caller"), tidies=True)
        undo = first.sessions[0].on_end(lambda: tidied.append("undone"))
        undo()
        undo()
        kept: list[socket.socket] = []
        await first.close(keep=kept.extend)
        assert len(kept) == 1
        assert tidied == ["a connection for this caller"]
        kept[0].close()
        assert await caller.hear() == ""

    asyncio.run(main())


def test_a_call_that_waits_ends_and_its_connection_goes_over(pair: Any, until: Any) -> None:
    async def main() -> None:
        first, old, second, _ = pair()
        caller = await Caller.of(first)
        caller.say("wait")
        await until(lambda: "wait" in old.begun)
        kept: list[socket.socket] = []
        async with asyncio.timeout(4):  # less than calls have that end by themselves
            await first.close(keep=kept.extend)
        assert await caller.hear() == {"code": int(RpcCode.CLIENT_NOT_CONNECTED), "message": "Shutting down"}
        await second.go_on_with(kept)
        caller.say("where", 2)
        assert await caller.hear() == "new"
        await second.close(0)

    asyncio.run(main())


def test_who_may_not_call_the_next_is_not_served_by_it(pair: Any, hello: Any) -> None:
    from bitcoind_mp.ipc.wire.credentials import AccessRule, Credentials

    async def main() -> None:
        first, _, _, _ = pair()
        caller = await Caller.of(first)
        kept: list[socket.socket] = []
        await first.close(keep=kept.extend)
        stranger = Credentials(1, 12345, 12345)
        strict = Server(hello=hello("node"), access=AccessRule(1), credentials=lambda _: stranger)
        await strict.go_on_with(kept)
        assert (await caller.hear())["code"] == int(RpcCode.INVALID_REQUEST)
        assert await caller.hear() == ""

    asyncio.run(main())


# --- those who have shaken hands: processes of ours


async def connected(server: Server, hello: Any) -> Session:
    ours, theirs = socket.socketpair()
    await server.adopt(theirs)
    return await attach(ours, hello=hello("wallet"))


def test_our_own_are_told_and_no_call_of_theirs_is_of_unknown_outcome(pair: Any, hello: Any, until: Any) -> None:
    async def main() -> None:
        first, old, _, _ = pair()
        session = await connected(first, hello)
        calls = [asyncio.ensure_future(session.call("slow"))]
        await until(lambda: "slow" in old.begun)
        closing = asyncio.ensure_future(first.close())
        answers: list[str] = []
        while not closing.done():  # without a pause: one that is under way as the connection ends would be lost
            try:
                answers.append(await session.call("where"))
            except RpcError as error:
                answers.append(error.message)
            except Disconnected:
                break
            old.go.set()
            await asyncio.sleep(0)
        await closing
        assert await calls[0] == "old"
        assert set(answers) == {"Shutting down"}
        assert "where" not in old.begun

    asyncio.run(main())


def test_one_that_says_nothing_is_not_waited_for_long(pair: Any, hello: Any) -> None:
    async def main() -> None:
        first, _, _, _ = pair()
        session = await connected(first, hello)
        session._link.pause_reading()
        async with asyncio.timeout(4):
            await first.close(1)
        session.abort()

    asyncio.run(main())


def test_notices_are_no_requests(serving: Any) -> None:
    """A request of that name is one that nobody serves: no other side can have its calls swallowed."""

    class Other:
        @interface_method("rpc.other")
        async def other(self) -> int:
            return 1

    async def main() -> None:
        async with serving(Other()) as (_, session):
            with pytest.raises(RpcError, match="Method not found"):
                await session.call("rpc.leaving")
            assert await session.call("rpc.other") == 1

    asyncio.run(main())


# --- what may have been done already


@pytest.mark.parametrize("handshake", [True, False])
def test_nobody_is_told_that_nothing_was_done_of_what_had_begun_to_take_effect(
    serving: Any, example: Any, handshake: bool
) -> None:
    """Whoever hears "Shutting down" asks the next process: a payment would be made twice."""

    async def main() -> None:
        commands = example()
        async with serving(commands, handshake=handshake) as (server, session):
            commits = asyncio.ensure_future(session.call("commit", ["b"]))
            await asyncio.wait_for(commands.started.wait(), 5)
            await server.close(0.01, patience=0.01)
            with pytest.raises(RpcError, match=r"begun to take effect\. Whether all of it did is unknown"):
                await commits
            assert commands.seen == ["cancelled b"]

    asyncio.run(main())
