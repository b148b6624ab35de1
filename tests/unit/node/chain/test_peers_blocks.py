"""Headers and blocks among peers, over a real chain: what is asked, taken, refused, announced and served."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from btclib.block.block_header import BlockHeader
from btclib.p2p import (
    GetBlocks,
    GetData,
    GetHeaders,
    Headers,
    Inv,
    Inventory,
    InventoryType,
    Message,
    SendHeaders,
)
from p2p_network import MAGIC, Network

from bitcoind_mp.node.chain.clock import Clock
from bitcoind_mp.node.chain.state import Listener
from bitcoind_mp.node.p2p.peer import Role
from bitcoind_mp.node.p2p.permissions import Permissions
from bitcoind_mp.node.p2p.wire import PeerMisbehavedError

from .conftest import START

FULL = 9  # NODE_NETWORK and NODE_WITNESS
BLOCK, WITNESS_BLOCK = InventoryType.MSG_BLOCK, InventoryType.MSG_WITNESS_BLOCK


def header(raw: bytes) -> BlockHeader:
    return BlockHeader.parse(raw[:80], check_validity=False)


def headers(*blocks: bytes) -> Headers:
    return Headers([header(raw) for raw in blocks], check_validity=False)


def hashes(*blocks: bytes) -> list[bytes]:
    return [header(raw).hash for raw in blocks]


class _Told(Listener):
    def __init__(self, net: Network) -> None:
        self.net = net

    def block_connected(self, node: Any, contents: Any) -> None:
        self.net.processing.blocks.block_connected(node, contents)

    def tip_changed(self, node: Any) -> None:
        self.net.processing.blocks.tip_changed(node)


@pytest.fixture
def story(chain_at: Any, run: Any, maker: Any) -> Any:
    """Runs a test with a chain of so many blocks, the newest of which is the present's, and a node around it."""

    def told(body: Any, *, blocks: int = 10, recent: bool = True) -> None:
        async def whole() -> None:
            made = maker.chain(maker.genesis_hash, 1, blocks)
            now = START + blocks * 600 + (0 if recent else 30 * 24 * 3600)
            async with chain_at(clock=Clock(now)) as chain:
                for raw in made:
                    assert (await chain.submit_block(raw)).accepted
                assert chain.initial_block_download is not recent
                policy = SimpleNamespace(min_relay_fee=100, incremental_relay_fee=100)
                mempool: Any = SimpleNamespace(
                    policy=policy, sequence=1, rolling_fee_rate=lambda: 0, entries=lambda: []
                )
                net = Network(chain, mempool)
                net.processing.pings.patience = 1e12
                subscription = chain.subscribe(_Told(net))
                await body(chain, net, made)
                subscription.close()
                net.processing.close()

        run(whole())

    return told


async def send_block(net: Network, peer: Any, raw: bytes) -> None:
    await net.processing.handle(peer, Message(MAGIC, "block", raw))


def test_headers_first_then_their_blocks_the_oldest_first(story: Any, maker: Any) -> None:
    async def body(chain: Any, net: Network, made: list[bytes]) -> None:
        peer, wire = await net.meet(services=FULL)
        assert wire.last("getheaders").locator[0] == chain.by_height(9).hash
        news = maker.chain(chain.tip.hash, 11, 3)
        await net.tell(peer, headers(*news))
        assert wire.hashes("getdata") == hashes(*news)
        assert {item.type_code for item in wire.last("getdata").items} == {WITNESS_BLOCK}
        assert [node.height for node in net.processing.blocks.in_flight(peer)] == [11, 12, 13]
        for raw in news:
            await send_block(net, peer, raw)
        assert chain.height == 13
        assert net.processing.blocks.in_flight(peer) == []
        assert "sendheaders" in wire.sent

    story(body)


