"""Endpoints, orphans and requests: what the node remembers about peers' transactions."""

import pytest
from btclib.tx import OutPoint, Tx, TxIn, TxOut

from bitcoind_mp.node.p2p.endpoint import Endpoint, parse_endpoint
from bitcoind_mp.node.p2p.orphans import MAX_ORPHANS, Orphan, Orphanage
from bitcoind_mp.node.p2p.requests import MAX_ANNOUNCEMENTS, MAX_IN_FLIGHT, REQUEST_TIMEOUT, TxRequests


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("example.org", Endpoint("example.org", 18444)),
        ("127.0.0.1:9", Endpoint("127.0.0.1", 9)),
        ("127.1:9", Endpoint("127.0.0.1", 9)),
        ("10.beef.example", Endpoint("10.beef.example", 18444)),
        ("::1", Endpoint("::1", 18444)),
        ("[::1]", Endpoint("::1", 18444)),
        ("[::1]:65535", Endpoint("::1", 65535)),
    ],
)
def test_endpoints_as_people_write_them(text: str, expected: Endpoint) -> None:
    assert parse_endpoint(text, 18444) == expected


@pytest.mark.parametrize("text", ["", ":80", "host:0", "host:65536", "host:x", "[::1", "[::1]80"])
def test_bad_endpoints_are_named(text: str) -> None:
    with pytest.raises(ValueError, match="not a host and port"):
        parse_endpoint(text, 18444)


def test_an_endpoint_is_printed_so_that_it_can_be_read_back() -> None:
    for endpoint in (Endpoint("::1", 5), Endpoint("10.0.0.1", 5)):
        assert parse_endpoint(str(endpoint), 1) == endpoint


def spend(parent: bytes, value: int = 1) -> Tx:
    return Tx(vin=[TxIn(OutPoint(parent, 0))], vout=[TxOut(value, b"\x51")], check_validity=False)


def test_orphans_are_found_by_their_parent_and_forgotten_with_their_peer() -> None:
    orphanage = Orphanage()
    child, other = spend(b"\x01" * 32), spend(b"\x02" * 32)
    orphanage.add(child.hash, Orphan(child, 100, peer=1))
    orphanage.add(other.hash, Orphan(other, 100, peer=2))
    assert [wtxid for wtxid, _ in orphanage.children_of(b"\x01" * 32)] == [child.hash]
    orphanage.forget_peer(1)
    assert child.hash not in orphanage
    assert other.hash in orphanage


def test_orphans_are_bounded_in_number_and_size() -> None:
    orphanage = Orphanage()
    for n in range(MAX_ORPHANS + 5):
        tx = spend(b"\x01" * 32, n)
        orphanage.add(tx.hash, Orphan(tx, 100, peer=1))
    assert len(orphanage) == MAX_ORPHANS
    assert spend(b"\x01" * 32, 0).hash not in orphanage  # the oldest went
    big = [spend(b"\x03" * 32, n) for n in range(4)]
    for tx in big:
        orphanage.add(tx.hash, Orphan(tx, 1_500_000, peer=1))
    assert len(orphanage) == 2


def test_one_announcer_is_asked_at_a_time_and_the_next_when_it_is_silent() -> None:
    requests = TxRequests()
    requests.announced(1, b"a")
    requests.announced(2, b"a")
    assert requests.next_requests(0.0) == {1: [b"a"]}
    assert requests.next_requests(REQUEST_TIMEOUT - 1) == {}
    assert requests.next_deadline() == REQUEST_TIMEOUT
    assert requests.next_requests(REQUEST_TIMEOUT) == {2: [b"a"]}
    assert requests.next_requests(2 * REQUEST_TIMEOUT) == {}
    assert len(requests) == 0


def test_a_peer_without_it_or_gone_frees_the_request_at_once() -> None:
    requests = TxRequests()
    for peer in (1, 2, 3):
        requests.announced(peer, b"a")
    assert requests.next_requests(0.0) == {1: [b"a"]}
    requests.answered(1, b"a")
    assert requests.next_requests(1.0) == {2: [b"a"]}
    requests.forget_peer(2)
    assert requests.next_requests(2.0) == {3: [b"a"]}
    requests.received(b"a")
    assert requests.next_requests(1000.0) == {}
    assert requests.next_deadline() is None


def test_one_peer_cannot_fill_the_memory() -> None:
    """Being asked for what it announced, and staying silent, makes no room for more."""
    requests = TxRequests()
    for n in range(3 * MAX_ANNOUNCEMENTS):
        requests.announced(1, n.to_bytes(32, "big"))
        if n % 1000 == 0:
            requests.next_requests(float(n) / 1000)
    assert len(requests) == MAX_ANNOUNCEMENTS
    requests.announced(2, b"b" * 32)
    assert len(requests) == MAX_ANNOUNCEMENTS + 1
    requests.forget_peer(1)
    assert len(requests) == 1


def test_a_peer_is_asked_for_so_many_at_a_time_and_another_for_the_rest() -> None:
    requests = TxRequests()
    hashes = [n.to_bytes(32, "big") for n in range(MAX_IN_FLIGHT + 10)]
    for hash in hashes:
        requests.announced(1, hash)
    assert requests.next_requests(0.0) == {1: hashes[:MAX_IN_FLIGHT]}
    assert requests.next_requests(1.0) == {}
    for hash in hashes:
        requests.announced(2, hash)
    assert requests.next_requests(2.0) == {2: hashes[MAX_IN_FLIGHT:]}
    requests.received(*hashes[:5])
    assert requests.next_requests(3.0) == {}
    assert requests.next_requests(REQUEST_TIMEOUT) == {2: hashes[5 : MAX_IN_FLIGHT - 5]}
    requests.received(*hashes)
    assert len(requests) == 0
    assert requests.next_deadline() is None
