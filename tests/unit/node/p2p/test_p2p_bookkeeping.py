"""Endpoints, orphans and requests: what the node remembers about peers' transactions."""

import pytest
from btclib.tx import OutPoint, Tx, TxIn, TxOut

from bitcoind_mp.node.p2p.endpoint import Endpoint, parse_endpoint
from bitcoind_mp.node.p2p.orphans import MAX_WEIGHT, Orphanage
from bitcoind_mp.node.p2p.recent import RecentHashes
from bitcoind_mp.node.p2p.requests import REQUEST_TIMEOUT, TxRequests


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


def spend(*parents: bytes, value: int = 1, script: bytes = b"\x51") -> Tx:
    vin = [TxIn(OutPoint(parent, 0)) for parent in parents]
    return Tx(vin=vin, vout=[TxOut(value, script, check_validity=False)], check_validity=False)


def name(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_recent_hashes_forget_the_oldest() -> None:
    recent = RecentHashes(2)
    for hash in (b"a", b"b", b"a", b"c"):
        recent.add(hash)
    assert [hash in recent for hash in (b"a", b"b", b"c")] == [True, False, True]


def test_an_orphan_stays_as_long_as_one_of_its_peers() -> None:
    orphanage = Orphanage()
    child, other = spend(name(1)), spend(name(2))
    assert orphanage.add(child, 1)
    assert not orphanage.add(child, 2)  # known, of one peer more
    orphanage.add(other, 1)
    assert orphanage.is_from(child.hash, 1)
    assert orphanage.is_from(child.hash, 2)
    orphanage.forget_peer(1)
    assert child.hash in orphanage
    assert other.hash not in orphanage
    orphanage.forget_peer(2)
    assert len(orphanage) == 0


def test_children_are_tried_again_once_for_each_parent_that_comes_the_oldest_first() -> None:
    orphanage = Orphanage()
    parent = name(1)
    first, second = spend(parent, value=1), spend(parent, value=2)
    orphanage.add(first, 7)
    orphanage.add(second, 7)
    assert [tx.hash for tx in orphanage.children_of(parent, 7)] == [second.hash, first.hash]
    assert orphanage.children_of(parent, 8) == []
    assert orphanage.parent_came(parent, 0) == set()  # it has no such output
    assert orphanage.parent_came(parent, 1) == {7}
    assert orphanage.parent_came(parent, 1) == set()  # they are waiting already
    tried = [orphanage.to_reconsider(7), orphanage.to_reconsider(7), orphanage.to_reconsider(7)]
    assert [tx and tx.hash for tx in tried] == [first.hash, second.hash, None]
    assert len(orphanage) == 2  # until somebody removes them


def test_what_a_block_spends_is_no_orphan_any_more() -> None:
    orphanage = Orphanage()
    child = spend(name(1), name(2))
    orphanage.add(child, 1)
    orphanage.remove_spenders([(name(2), 1)])
    assert child.hash in orphanage
    orphanage.remove_spenders([(name(2), 0)])
    assert child.hash not in orphanage
    assert orphanage.parent_came(name(1), 1) == set()


def test_a_large_orphan_is_not_kept() -> None:
    orphanage = Orphanage()
    assert not orphanage.add(spend(name(1), script=b"\x6a" * (MAX_WEIGHT // 4)), 1)
    assert len(orphanage) == 0


def test_past_the_bounds_the_greediest_loses_its_oldest_and_nobody_else_anything() -> None:
    orphanage = Orphanage(max_score=10)
    honest = spend(name(0))
    orphanage.add(honest, 1)
    flood = [spend(name(1), value=value) for value in range(12)]
    for tx in flood:
        orphanage.add(tx, 2)
    assert len(orphanage) == 10
    assert honest.hash in orphanage
    assert [tx.hash in orphanage for tx in flood] == [False] * 3 + [True] * 9
    many_inputs = spend(*map(name, range(100, 150)))  # counts as six
    orphanage.add(many_inputs, 2)
    assert many_inputs.hash in orphanage
    assert honest.hash in orphanage
    assert len(orphanage) == 5


def test_weight_is_bounded_by_peer_too() -> None:
    orphanage = Orphanage(weight_per_peer=1000)
    small, large = spend(name(0)), [spend(name(1), value=n, script=b"\x6a" * 100) for n in range(4)]
    orphanage.add(small, 1)
    for tx in large:
        orphanage.add(tx, 2)
    kept = (2 * 1000 - small.weight) // large[0].weight
    assert 0 < kept < len(large)
    assert small.hash in orphanage
    assert [tx.hash in orphanage for tx in large] == [False] * (len(large) - kept) + [True] * kept


def asked(requests: TxRequests, now: float) -> dict[int, list[bytes]]:
    """Whom to ask for what, who then counts as asked."""
    found = requests.requestable(now)
    for announcements in found.values():
        for announcement in announcements:
            requests.requested(announcement, now)
    return {peer: [each.hash for each in announcements] for peer, announcements in found.items()}


def test_one_announcer_is_asked_at_a_time_and_the_next_when_it_is_silent() -> None:
    requests = TxRequests()
    requests.announced(1, b"a", 0.0)
    requests.announced(1, b"a", 0.0)
    requests.announced(2, b"a", 1.0)
    assert asked(requests, 0.0) == {1: [b"a"]}
    assert asked(requests, 1.0) == {}
    assert (requests.in_flight(1), requests.in_flight(2)) == (1, 0)
    assert requests.next_deadline() == REQUEST_TIMEOUT
    assert asked(requests, REQUEST_TIMEOUT) == {2: [b"a"]}
    assert asked(requests, 2 * REQUEST_TIMEOUT) == {}
    assert len(requests) == requests.count(1) == requests.count(2) == 0
    assert requests.next_deadline() is None


def test_nobody_is_asked_before_the_time_and_preferred_peers_first() -> None:
    requests = TxRequests()
    for peer in (1, 2, 3):
        requests.announced(peer, b"a", 2.0, preferred=peer == 2)
    assert requests.next_deadline() == 2.0
    assert asked(requests, 1.9) == {}
    assert asked(requests, 2.0) == {2: [b"a"]}
    assert sorted(requests.candidates(b"a")) == [1, 2, 3]


def test_a_peer_without_it_or_gone_frees_the_request_at_once() -> None:
    requests = TxRequests()
    for number, peer in enumerate((1, 2, 3)):
        requests.announced(peer, b"a", float(number))
    assert asked(requests, 0.0) == {1: [b"a"]}
    requests.answered(1, b"a")
    assert asked(requests, 1.0) == {2: [b"a"]}
    requests.forget_peer(2)
    assert asked(requests, 2.0) == {3: [b"a"]}
    assert requests.candidates(b"a") == [3]
    requests.forget(b"a")
    assert asked(requests, 1000.0) == {}
    assert len(requests) == 0


def test_requests_are_in_the_order_of_the_announcements() -> None:
    requests = TxRequests()
    for number in (5, 3, 9):
        requests.announced(1, name(number), 0.0)
    assert asked(requests, 0.0) == {1: [name(5), name(3), name(9)]}


def test_a_peer_that_has_nothing_of_what_it_tells_leaves_nothing_behind() -> None:
    """It may tell of new ones as fast as it takes the old ones back, which have a minute yet."""
    requests = TxRequests()
    for turn in range(20):
        for n in range(1000):
            requests.announced(1, (turn * 1000 + n).to_bytes(32, "big"), float(turn))
        for announcement in requests.requestable(float(turn))[1]:
            requests.requested(announcement, float(turn))
            requests.answered(1, announcement.hash)
    assert len(requests) == 0
    assert len(requests._due) < 5000
