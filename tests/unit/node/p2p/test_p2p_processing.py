"""Messages of a peer that the node takes or not, by its settings."""

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest
from btclib import var_int
from btclib.p2p import GetData, Inv, Inventory, InventoryType, Message, NotFound, Payload, TxPayload, Verack, Version
from btclib.script.witness import Witness
from btclib.tx import Tx

from bitcoind_mp.node.p2p.endpoint import Endpoint
from bitcoind_mp.node.p2p.handshake import Handshake
from bitcoind_mp.node.p2p.peer import Peer, Traffic
from bitcoind_mp.node.p2p.processing import Processing
from bitcoind_mp.node.p2p.transactions import ANNOUNCE_AT_ONCE, TransactionRelay
from bitcoind_mp.node.p2p.wire import PeerMisbehavedError

MAGIC = bytes.fromhex("fabfb5da")
Run = Callable[[Coroutine[Any, Any, Any]], Any]


class Wire:
    """The peer's end of the connection: what it was sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.room = 1000

    def send(self, *payloads: Payload) -> None:
        self.sent += [payload.command for payload in payloads]

    def send_raw(self, command: str, payload: bytes) -> None:
        self.sent.append(command)
        self.room -= 1

    async def drained(self) -> bool:
        return self.room > 0


@pytest.fixture
def meet(chain: Any, mempool: Any) -> Callable[[bool], Coroutine[Any, Any, tuple[Processing, Peer, Wire]]]:
    async def meet(
        take_transactions: bool, user_agent: bytes = b"/Satoshi:31.0.0/", manual: bool = False
    ) -> tuple[Processing, Peer, Wire]:
        processing = Processing(chain, mempool, announce_interval=(0.0, 0.0), take_transactions=take_transactions)
        wire: Any = Wire()
        handshake = Handshake(Version(70016, nonce=1), inbound=True, our_nonces=set())
        peer = Peer(1, Endpoint("127.0.0.1", 5), wire, handshake, manual=manual, traffic=Traffic(0))
        await shake_hands(processing, peer, user_agent)
        return processing, peer, wire

    return meet


async def shake_hands(processing: Processing, peer: Peer, user_agent: bytes = b"/Satoshi:31.0.0/") -> None:
    processing.add(peer)
    for payload in (Version(70016, nonce=2, user_agent=user_agent), Verack()):
        await processing.handle(peer, payload.to_message(MAGIC))
    assert peer.ready


async def another(processing: Processing, number: int) -> tuple[Peer, Wire]:
    """One more peer of the same node."""
    wire: Any = Wire()
    handshake = Handshake(Version(70016, nonce=1), inbound=True, our_nonces=set())
    peer = Peer(number, Endpoint("127.0.0.1", number), wire, handshake, manual=False, traffic=Traffic(0))
    await shake_hands(processing, peer)
    return peer, wire


def test_a_node_of_blocks_only_asks_for_no_fee_and_drops_who_tells_of_transactions(
    run: Run, meet: Any, money: Any
) -> None:
    told = Inv([Inventory(InventoryType.MSG_WTX, b"\x01" * 32)])
    tx = TxPayload(money.spend(fee=1000), True, check_validity=False)

    async def story() -> None:
        processing, peer, wire = await meet(False)
        assert "feefilter" not in wire.sent
        for payload in (told, tx):
            with pytest.raises(PeerMisbehavedError, match="blocksonly"):
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
    ("user_agent", "manual", "told"),
    [
        (b"/Satoshi:31.0.0/", False, False),
        (b"/Satoshi:31.0.0/", True, True),
        (b"/bitcoind-mp:0.1.0/", False, True),
        (b"/bitcoind-mpx:0.1.0/", False, False),
    ],
)
def test_the_mempool_of_before_is_for_peers_that_were_named_and_for_our_kind(
    run: Run, meet: Any, mempool: Any, money: Any, user_agent: bytes, manual: bool, told: bool
) -> None:
    async def story() -> None:
        await mempool.accept(money.spend(fee=1000))
        processing, peer, _ = await meet(True, user_agent, manual)
        assert bool(peer.to_announce) is told
        processing.transactions.added(mempool.entries()[0])
        assert peer.to_announce
        processing.close()

    run(story())


def test_one_request_for_much_is_served_as_fast_as_the_peer_reads(
    run: Run, meet: Any, mempool: Any, money: Any
) -> None:
    """Else 1.8 MB of one message would have the node hold as many blocks in memory as it names."""

    async def story() -> None:
        tx = money.spend(fee=1000)
        await mempool.accept(tx)
        processing, peer, wire = await meet(True)
        wire.room = 3
        await processing.handle(peer, GetData([Inventory(InventoryType.MSG_WTX, tx.hash)] * 50).to_message(MAGIC))
        assert wire.sent.count("tx") == 3
        processing.close()

    run(story())


def test_a_false_witness_of_another_peer_does_not_end_the_search_for_a_transaction(
    run: Run, meet: Any, money: Any
) -> None:
    tx = money.spend(fee=1000)
    false = Tx.parse(tx.serialize(include_witness=True))
    false.vin[0].script_witness = Witness([b"\x00", b"\x51"])
    told = Inv([Inventory(InventoryType.MSG_TX, tx.id)]).to_message(MAGIC)
    missing = NotFound([Inventory(InventoryType.MSG_WITNESS_TX, tx.id)]).to_message(MAGIC)

    async def story() -> None:
        processing, asked, wire = await meet(True)
        (liar, _), (other, others_wire) = await another(processing, 2), await another(processing, 3)
        for peer in (asked, other):
            await processing.handle(peer, told)
        assert "getdata" in wire.sent
        assert "getdata" not in others_wire.sent
        await processing.handle(liar, TxPayload(false, True, check_validity=False).to_message(MAGIC))
        await processing.handle(asked, missing)
        assert "getdata" in others_wire.sent
        processing.close()

    run(story())


def test_what_is_left_to_announce_is_announced_though_the_next_of_it_is_known(run: Run, chain: Any) -> None:
    txids = [n.to_bytes(32, "big") for n in range(ANNOUNCE_AT_ONCE + 2)]

    class Everything:
        def entry(self, txid: bytes) -> Any:
            return SimpleNamespace(txid=txid, wtxid=txid, fee=1000, vsize=100)

    async def story() -> None:
        relay = TransactionRelay(chain, cast(Any, Everything()), {}, (0.0, 0.0))
        wire: Any = Wire()
        handshake = Handshake(Version(70016, nonce=1), inbound=True, our_nonces=set())
        peer = Peer(1, Endpoint("127.0.0.1", 5), wire, handshake, manual=False, traffic=Traffic(0))
        peer.to_announce = dict(zip(txids, txids, strict=True))
        peer.known_transactions.add(txids[ANNOUNCE_AT_ONCE])
        relay.announce_later(peer)
        for _ in range(100):
            await asyncio.sleep(0)
        assert wire.sent == ["inv", "inv"]
        relay.close()

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
        with pytest.raises(PeerMisbehavedError):
            await processing.handle(peer, Message(MAGIC, command, b""))
        processing.close()

    run(story())


@pytest.mark.parametrize(
    ("command", "before", "most"),
    [("inv", 0, 50_000), ("getdata", 0, 50_000), ("headers", 0, 2000), ("getheaders", 4, 101), ("getblocks", 4, 101)],
)
def test_more_items_than_the_protocol_allows_end_the_connection(
    run: Run, meet: Any, command: str, before: int, most: int
) -> None:
    async def story() -> None:
        processing, peer, _ = await meet(True)
        await processing.handle(peer, Message(MAGIC, command, bytes(before) + var_int.serialize(most)))
        with pytest.raises(PeerMisbehavedError, match=f"more than {most} items"):
            await processing.handle(peer, Message(MAGIC, command, bytes(before) + var_int.serialize(most + 1)))
        processing.close()

    run(story())