def test_an_unknown_block_has_the_headers_asked_for_once(story: Any) -> None:
    async def body(chain: Any, net: Network, made: list[bytes]) -> None:
        peer, wire = await net.meet(services=FULL)
        await net.tell(peer, Headers([]))
        before = wire.sent.count("getheaders")
        for hash in (b"\x01" * 32, b"\x02" * 32):
            await net.tell(peer, Inv([Inventory(BLOCK, hash)]))
        assert wire.sent.count("getheaders") == before + 1
        chain.clock.set_mock(chain.clock.now() + 121)
        await net.tell(peer, Inv([Inventory(BLOCK, b"\x03" * 32)]))
        assert wire.sent.count("getheaders") == before + 2

    story(body)


def test_only_one_peer_is_asked_for_headers_while_the_newest_is_old(story: Any) -> None:
    async def body(chain: Any, net: Network, made: list[bytes]) -> None:
        wires = [(await net.meet(services=FULL, role=Role.MANUAL))[1] for _ in range(3)]
        assert [wire.sent.count("getheaders") for wire in wires] == [1, 0, 0]
        chain.clock.set_mock(chain.clock.now() + 16 * 60)
        await asyncio.sleep(0)
        assert wires[0].closed == "timeout downloading headers"

    story(body, recent=False)


def test_headers_that_do_not_connect_are_forgiven(story: Any, maker: Any) -> None:
    async def body(chain: Any, net: Network, made: list[bytes]) -> None:
        peer, wire = await net.meet(services=FULL)
        far = maker.chain(b"\x05" * 32, 50, 1)[0]
        for _ in range(20):
            await net.tell(peer, headers(far))
        assert wire.closed == ""

    story(body)


@pytest.mark.parametrize("named", [False, True])
def test_headers_without_work_or_order_are_misbehaving(story: Any, maker: Any, named: bool) -> None:
    async def body(chain: Any, net: Network, made: list[bytes]) -> None:
        peer, _ = await net.meet(services=FULL, role=Role.MANUAL if named else Role.INBOUND)
        first, second = maker.chain(chain.tip.hash, 11, 2)
        weak = header(first)
        while weak.hash <= weak.target:
            weak.nonce += 1
        for bad, why in (
            (Headers([weak], check_validity=False), "invalid proof of work"),
            (headers(second, first), "non-continuous"),
        ):
            if named:
                await net.tell(peer, bad)
                continue
            with pytest.raises(PeerMisbehavedError, match=why):
                await net.tell(peer, bad)
        assert chain.best_header is chain.tip

    story(body)


def test_a_chain_of_too_little_work_is_not_kept_but_of_a_trusted_peer(story: Any, maker: Any) -> None:
    async def body(chain: Any, net: Network, made: list[bytes]) -> None:
        low = maker.chain(maker.genesis_hash, 1, 3, tag=b"low")
        peer, _ = await net.meet(services=FULL)
        await net.tell(peer, headers(*low))
        assert chain.by_hash(hashes(*low)[0]) is None
        await send_block(net, peer, low[0])
        assert chain.by_hash(hashes(*low)[0]) is None
        trusted, _ = await net.meet(services=FULL, permissions=Permissions.NO_BAN)
        await net.tell(trusted, headers(*low))
        assert chain.by_hash(hashes(*low)[2]) is not None

    story(body, blocks=160)


def test_an_unasked_block_is_stored_if_it_may_be_of_use(story: Any, maker: Any) -> None:
    async def body(chain: Any, net: Network, made: list[bytes]) -> None:
        peer, _ = await net.meet()
        less = maker.block(chain.by_height(8).hash, 9, tag=b"less")
        as_much = maker.block(chain.by_height(9).hash, 10, tag=b"as much")
        for raw, stored in ((less, False), (as_much, True)):
            await send_block(net, peer, raw)
            node = chain.by_hash(hashes(raw)[0])
            assert node is not None  # its header is
            assert node.has_data is stored
        more = maker.block(chain.tip.hash, 11)
        await send_block(net, peer, more)
        assert chain.tip.hash == hashes(more)[0]
        with pytest.raises(PeerMisbehavedError, match="unknown parent"):
            await send_block(net, peer, maker.block(b"\x07" * 32, 12))

    story(body)


