"""Connections passed from one process to another over a channel."""

import asyncio
import contextlib
import os
import socket
from pathlib import Path

import pytest

from bitcoind_mp.interfaces.command import command
from bitcoind_mp.interfaces.init import PROTOCOL_VERSION, Hello
from bitcoind_mp.ipc.client import attach
from bitcoind_mp.ipc.reconnect import Reconnecting
from bitcoind_mp.ipc.serve.entrance import Entrance, Served, by
from bitcoind_mp.ipc.serve.server import Server
from bitcoind_mp.ipc.wire.passing import call_over, is_channel, take_from

HELLO = Hello("signer", PROTOCOL_VERSION, "regtest", "0.1", os.getpid())


def descriptors() -> set[str]:
    """What this process has open."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.fixture
def channel():
    calling, answering = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    yield calling, answering
    calling.close()
    answering.close()


def test_a_connection_waits_for_who_takes_it(channel) -> None:
    calling, answering = channel
    assert is_channel(answering)
    ours = call_over(calling)
    ours.send(b"said before it was taken")
    theirs = take_from(answering)
    assert theirs is not None
    assert theirs.recv(100) == b"said before it was taken"
    ours.close()
    assert theirs.recv(100) == b""
    theirs.close()
    with pytest.raises(BlockingIOError):
        take_from(answering)
    calling.close()
    with pytest.raises(EOFError):
        take_from(answering)


def test_an_empty_packet_is_not_the_end_of_all_callers(channel) -> None:
    """Any of them may send one, and the others go on calling."""
    calling, answering = channel
    calling.send(b"")
    assert take_from(answering) is None
    with call_over(calling):
        taken = take_from(answering)
        assert taken is not None
        taken.close()


def test_nobody_waits_because_another_has_switched_that_on(channel) -> None:
    """It is a flag of the channel's end, which all who hold it have in common."""
    calling, answering = channel
    for end in channel:
        os.set_blocking(end.fileno(), True)
    with pytest.raises(BlockingIOError):
        take_from(answering)
    kept = []
    with pytest.raises(OSError, match=r"unavailable|references"):
        while True:
            kept.append(call_over(calling))
    for each in kept:
        each.close()
    assert [os.get_blocking(end.fileno()) for end in channel] == [True, True], "nor for others"


def test_what_was_passed_is_inherited_by_no_program(channel) -> None:
    calling, answering = channel
    with call_over(calling):
        taken = take_from(answering)
        assert taken is not None
        with taken:
            assert not taken.get_inheritable()


def test_nothing_but_one_connected_stream_is_taken(channel) -> None:
    calling, answering = channel
    open_before = descriptors()
    with socket.socket(socket.AF_UNIX) as unconnected, socket.socket(socket.AF_UNIX) as listening:
        listening.bind("")
        listening.listen()
        packets = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pair = socket.socketpair()
        null = os.open(os.devnull, os.O_RDONLY)
        inet = socket.socket(socket.AF_INET)
        sent = [[], [null], [unconnected.fileno()], [listening.fileno()], [packets[0].fileno()], [inet.fileno()]]
        sent.append([end.fileno() for end in pair])
        for along in sent:
            socket.send_fds(calling, [b"."], along)
            assert take_from(answering) is None
        for each in (*packets, *pair, inet):
            each.close()
        os.close(null)
    assert descriptors() == open_before


def test_a_full_channel_says_so_and_leaves_nothing_open(channel) -> None:
    calling, _ = channel
    kept = []
    with pytest.raises(OSError, match=r"unavailable|references"):
        while True:
            kept.append(call_over(calling))
    before = len(descriptors())
    with pytest.raises(OSError, match=r"unavailable|references"):
        call_over(calling)
    assert len(descriptors()) == before
    for one in kept:
        one.close()


class Greeter:
    def __init__(self, name: str) -> None:
        self._name = name

    @command("test")
    def who(self) -> str:
        """Tells who answers.

        Returns:
            A name
        """
        return self._name


def test_a_caller_waits_while_the_other_is_started_again(channel) -> None:
    """What it passed meanwhile, the next one answers; and pids are told."""
    calling, answering = channel

    async def scenario() -> None:
        pids: list[int] = []
        left: list[str] = []

        def made(name: str) -> Served:
            return Server([Greeter(name)], hello=HELLO), lambda: left.append(name)

        entrance = Entrance(answering, lambda: made("first"), pids.append)
        entrance.open()
        link = Reconnecting("the signer", hello=HELLO, dial=lambda: call_over(calling))
        link.start()
        assert await link.call("who", timeout=30) == "first"
        await entrance.close()
        await entrance.end(5)
        assert left == ["first"]
        asking = asyncio.ensure_future(link.call("who", changes=False, timeout=30))
        again = Entrance(answering, lambda: made("second"), pids.append)
        again.open()
        assert await asking == "second"
        assert set(pids) == {os.getpid()}
        await link.close()
        await again.close()
        await again.end(5)
        assert left == ["first", "second"]

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_who_connects_again_and_again_takes_no_more_than_there_is(channel) -> None:
    calling, answering = channel

    async def scenario() -> None:
        left: list[int] = []
        gone = asyncio.Event()

        def ended() -> None:
            left.append(1)
            gone.set()

        entrance = Entrance(answering, lambda: (Server([Greeter("me")], hello=HELLO), ended), lambda pid: None, most=2)
        entrance.open()
        sessions = []
        for _ in range(3):
            sessions.append(await attach(call_over(calling), hello=HELLO))
            assert await sessions[-1].call("who") == "me"
        await asyncio.wait_for(gone.wait(), 30)
        assert len(left) == 1
        await asyncio.wait_for(asyncio.shield(sessions[0].closed), 30)
        assert [await session.call("who") for session in sessions[1:]] == ["me", "me"]
        await entrance.close()
        await entrance.end(5)
        assert len(left) == 3

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_process_that_connects_again_and_again_ends_its_own_connections_alone(channel) -> None:
    calling, answering = channel

    async def scenario(another: int, told: int) -> None:
        entrance = Entrance(answering, by(Server([Greeter("me")], hello=HELLO)), most=20)
        entrance.open()
        while not (entrance_sessions := entrance.sessions):  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.01)
        ours = [await attach(call_over(calling), hello=HELLO) for _ in range(100)]
        assert [await session.call("who") for session in ours[-10:]] == ["me"] * 10
        assert entrance_sessions[0] in entrance.sessions
        assert len(entrance.sessions) < 30
        os.write(told, b"ask")
        assert await asyncio.to_thread(os.waitpid, another, 0) == (another, 0), "it is answered still"
        await entrance.close()
        await entrance.end(5)

    reading, writing = os.pipe()
    another = os.fork()
    if another == 0:
        status = 1
        with contextlib.suppress(BaseException):
            connected = call_over(calling)
            os.read(reading, 3)
            connected.settimeout(30)
            connected.sendall(b'{"jsonrpc":"2.0","method":"who","id":1}\n')
            status = b'"me"' not in connected.recv(1000)
        os._exit(status)
    os.close(reading)
    try:
        asyncio.run(asyncio.wait_for(scenario(another, writing), 60))
    finally:
        os.close(writing)
