"""``-whitelist`` and ``-whitebind``: who may do what."""

import pytest

from bitcoind_mp.node.p2p.endpoint import Endpoint
from bitcoind_mp.node.p2p.permissions import Permissions, Whitelist, parse_whitebind, parse_whitelist

LOCAL, HERE = Endpoint("127.0.0.1", 5), Endpoint("10.0.0.1", 8333)


@pytest.mark.parametrize(
    ("text", "options", "names"),
    [
        ("127.0.0.1", {}, ["noban", "relay", "mempool", "download"]),
        ("127.0.0.0/8", {"relay": False}, ["noban", "mempool", "download"]),
        ("127.0.0.1", {"force_relay": True}, ["noban", "forcerelay", "relay", "mempool", "download"]),
        ("noban@127.0.0.1", {}, ["noban", "download"]),
        ("forcerelay,addr,,bloom@127.0.0.1", {}, ["bloomfilter", "forcerelay", "relay", "addr"]),
        ("all@0.0.0.0/0", {}, ["bloomfilter", "noban", "forcerelay", "relay", "mempool", "download", "addr"]),
        ("@127.0.0.1", {}, []),
        ("noban@127.0.0.2", {}, []),
        ("noban,out@127.0.0.1", {}, []),
        ("noban@::/0", {}, []),
    ],
)
def test_a_caller_may_do_what_its_network_says(text: str, options: dict[str, bool], names: list[str]) -> None:
    whitelist = Whitelist(networks=(parse_whitelist(text),), **options)  # type: ignore[arg-type]
    assert whitelist.of_peer(LOCAL, HERE, inbound=True).names == names


def test_directions_and_what_several_say_together() -> None:
    both = (parse_whitelist("noban,in,out@127.0.0.1"), parse_whitelist("out,mempool@127.0.0.1"))
    whitelist = Whitelist(networks=both)
    assert whitelist.of_peer(LOCAL, HERE, inbound=True) == Permissions.NO_BAN
    assert whitelist.of_peer(LOCAL, HERE, inbound=False) == Permissions.NO_BAN | Permissions.MEMPOOL
    assert whitelist.of_peer(Endpoint("a.name", 5), HERE, inbound=False) == Permissions.NONE


def test_who_calls_a_place_of_its_own_may_do_what_is_said_there() -> None:
    whitelist = Whitelist(places=(parse_whitebind("mempool@10.0.0.1:8333"),))
    assert whitelist.of_peer(LOCAL, HERE, inbound=True) == Permissions.MEMPOOL
    assert whitelist.of_peer(LOCAL, Endpoint("10.0.0.1", 8334), inbound=True) == Permissions.NONE
    assert whitelist.of_peer(LOCAL, HERE, inbound=False) == Permissions.NONE


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_whitelist, "oopsie@127.0.0.1", "Invalid P2P permission: 'oopsie'"),
        (parse_whitelist, "noban@127.0.0.1:230", "Invalid netmask specified in -whitelist: '127.0.0.1:230'"),
        (parse_whitelist, "in,out@127.0.0.1", "Only direction was set, no permissions: 'in,out@127.0.0.1'"),
        (parse_whitebind, "noban@127.0.0.1", "Need to specify a port with -whitebind: '127.0.0.1'"),
        (parse_whitebind, "noban@a.name:5", "Cannot resolve -whitebind address: 'a.name:5'"),
        (
            parse_whitebind,
            "noban,out@127.0.0.1:5",
            'whitebind may only be used for incoming connections ("out" was passed)',
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_cores_words(parse: object, text: str, message: str) -> None:
    assert callable(parse)
    with pytest.raises(ValueError) as refused:
        parse(text)
    assert str(refused.value) == message
