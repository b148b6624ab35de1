"""One connection over a real socket: what a peer that lies, floods or doesn't read can do to the node."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from btclib.p2p import Message, Ping, Version

from bitcoind_mp.node.p2p.connection import Connection
from bitcoind_mp.node.p2p.endpoint import Endpoint
from bitcoind_mp.node.p2p.handshake import Handshake
from bitcoind_mp.node.p2p.peer import OTHER, Peer, Role, Traffic
from bitcoind_mp.node.p2p.wire import PeerMisbehavedError, Wire

MAGIC = bytes.fromhex("fabfb5da")
PATIENCE = 30.0
Handle = Callable[[Peer, Message], Awaitable[None]]


@dataclass
class Meeting:
    """Our end of a connection, and the far end as a plain socket that reads only when it is told to."""

    far: socket.socket
    reasons: list[str] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    connection: Connection | None = None

    @property
    def ours(self) -> Connection:
        assert self.connection is not None
        return self.connection

    @property
    def peer(self) -> Peer:
        assert self.ours.peer is not None
        return self.ours.peer

    async def say(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.far, data)


@asynccontextmanager
async def met(handle: Handle) -> AsyncIterator[Meeting]:
    near, far = socket.socketpair()
    far.setblocking(False)
    meeting = Meeting(far)

    def opened(connection: Connection) -> Peer:
        handshake = Handshake(Version(70016, nonce=1), inbound=True, our_nonces=set())
        return Peer(1, Endpoint("127.0.0.1", 5), connection, handshake, role=Role.INBOUND, traffic=Traffic(0))

    def closed(peer: Peer, reason: str) -> None:
        meeting.reasons.append(reason)
        meeting.ended.set()

    connection = meeting.connection = Connection(Wire(MAGIC), opened, handle, closed, lambda: 1)
    await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, near)
    try:
        async with asyncio.timeout(PATIENCE):
            yield meeting
            connection.close("the test is over")
            assert connection.task is not None
            await connection.task
    finally:
        far.close()


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(3000):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to that")


async def ignore(peer: Peer, message: Message) -> None:
    pass


def ping(nonce: int = 1) -> bytes:
    return Ping(nonce).to_message(MAGIC).serialize()


async def answer_with_much(peer: Peer, message: Message) -> None:
    peer.link.send_raw("block", bytes(4_000_000))


@pytest.mark.parametrize("how", ["ours", "theirs"])
def test_a_peer_that_does_not_read_is_gone_as_soon_as_the_connection_ends(how: str) -> None:
    async def story() -> None:
        async with met(answer_with_much) as meeting:
            await meeting.say(ping())
            await until(lambda: meeting.peer.traffic.bytes_sent > 0)
            if how == "ours":
                meeting.ours.close("too slow")
            else:
                meeting.far.shutdown(socket.SHUT_WR)
            await meeting.ended.wait()
            assert meeting.reasons == ["too slow" if how == "ours" else "socket closed"]

    asyncio.run(story())


def test_what_is_read_ahead_of_a_busy_node_is_bounded_in_bytes() -> None:
    async def story() -> None:
        busy = asyncio.Event()

        async def wait(peer: Peer, message: Message) -> None:
            await busy.wait()

        async with met(wait) as meeting:
            message = Message(MAGIC, "block", bytes(1_000_000)).serialize()
            sending = asyncio.create_task(meeting.say(message * 30))
            done, _ = await asyncio.wait([sending], timeout=2)
            assert not done
            assert meeting.peer.traffic.bytes_received <= 8_000_000
            busy.set()
            await sending
            await until(lambda: meeting.peer.traffic.bytes_received >= 30_000_000)

    asyncio.run(story())


def test_commands_that_nobody_knows_are_counted_together() -> None:
    async def story() -> None:
        async with met(ignore) as meeting:
            unknown = [Message(MAGIC, f"x{n}", b"").serialize() for n in range(1000)]
            await meeting.say(b"".join(unknown) + ping())
            await until(lambda: "ping" in meeting.peer.traffic.received)
            assert meeting.peer.traffic.received == {OTHER: 24_000, "ping": 32}

    asyncio.run(story())


def test_a_peer_that_misbehaves_is_cut_off_and_nothing_more_of_it_is_read() -> None:
    handled: list[str] = []

    async def refuse(peer: Peer, message: Message) -> None:
        handled.append(message.command)
        raise PeerMisbehavedError("bad")

    async def story() -> None:
        async with met(refuse) as meeting:
            await meeting.say(ping() * 3)
            await meeting.ended.wait()
            assert meeting.reasons == ["bad"]

    asyncio.run(story())
    assert handled == ["ping"]


def test_whoever_sends_much_can_wait_until_the_peer_has_read() -> None:
    async def story() -> None:
        sent: list[bool] = []

        async def flood(peer: Peer, message: Message) -> None:
            for _ in range(50):
                sent.append(await peer.link.drained())
                if not sent[-1]:
                    return
                peer.link.send_raw("block", bytes(1_000_000))

        async with met(flood) as meeting:
            await meeting.say(ping())
            await until(lambda: len(sent) > 1)
            await asyncio.sleep(0.2)
            assert meeting.peer.traffic.bytes_sent <= 4_000_000
            meeting.ours.close("gone")
            await meeting.ended.wait()
        assert sent[-1] is False

    asyncio.run(story())


def test_a_peer_of_many_messages_leaves_turns_to_everybody_else() -> None:
    """Messages that come in one piece are ready at once, and most are handled without waiting for anything."""
    turns = handled = 0

    async def count(peer: Peer, message: Message) -> None:
        nonlocal handled
        handled += 1

    def turn() -> None:
        nonlocal turns
        turns += 1
        asyncio.get_running_loop().call_soon(turn)

    async def story() -> None:
        async with met(count) as meeting:
            turn()
            await meeting.say(ping() * 1000)
            await until(lambda: handled == 1000)

    asyncio.run(story())
    assert turns > 500
