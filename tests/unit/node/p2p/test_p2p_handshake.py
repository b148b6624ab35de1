"""The opening of a connection."""

import pytest
from btclib.p2p import Message, Payload, Verack, Version, WtxidRelay

from bitcoind_mp.node.p2p.handshake import Handshake
from bitcoind_mp.node.p2p.wire import PeerEndedError

MAGIC = bytes.fromhex("fabfb5da")


def version(nonce: int, number: int = 70016) -> Version:
    return Version(number, nonce=nonce)


def commands(payloads: list[Payload]) -> list[str]:
    return [payload.command for payload in payloads]


def deliver(payloads: list[Payload], to: Handshake) -> list[Payload]:
    return [answer for payload in payloads for answer in to.receive(payload.to_message(MAGIC))]


def test_two_sides_complete_and_agree_on_wtxid_relay() -> None:
    caller = Handshake(version(1), inbound=False, our_nonces={1})
    called = Handshake(version(2), inbound=True, our_nonces={2})
    assert called.start() == []
    from_called = deliver(caller.start(), called)
    assert commands(from_called) == ["version", "wtxidrelay", "verack"]
    from_caller = deliver(from_called, caller)
    assert commands(from_caller) == ["wtxidrelay", "verack"]
    deliver(from_caller, called)
    assert caller.complete
    assert called.complete
    assert caller.wtxid_relay
    assert called.wtxid_relay
    assert caller.theirs == called.ours


def test_an_old_peer_gets_no_wtxid_relay() -> None:
    called = Handshake(version(2), inbound=True, our_nonces=set())
    answer = called.receive(version(1, 70015).to_message(MAGIC))
    assert commands(answer) == ["version", "verack"]
    called.receive(WtxidRelay().to_message(MAGIC))
    called.receive(Verack().to_message(MAGIC))
    assert called.complete
    assert not called.wtxid_relay


def test_nothing_counts_before_the_version() -> None:
    called = Handshake(version(2), inbound=True, our_nonces=set())
    assert called.receive(Verack().to_message(MAGIC)) == []
    assert not called.complete


def test_a_second_version_changes_nothing() -> None:
    called = Handshake(version(2), inbound=True, our_nonces=set())
    called.receive(version(1).to_message(MAGIC))
    assert called.receive(version(9).to_message(MAGIC)) == []
    assert called.theirs == version(1)


def test_a_connection_to_ourselves_is_refused() -> None:
    called = Handshake(version(2), inbound=True, our_nonces={1, 2})
    with pytest.raises(PeerEndedError, match="ourselves"):
        called.receive(version(1).to_message(MAGIC))


@pytest.mark.parametrize("message", [version(1, 31799).to_message(MAGIC), Message(MAGIC, "version", b"\x01")])
def test_obsolete_and_unreadable_versions_are_refused(message: Message) -> None:
    with pytest.raises(PeerEndedError):
        Handshake(version(2), inbound=True, our_nonces=set()).receive(message)
