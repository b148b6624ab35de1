"""Messages of a peer that the node takes or not, by its settings."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from btclib import var_int
from btclib.p2p import (
    Inv,
    Inventory,
    InventoryType,
    Message,
    Pong,
    TxPayload,
    Version,
)
from p2p_network import MAGIC, Wire

from bitcoind_mp.node.p2p.endpoint import Endpoint
from bitcoind_mp.node.p2p.handshake import Handshake
from bitcoind_mp.node.p2p.peer import Peer, Role, Traffic
from bitcoind_mp.node.p2p.permissions import Permissions
from bitcoind_mp.node.p2p.processing import Processing
from bitcoind_mp.node.p2p.wire import PeerEndedError, PeerMisbehavedError

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def meet(network: Any) -> Callable[..., Coroutine[Any, Any, tuple[Processing, Peer, Wire]]]:
    async def meet(take_transactions: bool, **options: Any) -> tuple[Processing, Peer, Wire]:
        made = network(take_transactions=take_transactions)
        peer, wire = await made.meet(**options)
        return made.processing, peer, wire

    return meet


def test_a_node_of_blocks_only_asks_for_no_fee_and_drops_who_tells_of_transactions(
    run: Run, meet: Any, money: Any
) -> None:
    told = Inv([Inventory(InventoryType.MSG_WTX, b"\x01" * 32)])
    tx = TxPayload(money.spend(fee=1000), True, check_validity=False)

    async def story() -> None:
        processing, peer, wire = await meet(False)
        assert "feefilter" not in wire.sent
        for payload in (told, tx):
            with pytest.raises(PeerEndedError, match="blocksonly"):
                await processing.handle(peer, payload.to_message(MAGIC))
        processing.close()

    run(story())


def test_another_takes_the_transaction(run: Run, meet: Any, mempool: Any, money: Any) -> None:
    tx = money.spend(fee=1000)

    async def story() -> None:
        processing, peer, wire = await meet(True)
        assert {"feefilter", "ping"} <= set(wire.sent)
        await processing.handle(peer, TxPayload(tx, True, check_validity=False).to_message(MAGIC))
        processing.close()

    run(story())
    assert mempool.have(tx.hash)


@pytest.mark.parametrize(
    ("user_agent", "role", "told"),
    [
        (b"/Satoshi:31.0.0/", Role.INBOUND, False),
        (b"/Satoshi:31.0.0/", Role.MANUAL, True),
        (b"/bitcoind-mp:0.1.0/", Role.INBOUND, True),
        (b"/bitcoind-mpx:0.1.0/", Role.INBOUND, False),
    ],
)
def test_the_mempool_of_before_is_for_peers_that_were_named_and_for_our_kind(
    run: Run, meet: Any, mempool: Any, money: Any, user_agent: bytes, role: Role, told: bool
) -> None:
    async def story() -> None:
        await mempool.accept(money.spend(fee=1000))
        processing, peer, _ = await meet(True, user_agent=user_agent, role=role)
        assert peer.tx_relay is not None
        assert bool(peer.tx_relay.to_announce) is told
        processing.announcing.added(mempool.entries()[0])
        assert peer.tx_relay.to_announce
        processing.close()

    run(story())


@pytest.mark.parametrize(
    ("command", "payload"), [("ping", b""), ("headers", b"\xff"), ("tx", b"\x00\x01"), ("foo", b"")]
)
def test_what_cannot_be_read_is_ignored(run: Run, meet: Any, command: str, payload: bytes) -> None:
    async def story() -> None:
        processing, peer, wire = await meet(True)
        before = list(wire.sent)
        await processing.handle(peer, Message(MAGIC, command, payload))
        assert wire.sent == before
        processing.close()

    run(story())


@pytest.mark.parametrize("command", ["wtxidrelay", "sendaddrv2", "mempool", "filterload", "getcfilters"])
def test_features_told_late_and_services_not_offered_end_the_connection(run: Run, meet: Any, command: str) -> None:
    async def story() -> None:
        processing, peer, _ = await meet(True)
        with pytest.raises(PeerEndedError):
            await processing.handle(peer, Message(MAGIC, command, b""))
        processing.close()

    run(story())


@pytest.mark.parametrize(
    ("command", "before", "most", "spared"),
    [
        *((command, 0, 50_000, True) for command in ("inv", "getdata")),
        ("headers", 0, 2000, True),
        *((command, 0, 1000, True) for command in ("addr", "addrv2")),
        *((command, 4, 101, False) for command in ("getheaders", "getblocks")),
    ],
)
def test_more_items_than_the_protocol_allows_end_the_connection(
    run: Run, network: Any, command: str, before: int, most: int, spared: bool
) -> None:
    """Of a peer that the operator named only where Core ends it too."""

    async def story() -> None:
        net = network()
        inbound, _ = await net.meet()
        named, _ = await net.meet(role=Role.MANUAL)
        trusted, _ = await net.meet(permissions=Permissions.NO_BAN)
        allowed = Message(MAGIC, command, bytes(before) + var_int.serialize(most))
        too_many = Message(MAGIC, command, bytes(before) + var_int.serialize(most + 1))
        for peer in (inbound, named, trusted):
            await net.processing.handle(peer, allowed)
            if spared and peer is not inbound:
                await net.processing.handle(peer, too_many)
                continue
            with pytest.raises(PeerMisbehavedError if spared else PeerEndedError, match=f"more than {most} items"):
                await net.processing.handle(peer, too_many)
        net.processing.close()

    run(story())


def test_a_peer_told_to_be_called_must_serve_blocks_with_witnesses(run: Run, network: Any, chain: Any) -> None:
    async def story() -> None:
        net = network()
        for services, near, far in ((0, False, False), (1, False, False), (9, True, True), (8 | 1024, True, False)):
            for late, fits in ((0, near), (25 * 3600, far)):
                chain.clock.time = chain.tip.time + late
                if fits:
                    await net.meet(role=Role.FULL_RELAY, services=services)
                else:
                    with pytest.raises(PeerEndedError, match="services"):
                        await net.meet(role=Role.FULL_RELAY, services=services)
            await net.meet(role=Role.MANUAL, services=services)
        net.processing.close()

    run(story())


def test_a_feeler_goes_when_it_has_been_answered(run: Run, network: Any) -> None:
    async def story() -> None:
        net = network()
        with pytest.raises(PeerEndedError, match="feeler connection completed"):
            await net.meet(role=Role.FEELER)
        net.processing.close()

    run(story())


def test_a_peer_of_blocks_only_neither_tells_nor_is_told_of_transactions(
    run: Run, network: Any, mempool: Any, money: Any
) -> None:
    async def story() -> None:
        net = network()
        await mempool.accept(money.spend(fee=1000))
        peer, wire = await net.meet(role=Role.BLOCK_RELAY, services=9)
        assert "feefilter" not in wire.sent
        net.processing.announcing.added(mempool.entries()[0])
        assert peer.tx_relay is None
        with pytest.raises(PeerEndedError):
            await net.tell(peer, Inv([Inventory(InventoryType.MSG_WTX, b"\x01" * 32)]))
        net.processing.close()

    run(story())


def test_only_who_may_is_told_the_mempool_when_it_asks(run: Run, network: Any, mempool: Any, money: Any) -> None:
    async def story() -> None:
        await mempool.accept(money.spend(fee=1000))
        net = network()
        peer, wire = await net.meet(permissions=Permissions.MEMPOOL)
        await net.processing.handle(peer, Message(MAGIC, "mempool", b""))
        assert [item.hash for item in wire.last("inv").items] == [mempool.entries()[0].wtxid]
        other, _ = await net.meet()
        with pytest.raises(PeerEndedError):
            await net.processing.handle(other, Message(MAGIC, "mempool", b""))
        trusted, quiet = await net.meet(permissions=Permissions.NO_BAN)
        await net.processing.handle(trusted, Message(MAGIC, "mempool", b""))
        assert "inv" not in quiet.sent
        net.processing.close()

    run(story())


def test_pings_go_by_the_nodes_clock(run: Run, network: Any, chain: Any) -> None:
    async def story() -> None:
        net = network()
        net.processing.pings.patience = 1e10
        peer, wire = await net.meet()
        first = wire.last("ping").nonce
        chain.clock.time += 3
        await net.tell(peer, Pong(first ^ 1))  # of another ping: this one is still under way
        assert (peer.ping.last, peer.ping.nonce) == (None, first)
        await net.tell(peer, Pong(first))
        assert (peer.ping.last, peer.ping.best, peer.ping.nonce) == (3.0, 3.0, 0)
        await net.tell(peer, Pong(first))  # unasked
        assert peer.ping.last == 3.0
        chain.clock.time += 121
        await asyncio.sleep(0)
        assert wire.sent.count("ping") == 2
        await net.processing.handle(peer, Message(MAGIC, "pong", b"\x01"))  # too short: taken for an end
        assert peer.ping.nonce == 0
        net.processing.pings.ask(peer)
        assert wire.sent.count("ping") == 3
        await net.tell(peer, Pong(0))
        assert peer.ping.nonce == 0
        net.processing.close()

    run(story())


def test_silent_peers_are_given_up_by_the_nodes_clock(run: Run, network: Any, chain: Any) -> None:
    async def story() -> None:
        net = network()
        net.processing.pings.patience = 60
        now = chain.clock.time
        answered, wire = await net.meet()
        silent, quiet = await net.meet()
        for peer in (answered, silent):
            peer.traffic.connected = peer.traffic.last_send = peer.traffic.last_receive = now
        stranger = Peer(
            9,
            Endpoint("127.0.0.1", 99),
            mute := Wire(),
            Handshake(Version(70016), inbound=True, our_nonces=set()),
            role=Role.INBOUND,
            traffic=Traffic(now),
        )
        net.processing.add(stranger)
        net.processing.pings.wait()
        chain.clock.time = now + 60
        await asyncio.sleep(0)
        assert mute.closed == ""
        chain.clock.time = now + 61
        await asyncio.sleep(0)
        assert mute.closed == ("socket no message in first 60 seconds, never received from peer, never sent to peer")
        net.processing.remove(stranger)
        await net.tell(answered, Pong(answered.ping.nonce))
        for peer in (answered, silent):
            peer.traffic.last_send = peer.traffic.last_receive = now + 1200
        chain.clock.time = now + 1201
        await asyncio.sleep(0)
        assert (wire.closed, quiet.closed) == ("", "ping timeout: 1201.000000s")
        net.processing.close()

    run(story())