def test_an_invalid_block_ends_the_connection_and_what_cannot_be_read_does_not(story: Any, maker: Any) -> None:
    async def body(chain: Any, net: Network, made: list[bytes]) -> None:
        peer, wire = await net.meet(services=FULL)
        await send_block(net, peer, b"\x00" * 10)
        good = maker.block(chain.tip.hash, 11)
        await send_block(net, peer, good[:-1])
        assert wire.closed == ""
        greedy = maker.block(chain.tip.hash, 11, fees=1)
        with pytest.raises(PeerMisbehavedError, match="bad-cb-amount"):
            await send_block(net, peer, greedy)
        on_top = maker.block(hashes(greedy)[0], 12)
        with pytest.raises(PeerMisbehavedError, match="bad-prevblk"):
            await net.tell(peer, headers(on_top))
        await net.tell(peer, headers(greedy))  # known by now, and a caller may not know what we do
        called, _ = await net.meet(services=FULL, role=Role.FULL_RELAY)
        with pytest.raises(PeerMisbehavedError):
            await net.tell(called, headers(greedy))

    story(body)


def test_a_peer_that_owes_a_block_for_too_long_is_given_up_and_another_asked(story: Any, maker: Any) -> None:
    async def body(chain: Any, net: Network, made: list[bytes]) -> None:
        chain.clock.set_mock(chain.clock.now())
        slow, wire = await net.meet(services=FULL)
        other, second = await net.meet(services=FULL)
        news = maker.block(chain.tip.hash, 11)
        for peer in (slow, other):
            await net.tell(peer, headers(news))
        assert (wire.hashes("getdata"), second.hashes("getdata")) == (hashes(news), [])
        chain.clock.set_mock(chain.clock.now() + 599)
        await asyncio.sleep(0)
        assert wire.closed == ""
        chain.clock.set_mock(chain.clock.now() + 2)
        await asyncio.sleep(0)
        assert wire.closed == "timeout downloading a block"
        net.processing.remove(slow)
        assert second.hashes("getdata") == hashes(news)

    story(body)


def test_new_blocks_are_told_by_headers_to_who_wants_them_and_knows_what_they_build_on(story: Any, maker: Any) -> None:
    async def body(chain: Any, net: Network, made: list[bytes]) -> None:
        by_headers, first = await net.meet()
        by_inv, second = await net.meet()
        stranger, third = await net.meet()
        for peer in (by_headers, stranger):
            await net.tell(peer, SendHeaders())
        for peer in (by_headers, by_inv):
            await net.tell(peer, headers(made[-1]))
        news = maker.block(chain.tip.hash, 11)
        await chain.submit_block(news)
        assert [h.hash for h in first.last("headers").headers] == hashes(news)
        assert second.hashes("inv") == third.hashes("inv") == hashes(news)
        before = list(first.sent)
        more = maker.block(chain.tip.hash, 12)
        await net.tell(by_headers, headers(more))  # it has this one
        await chain.submit_block(more)
        assert [command for command in first.sent[len(before) :] if command in ("inv", "headers")] == []

    story(body)


@pytest.mark.parametrize(("length", "command"), [(8, "headers"), (9, "inv")])
def test_a_reorganisation_is_told_whole_or_by_its_tip(story: Any, maker: Any, length: int, command: str) -> None:
    async def body(chain: Any, net: Network, made: list[bytes]) -> None:
        peer, wire = await net.meet()
        await net.tell(peer, SendHeaders())
        await net.tell(peer, headers(made[-1]))
        fork = maker.chain(chain.by_height(11 - length).hash, 12 - length, length, tag=b"fork")
        for raw in fork:
            await chain.submit_block(raw)
        assert chain.tip.hash == hashes(fork[-1])[0]
        told = [name for name in wire.sent if name in ("inv", "headers")]
        assert told == [command]
        if command == "headers":
            assert [h.hash for h in wire.last("headers").headers] == hashes(*fork)
        else:
            assert wire.hashes("inv") == hashes(fork[-1])

    story(body)


