"""What the commands say of peers, and what they have the peers' manager do."""

from types import SimpleNamespace
from typing import Any

import pytest
from btclib.p2p import NetworkAddress, ServiceFlags, Version

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.node.p2p.endpoint import Endpoint
from bitcoind_mp.node.p2p.handshake import Handshake
from bitcoind_mp.node.p2p.peer import Peer, Role, Traffic, TxRelay
from bitcoind_mp.node.rpc.network import NetworkCommands
from bitcoind_mp.node.rpc.peer_json import service_names

WITNESS = ServiceFlags.NODE_NETWORK | ServiceFlags.NODE_WITNESS


class FakePeers:
    """Some peers; writes down what it is told to do."""

    def __init__(self, *peers: Peer) -> None:
        self.peers = list(peers)
        self.told: list[Any] = []
        self.network_active = True
        self.takes_transactions = True
        self.user_agent = "/bitcoind-mp:0.1.0/"
        self.services = WITNESS

    def blocks_in_flight(self, peer: Peer) -> list[int]:
        return [101, 102]

    def fetch_block(self, number: int, node: Any) -> str:
        self.told.append((number, node.height))
        return "" if number == 7 else "Peer does not exist"

    def ping_all(self) -> None:
        self.told.append("ping")

    def disconnect(self, *, address: str | None = None, number: int | None = None) -> bool:
        self.told.append((address, number))
        return number == 7 or address == "1.2.3.4:8333"


@pytest.fixture
def peer(chain: Any) -> Peer:
    link: Any = SimpleNamespace()
    own: Any = SimpleNamespace()
    handshake = Handshake(own, inbound=False, our_nonces=set())
    handshake.theirs = Version(
        version=70016,
        services=WITNESS,
        addr_recv=NetworkAddress(ServiceFlags(0), "::ffff:5.6.7.8", 50000),
        user_agent=b"/Satoshi:31.0.0/\x1b[31m",
    )
    peer = Peer(7, Endpoint("1.2.3.4", 8333), link, handshake, role=Role.MANUAL, traffic=Traffic(connected=1000))
    peer.local = Endpoint("10.0.0.2", 50000)
    peer.best_known = chain.tip
    peer.tx_relay = TxRelay(wanted=True, fee_filter=1000)
    peer.traffic.sent.update({"version": 100, "ping": 32})
    peer.traffic.received.update({"pong": 32})
    return peer


@pytest.fixture
def make(chain: Any, mempool: Any) -> Any:
    chain.headers = SimpleNamespace(fork_from_active=lambda node: node)
    chain.warnings = []

    def make(*peers: Peer) -> tuple[NetworkCommands, FakePeers]:
        fake: Any = FakePeers(*peers)
        return NetworkCommands(chain, mempool, fake), fake

    return make


def test_a_peer_is_described_in_cores_order(make: Any, peer: Peer, chain: Any) -> None:
    commands, _ = make(peer)
    (info,) = commands.getpeerinfo()
    assert list(info) == [
        *("id", "addr", "addrbind", "addrlocal", "network", "services", "servicesnames", "relaytxes"),
        *("last_inv_sequence", "inv_to_send", "lastsend", "lastrecv", "last_transaction", "last_block", "bytessent"),
        *("bytesrecv", "conntime", "timeoffset", "version", "subver", "inbound", "bip152_hb_to", "bip152_hb_from"),
        *("presynced_headers", "synced_headers", "synced_blocks", "inflight", "addr_relay_enabled", "addr_processed"),
        *("addr_rate_limited", "permissions", "minfeefilter", "bytessent_per_msg", "bytesrecv_per_msg"),
        *("connection_type", "transport_protocol_type", "session_id"),
    ]
    assert (info["id"], info["addr"], info["addrbind"]) == (7, "1.2.3.4:8333", "10.0.0.2:50000")
    assert (info["addrlocal"], info["network"]) == ("5.6.7.8:50000", "ipv4")
    assert (info["services"], info["servicesnames"]) == ("0000000000000009", ["NETWORK", "WITNESS"])
    assert info["subver"] == "/Satoshi:31.0.0/31m"  # nothing that moves a cursor
    assert (info["bytessent"], info["bytesrecv"]) == (132, 32)
    assert list(info["bytessent_per_msg"]) == ["ping", "version"]
    assert info["synced_headers"] == info["synced_blocks"] == chain.tip.height
    assert (str(info["minfeefilter"]), info["inflight"]) == ("0.00001000", [101, 102])
    assert info["connection_type"] == "manual"


def test_times_of_pings_are_there_once_there_was_one(make: Any, peer: Peer) -> None:
    commands, _ = make(peer)
    peer.ping.last, peer.ping.best, peer.ping.nonce = 0.25, 0.1234567891, 5
    (info,) = commands.getpeerinfo()
    assert (info["pingtime"], info["minping"]) == (0.25, 0.123456789)
    assert info["pingwait"] > 0


def test_a_peer_before_its_version_is_described_too(make: Any, peer: Peer) -> None:
    peer.handshake.theirs, peer.local, peer.best_known, peer.tx_relay = None, None, None, None
    (info,) = make(peer)[0].getpeerinfo()
    assert "addrbind" not in info
    assert "addrlocal" not in info
    assert (info["version"], info["subver"], info["synced_headers"], info["synced_blocks"]) == (0, "", -1, -1)
    assert info["last_inv_sequence"] == 0  # nothing was announced to it


def test_connections_are_counted_by_direction(make: Any, peer: Peer) -> None:
    commands, _ = make(peer)
    assert commands.getconnectioncount() == 1
    info = commands.getnetworkinfo()
    assert (info["connections"], info["connections_in"], info["connections_out"]) == (1, 0, 1)


def test_the_manager_is_told(make: Any, peer: Peer) -> None:
    commands, peers = make(peer)
    commands.ping()
    commands.disconnectnode("1.2.3.4:8333")
    commands.disconnectnode("", 7)
    assert peers.told == ["ping", ("1.2.3.4:8333", None), (None, 7)]


@pytest.mark.parametrize(
    "params, code, message",
    [
        ((), -32602, "Only one of address and nodeid should be provided."),
        (("1.2.3.4:8333", 7), -32602, "Only one of address and nodeid should be provided."),
        (("4.3.2.1:1",), -29, "Node not found in connected nodes"),
        (("", 8), -29, "Node not found in connected nodes"),
    ],
)
def test_an_unknown_peer_is_not_disconnected(make: Any, params: Any, code: int, message: str) -> None:
    with pytest.raises(RpcError) as caught:
        make()[0].disconnectnode(*params)
    assert (caught.value.code, caught.value.message) == (code, message)


def test_unknown_services_are_named_by_their_bit() -> None:
    assert service_names(ServiceFlags(1 << 40 | 1)) == ["NETWORK", "UNKNOWN[2^40]"]


def test_a_block_is_fetched_from_the_peer_that_was_named(make: Any, peer: Peer, chain: Any) -> None:
    commands, peers = make(peer)
    block = chain.tip
    block.has_data = False
    assert commands.getblockfrompeer(block.hash.hex(), 7) == {}
    assert peers.told == [(7, block.height)]
    for hash, number, had, message in (
        ("00" * 32, 7, False, "Block header missing"),
        (block.hash.hex(), 8, False, "Peer does not exist"),
        (block.hash.hex(), 7, True, "Block already downloaded"),
    ):
        block.has_data = had
        with pytest.raises(RpcError, match=message):
            commands.getblockfrompeer(hash, number)
