"""Unconfirmed transactions among peers: what is asked of whom and when, orphans, packages, and who is told of what."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from btclib.p2p import FeeFilter, GetData, Inv, Inventory, InventoryType, NotFound, TxPayload
from btclib.script.witness import Witness
from btclib.tx import OutPoint, Tx, TxIn, TxOut
from p2p_network import Network

from bitcoind_mp.node.p2p.feefilter import FeeRounder
from bitcoind_mp.node.p2p.peer import Role
from bitcoind_mp.node.p2p.permissions import Permissions

Run = Callable[[Coroutine[Any, Any, Any]], Any]

WTX, TX, WITNESS_TX = InventoryType.MSG_WTX, InventoryType.MSG_TX, InventoryType.MSG_WITNESS_TX


def inv(kind: InventoryType, *hashes: bytes) -> Inv:
    return Inv([Inventory(kind, hash) for hash in hashes])


def payload(tx: Tx) -> TxPayload:
    return TxPayload(tx, True, check_validity=False)


async def moment() -> None:
    """Let what is due be done."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_peers_that_we_called_are_asked_at_once_and_callers_after_two_seconds(
    run: Run, network: Any, chain: Any
) -> None:
    async def story() -> None:
        net = network()
        caller, first = await net.meet()
        called, second = await net.meet(role=Role.FULL_RELAY, services=9)
        await net.tell(caller, inv(WTX, b"\x01" * 32))
        assert "getdata" not in first.sent
        await net.tell(called, inv(WTX, b"\x02" * 32))
        assert second.hashes("getdata") == [b"\x02" * 32]
        chain.clock.time += 2
        await moment()
        assert first.hashes("getdata") == [b"\x01" * 32]
        net.processing.close()

    run(story())


def test_by_txid_is_asked_later_where_others_tell_wtxids(run: Run, network: Any, chain: Any) -> None:
    async def story() -> None:
        net = network()
        old, wire = await net.meet(role=Role.MANUAL, services=1, wtxid_relay=False)
        await net.tell(old, inv(TX, b"\x01" * 32))
        assert wire.hashes("getdata") == [b"\x01" * 32]
        await net.meet()
        await net.tell(old, inv(TX, b"\x02" * 32))
        assert wire.hashes("getdata") == [b"\x01" * 32]
        chain.clock.time += 2
        await moment()
        assert wire.hashes("getdata") == [b"\x01" * 32, b"\x02" * 32]
        assert {item.type_code for item in wire.last("getdata").items} == {TX}  # it has no witnesses
        net.processing.close()

    run(story())


@pytest.mark.parametrize(("wtxid_relay", "wrong"), [(True, TX), (False, WTX), (True, WITNESS_TX)])
def test_an_announcement_of_the_kind_that_was_not_agreed_on_is_passed_over(
    run: Run, network: Any, chain: Any, wtxid_relay: bool, wrong: InventoryType
) -> None:
    async def story() -> None:
        net = network()
        peer, wire = await net.meet(wtxid_relay=wtxid_relay)
        await net.tell(peer, inv(wrong, b"\x01" * 32))
        chain.clock.time += 10
        await moment()
        assert "getdata" not in wire.sent
        net.processing.close()

    run(story())


def test_another_is_asked_when_the_first_has_not_got_it_or_is_silent(run: Run, network: Any, chain: Any) -> None:
    async def story() -> None:
        net = network()
        (first, one), (second, two), (third, three) = [await net.meet() for _ in range(3)]
        for peer in (first, second, third):
            await net.tell(peer, inv(WTX, b"\x01" * 32))
        chain.clock.time += 2
        await moment()
        asked = next(peer for peer, wire in ((first, one), (second, two), (third, three)) if "getdata" in wire.sent)
        await net.tell(asked, NotFound([Inventory(WTX, b"\x01" * 32)]))
        assert sum(wire.sent.count("getdata") for wire in (one, two, three)) == 2
        chain.clock.time += 60
        await moment()
        assert [wire.sent.count("getdata") for wire in (one, two, three)] == [1, 1, 1]
        net.processing.close()

    run(story())


