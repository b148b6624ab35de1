"""Messages of a peer that the node takes or not, by its settings."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from btclib.p2p import Inv, Inventory, InventoryType, Payload, TxPayload, Verack, Version

from bitcoind_mp.node.p2p.endpoint import Endpoint
from bitcoind_mp.node.p2p.handshake import Handshake
from bitcoind_mp.node.p2p.peer import Peer, Traffic
from bitcoind_mp.node.p2p.processing import Processing
from bitcoind_mp.node.p2p.wire import PeerMisbehavedError

MAGIC = bytes.fromhex("fabfb5da")
Run = Callable[[Coroutine[Any, Any, Any]], Any]


class Wire:
    """The peer's end of the connection: what it was sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def send(self, *payloads: Payload) -> None:
        self.sent += [payload.command for payload in payloads]


@pytest.fixture
def meet(chain: Any, mempool: Any) -> Callable[[bool], Coroutine[Any, Any, tuple[Processing, Peer, Wire]]]:
    async def meet(take_transactions: bool) -> tuple[Processing, Peer, Wire]:
        processing = Processing(chain, mempool, announce_interval=(0.0, 0.0), take_transactions=take_transactions)
        wire: Any = Wire()
        handshake = Handshake(Version(70016, nonce=1), inbound=True, our_nonces=set())
        peer = Peer(1, Endpoint("127.0.0.1", 5), wire, handshake, manual=False, traffic=Traffic(0))
        processing.add(peer)
        for payload in (Version(70016, nonce=2), Verack()):
            await processing.handle(peer, payload.to_message(MAGIC))
        assert peer.ready
        return processing, peer, wire

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
