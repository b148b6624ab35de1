"""The transport: what is cut into messages, and what ends a connection."""

import pytest
from btclib.p2p import Message, Ping

from bitcoind_mp.node.p2p.wire import PeerEndedError, Wire

MAGIC = bytes.fromhex("fabfb5da")


def test_messages_arrive_whole_however_the_bytes_were_cut() -> None:
    sent = [Message(MAGIC, "ping", Ping(n).serialize()) for n in range(5)]
    stream = b"".join(message.serialize() for message in sent)
    for size in (1, 7, 24, 33, len(stream)):
        wire = Wire(MAGIC)
        got = [m for at in range(0, len(stream), size) for m in wire.feed(stream[at : at + size])]
        assert got == sent


def test_what_is_packed_is_read_back() -> None:
    wire = Wire(MAGIC)
    assert [m.payload for m in wire.feed(wire.pack(Ping(7)))] == [Ping(7).serialize()]
    assert [(m.command, m.payload) for m in wire.feed(wire.pack_raw("block", b"x" * 100))] == [("block", b"x" * 100)]


@pytest.mark.parametrize(
    "data",
    [
        Message(bytes(4), "ping", b"").serialize(),
        b"\xde\xad\xbe\xef" + bytes(60),
        MAGIC + b"ping".ljust(12, b"\0") + (5_000_000).to_bytes(4, "little") + bytes(4),
        MAGIC + b"\xffing".ljust(12, b"\0") + (5_000_000).to_bytes(4, "little") + bytes(4),
    ],
    ids=["other network", "not bitcoin", "too long", "too long and bad"],
)
def test_bytes_that_are_no_message_end_the_connection(data: bytes) -> None:
    with pytest.raises(PeerEndedError):
        list(Wire(MAGIC).feed(data))


@pytest.mark.parametrize(
    "bad",
    [
        MAGIC + b"pi\0g".ljust(12, b"x") + bytes(8),
        MAGIC + b"\xffing".ljust(12, b"\0") + (70).to_bytes(4, "little") + bytes(4) + MAGIC + bytes(66),
        Message(MAGIC, "ping", bytes(8)).serialize()[:-1] + b"\x01",
    ],
    ids=["bad command", "bad command with a payload", "bad checksum"],
)
def test_a_whole_message_that_is_bad_is_passed_over(bad: bytes) -> None:
    good = [Message(MAGIC, "ping", Ping(n).serialize()) for n in range(3)]
    stream = good[0].serialize() + bad + good[1].serialize() + bad + bad + good[2].serialize() + bad
    for size in (1, 7, 24, 33, len(stream)):
        wire = Wire(MAGIC)
        assert [m for at in range(0, len(stream), size) for m in wire.feed(stream[at : at + size])] == good


def test_another_transport_is_known_by_its_first_byte() -> None:
    with pytest.raises(PeerEndedError):
        list(Wire(MAGIC).feed(b"\x01"))


def test_messages_before_a_bad_one_are_given() -> None:
    good = Message(MAGIC, "ping", bytes(8))
    got = []
    with pytest.raises(PeerEndedError):
        for message in Wire(MAGIC).feed(good.serialize() + bytes(24)):
            got.append(message)
    assert got == [good]