def test_an_orphan_waits_for_its_parent_which_is_asked_by_txid(
    run: Run, network: Any, chain: Any, mempool: Any, money: Any
) -> None:
    parent = money.spend(fee=1000)
    child = money.spend(money.output(parent), fee=1000)

    async def story() -> None:
        net = network()
        peer, wire = await net.meet(permissions=Permissions.NO_BAN, services=9)
        await net.tell(peer, payload(child))
        assert [orphan.txid for orphan in net.processing.transactions.orphans] == [child.id]
        chain.clock.time += 2
        await moment()
        assert wire.hashes("getdata") == [parent.id]
        assert {item.type_code for item in wire.last("getdata").items} == {WITNESS_TX}
        await net.tell(peer, payload(parent))
        assert mempool.have(parent.hash)
        assert mempool.have(child.hash)
        assert net.processing.transactions.orphans == []
        net.processing.close()

    run(story())


@pytest.mark.parametrize("child_first", [True, False])
def test_a_child_pays_for_a_parent_that_pays_too_little(
    run: Run, network: Any, mempool: Any, money: Any, child_first: bool
) -> None:
    parent = money.spend(fee=0)
    child = money.spend(money.output(parent), fee=10_000)

    async def story() -> None:
        net = network()
        peer, _ = await net.meet()
        for tx in (child, parent) if child_first else (parent, child, parent):
            await net.tell(peer, payload(tx))
        assert mempool.have(parent.hash)
        assert mempool.have(child.hash)
        net.processing.close()

    run(story())


def test_a_package_that_cannot_be_written_down_is_not_held_against_the_peer(
    run: Run, make_mempool: Any, chain: Any, money: Any, tmp_path: Path
) -> None:
    parent = money.spend(fee=0)
    child = money.spend(money.output(parent), fee=10_000)
    mempool = make_mempool(tmp_path)
    (tmp_path / "mempool").rmdir()

    async def story() -> None:
        net = Network(chain, mempool)
        peer, _ = await net.meet()
        for tx in (child, parent):
            await net.tell(peer, payload(tx))
        assert len(mempool) == 0
        (tmp_path / "mempool").mkdir()
        await net.tell(peer, payload(parent))
        assert mempool.have(child.hash)
        net.processing.close()

    run(story())


def test_a_package_of_two_peers_is_not_made(run: Run, network: Any, mempool: Any, money: Any) -> None:
    parent = money.spend(fee=0)
    child = money.spend(money.output(parent), fee=10_000)

    async def story() -> None:
        net = network()
        one, _ = await net.meet()
        other, _ = await net.meet()
        await net.tell(one, payload(child))
        await net.tell(other, payload(parent))
        assert not mempool.have(parent.hash)
        net.processing.close()

    run(story())


def test_a_child_of_a_parent_that_breaks_a_rule_is_not_kept(run: Run, network: Any, mempool: Any, money: Any) -> None:
    """Where the txid tells all: with a witness, another of the same txid may be good."""
    plain = Tx(9, 0, [TxIn(money.coin())], [TxOut(1000, money.anyone)], check_validity=False)  # not standard
    with_witness = money.spend(fee=1000, version=9)
    children = [money.spend(OutPoint(plain.id, 0), outputs=[900]), money.spend(money.output(with_witness), fee=1000)]

    async def story() -> None:
        net = network()
        peer, _ = await net.meet()
        for tx in (plain, with_witness, *children):
            await net.tell(peer, payload(tx))
        assert [orphan.txid for orphan in net.processing.transactions.orphans] == [children[1].id]
        net.processing.close()

    run(story())


def test_what_a_block_confirms_is_neither_asked_for_nor_an_orphan(
    run: Run, network: Any, chain: Any, money: Any
) -> None:
    confirmed, parent = money.spend(fee=1000), money.spend(fee=1000)
    child = money.spend(money.output(parent), fee=1000)

    async def story() -> None:
        net = network()
        peer, wire = await net.meet()
        await net.tell(peer, payload(child))
        block = chain.mine(confirmed, parent, child)
        net.processing.transactions.block_connected(block)
        assert net.processing.transactions.orphans == []
        await net.tell(peer, inv(WTX, confirmed.hash, parent.hash))
        chain.clock.time += 10
        await moment()
        assert "getdata" not in wire.sent
        net.processing.close()

    run(story())