def test_headers_and_blocks_are_served(story: Any, maker: Any) -> None:
    async def body(chain: Any, net: Network, made: list[bytes]) -> None:
        peer, wire = await net.meet()
        await net.tell(peer, GetHeaders(70016, [chain.by_height(7).hash]))
        assert [h.hash for h in wire.last("headers").headers] == hashes(*made[7:])
        await net.tell(peer, GetHeaders(70016, [], chain.by_height(3).hash))
        assert [h.hash for h in wire.last("headers").headers] == hashes(made[2])
        count = wire.sent.count("headers")
        await net.tell(peer, GetHeaders(70016, [], b"\x09" * 32))  # of which nothing is known
        assert wire.sent.count("headers") == count
        await net.tell(peer, GetBlocks(70016, [chain.by_height(7).hash]))
        assert wire.hashes("inv") == hashes(*made[7:])
        await net.tell(peer, GetData([Inventory(BLOCK, chain.by_height(3).hash)]))
        assert wire.sent.count("block") == 1

    story(body)


def test_an_old_block_outside_the_best_chain_is_not_served(story: Any, maker: Any) -> None:
    async def body(chain: Any, net: Network, made: list[bytes]) -> None:
        peer, wire = await net.meet()
        stale = maker.block(chain.by_height(9).hash, 10, tag=b"stale")
        await chain.submit_block(stale)
        await net.tell(peer, GetData([Inventory(WITNESS_BLOCK, hashes(stale)[0])]))
        assert "block" not in wire.sent  # it was never checked whole
        await chain.submit_block(maker.block(hashes(stale)[0], 11))
        was_best = made[9]
        await net.tell(peer, GetData([Inventory(WITNESS_BLOCK, hashes(was_best)[0])]))
        assert wire.sent.count("block") == 1
        month = 31 * 24 * 3600
        chain.clock.set_mock(chain.clock.now() + month)
        await chain.submit_block(maker.block(chain.tip.hash, 12, time=chain.tip.time + month))
        await net.tell(peer, GetData([Inventory(WITNESS_BLOCK, hashes(was_best)[0])]))
        await net.tell(peer, GetHeaders(70016, [], hashes(was_best)[0]))
        assert wire.sent.count("block") == 1
        assert "headers" not in wire.sent

    story(body)


def test_more_blocks_than_one_inv_holds_go_on_when_the_last_is_asked_for(story: Any, maker: Any) -> None:
    async def body(chain: Any, net: Network, made: list[bytes]) -> None:
        peer, wire = await net.meet()
        await net.tell(peer, GetBlocks(70016, [chain.genesis.hash]))
        assert wire.hashes("inv") == hashes(*made[:500])
        await net.tell(peer, GetData([Inventory(WITNESS_BLOCK, hashes(made[499])[0])]))
        assert wire.hashes("inv")[500:] == [chain.tip.hash]

    story(body, blocks=502)


def test_a_block_can_be_asked_of_one_peer_whoever_was_asked_before(story: Any, maker: Any) -> None:
    async def body(chain: Any, net: Network, made: list[bytes]) -> None:
        first, _ = await net.meet(services=FULL)
        second, wire = await net.meet(services=FULL)
        news = maker.block(chain.tip.hash, 11)
        await net.tell(first, headers(news))
        node = chain.by_hash(hashes(news)[0])
        net.processing.blocks.fetch(second, node)
        assert wire.hashes("getdata") == hashes(news)
        assert net.processing.blocks.in_flight(first) == []
        await send_block(net, second, news)
        assert chain.tip is node
        assert net.processing.blocks.in_flight(second) == []

    story(body)