def test_nobody_is_served_what_came_after_it_was_last_told(
    run: Run, network: Any, chain: Any, mempool: Any, money: Any
) -> None:
    early, late = money.spend(fee=1000), money.spend(fee=1000)

    async def story() -> None:
        net = network(announce_interval=(2.0, 5.0))
        mempool.subscribe(_Listener(net))
        await mempool.accept(early)
        peer, wire = await net.meet()
        await mempool.accept(late)
        await net.tell(peer, GetData([Inventory(WTX, early.hash), Inventory(WTX, late.hash)]))
        assert wire.sent.count("tx") == 1
        assert wire.hashes("notfound") == [late.hash]
        assert "inv" not in wire.sent
        chain.clock.time += 1000
        await moment()
        assert wire.hashes("inv") == [late.hash]  # what was there before it came it isn't told
        await net.tell(peer, GetData([Inventory(WTX, late.hash)]))
        assert wire.sent.count("tx") == 2
        net.processing.close()

    run(story())


class _Listener:
    """Hands on what the mempool tells."""

    def __init__(self, net: Any) -> None:
        self.net = net

    def added(self, entry: Any) -> None:
        self.net.processing.announcing.added(entry)

    def removed(self, entry: Any, reason: Any) -> None:
        pass


def test_a_trusted_peer_is_told_at_once(run: Run, network: Any, mempool: Any, money: Any) -> None:
    async def story() -> None:
        net = network(announce_interval=(1e9, 1e9))
        mempool.subscribe(_Listener(net))
        _, wire = await net.meet(permissions=Permissions.NO_BAN)
        _, quiet = await net.meet()
        tx = money.spend(fee=1000)
        await mempool.accept(tx)
        await moment()
        assert wire.hashes("inv") == [tx.hash]
        assert "inv" not in quiet.sent
        net.processing.close()

    run(story())


def test_what_the_newest_block_confirmed_is_still_served(run: Run, network: Any, chain: Any, money: Any) -> None:
    confirmed = money.spend(fee=1000)

    async def story() -> None:
        net = network()
        peer, wire = await net.meet()
        net.processing.announcing.block_connected(chain.mine(confirmed))
        await net.tell(peer, GetData([Inventory(WTX, confirmed.hash), Inventory(TX, confirmed.id)]))
        assert wire.sent.count("tx") == 2
        net.processing.announcing.block_connected(chain.mine())
        await net.tell(peer, GetData([Inventory(WTX, confirmed.hash)]))
        assert wire.hashes("notfound") == [confirmed.hash]
        net.processing.close()

    run(story())


def test_who_asked_not_to_be_told_is_not_answered(run: Run, network: Any, mempool: Any, money: Any) -> None:
    async def story() -> None:
        net = network()
        tx = money.spend(fee=1000)
        await mempool.accept(tx)
        peer, wire = await net.meet(relay=False)
        await net.tell(peer, GetData([Inventory(WTX, tx.hash), Inventory(WTX, b"\x01" * 32)]))
        assert not {"tx", "notfound", "inv"} & set(wire.sent)
        net.processing.close()

    run(story())


def test_of_missing_blocks_nobody_is_told(run: Run, network: Any) -> None:
    async def story() -> None:
        net = network()
        peer, wire = await net.meet()
        unknown = [
            Inventory(InventoryType.MSG_BLOCK, b"\x01" * 32),
            Inventory(InventoryType.MSG_WITNESS_BLOCK, bytes(32)),
        ]
        await net.tell(peer, GetData([*unknown, Inventory(WTX, b"\x02" * 32)]))
        assert wire.hashes("notfound") == [b"\x02" * 32]
        net.processing.close()

    run(story())


def test_transactions_are_told_in_the_order_they_would_be_mined_and_none_below_the_peers_fee(
    run: Run, network: Any, chain: Any, mempool: Any, money: Any
) -> None:
    async def story() -> None:
        net = network(announce_interval=(5.0, 5.0))
        mempool.subscribe(_Listener(net))
        peer, wire = await net.meet()
        low, cheap, dear = (money.spend(fee=fee) for fee in (100, 1000, 50_000))
        child = money.spend(money.output(cheap), fee=2000)
        await net.tell(peer, FeeFilter(2000))
        for tx in (low, cheap, dear, child):
            await mempool.accept(tx)
        chain.clock.time += 1000
        await moment()
        assert wire.hashes("inv") == [dear.hash, cheap.hash, child.hash]
        net.processing.close()

    run(story())


def test_a_transaction_that_is_here_is_told_again_for_a_peer_that_may_insist(
    run: Run, network: Any, mempool: Any, money: Any
) -> None:
    async def story() -> None:
        net = network()
        tx = money.spend(fee=1000)
        await mempool.accept(tx)
        insisting, _ = await net.meet(permissions=Permissions.FORCE_RELAY)
        _, other = await net.meet()
        await net.tell(insisting, payload(tx))
        await moment()
        assert other.hashes("inv") == [tx.hash]
        net.processing.close()

    run(story())


def test_the_fee_filter_is_rounded_sent_again_when_due_and_all_there_is_in_the_initial_download(
    run: Run, network: Any, chain: Any, mempool: Any
) -> None:
    rounder = FeeRounder(100)
    assert {rounder.round(0) for _ in range(50)} == {0}
    assert {rounder.round(1000) for _ in range(200)} == {959, 1055}

    async def story() -> None:
        chain.initial_block_download = True
        net = network()
        _, wire = await net.meet()
        assert wire.last("feefilter").feerate > 9_000_000
        chain.initial_block_download = False
        net.processing.tell_fees()
        assert wire.last("feefilter").feerate == mempool.policy.min_relay_fee  # exactly: nobody learns from it
        count = wire.sent.count("feefilter")
        chain.clock.time += 100_000
        net.processing.tell_fees()
        assert wire.sent.count("feefilter") == count  # nothing new to say
        for without in (
            {"permissions": Permissions.FORCE_RELAY},
            {"version": 70012, "wtxid_relay": False},
            {"relay": False},
        ):
            _, quiet = await net.meet(**without)
            assert "feefilter" not in quiet.sent
        net.processing.close()

    run(story())


def test_one_request_for_much_is_served_as_fast_as_the_peer_reads(
    run: Run, network: Any, mempool: Any, money: Any
) -> None:
    """Else 1.8 MB of one message would have the node hold as many blocks in memory as it names."""

    async def story() -> None:
        tx = money.spend(fee=1000)
        await mempool.accept(tx)
        net = network()
        peer, wire = await net.meet()
        wire.room = 3
        await net.tell(peer, GetData([Inventory(WTX, tx.hash)] * 50))
        assert wire.sent.count("tx") == 3
        net.processing.close()

    run(story())


def test_a_false_witness_of_another_peer_does_not_end_the_search_for_a_transaction(
    run: Run, network: Any, chain: Any, money: Any
) -> None:
    tx = money.spend(fee=1000)
    false = Tx.parse(tx.serialize(include_witness=True))
    false.vin[0].script_witness = Witness([b"\x00", b"\x51"])

    async def story() -> None:
        net = network()
        peers = [await net.meet(wtxid_relay=False) for _ in range(2)]
        liar, _ = await net.meet()
        for peer, _ in peers:
            await net.tell(peer, inv(TX, tx.id))
        chain.clock.time += 10
        await moment()
        (asked, _), (_, others_wire) = sorted(peers, key=lambda each: "getdata" not in each[1].sent)
        assert "getdata" not in others_wire.sent
        await net.tell(liar, payload(false))
        await net.tell(asked, NotFound([Inventory(WITNESS_TX, tx.id)]))
        assert others_wire.hashes("getdata") == [tx.id]
        net.processing.close()

    run(story())
