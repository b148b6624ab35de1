"""Headers and blocks of peers that lie, against a real chain: what is taken in, who is asked, who is given up."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from struct import pack
from typing import Any

import pytest
from btclib import var_int
from btclib.hashes import hash256
from btclib.p2p import GetData, GetHeaders, Payload, ServiceFlags, Verack, Version
from btclib.p2p.limits import MAX_HEADERS_RESULTS

from bitcoind_mp.node.chain.clock import Clock
from bitcoind_mp.node.chain.opening import open_chain
from bitcoind_mp.node.chain.params import params_for
from bitcoind_mp.node.chain.state import ChainState
from bitcoind_mp.node.p2p.blocks import BlockRelay
from bitcoind_mp.node.p2p.download import MAX_IN_FLIGHT, BlockDownload
from bitcoind_mp.node.p2p.endpoint import Endpoint
from bitcoind_mp.node.p2p.handshake import Handshake
from bitcoind_mp.node.p2p.headerfetch import parse_headers
from bitcoind_mp.node.p2p.peer import Peer, Role, Traffic
from bitcoind_mp.node.p2p.wire import PeerMisbehavedError

START = 1_700_000_000
MAGIC = bytes.fromhex("fabfb5da")
HALF = 1 << 255
Run = Callable[[Any], Any]


class Wire:
    """The peer's end: what it was sent, and why it was cut off."""

    def __init__(self) -> None:
        self.sent: list[Payload] = []
        self.closed = ""
        self.is_behind = False

    def send(self, payload: Payload) -> None:
        self.sent.append(payload)

    def close(self, reason: str) -> None:
        self.closed = reason

    def asked(self, kind: type) -> list[Any]:
        """What it was asked for by such messages since the last look."""
        found = [each for each in self.sent if isinstance(each, kind)]
        self.sent.clear()
        return found


def new_peer(number: int) -> tuple[Peer, Wire]:
    wire: Any = Wire()
    handshake = Handshake(Version(70016, nonce=1), inbound=True, our_nonces=set())
    services = ServiceFlags.NODE_NETWORK | ServiceFlags.NODE_WITNESS
    for payload in (Version(70016, services, nonce=2), Verack()):
        handshake.receive(payload.to_message(MAGIC))
    return Peer(number, Endpoint("127.0.0.1", number), wire, handshake, role=Role.INBOUND, traffic=Traffic(0)), wire


def mined(previous: bytes, count: int, tag: int = 0) -> list[bytes]:
    """Headers on a hash (as on the wire), a second apart, with regtest's work and nothing behind them."""
    headers = []
    for n in range(count):
        front = pack("<i", 0x20000000) + previous + bytes([tag]) * 32 + pack("<II", START + n, 0x207FFFFF)
        for nonce in range(1000):
            header = front + nonce.to_bytes(4, "little")
            previous = hash256(header)
            if int.from_bytes(previous, "little") < HALF:
                break
        headers.append(header)
    return headers


def message(headers: list[bytes]) -> bytes:
    return var_int.serialize(len(headers)) + b"".join(header + b"\x00" for header in headers)


async def opened(directory: Path, work: int = 0) -> ChainState:
    """Regtest, where chains of less than ``work`` blocks aren't worth following."""
    params = params_for("regtest")
    consensus = replace(params.consensus, minimum_chain_work=2 * work)
    return await open_chain(replace(params, consensus=consensus), directory, Clock(START + 1_000_000))


@pytest.fixture
def genesis() -> bytes:
    return hash256(params_for("regtest").genesis_raw[:80])


@pytest.fixture
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


def test_a_long_chain_that_has_no_work_leaves_nothing_behind(run: Run, tmp_path: Path, genesis: bytes) -> None:
    headers = mined(genesis, MAX_HEADERS_RESULTS + 100)

    async def story() -> None:
        chain = await opened(tmp_path, work=3000)
        peer, wire = new_peer(1)
        relay = BlockRelay(chain, {1: peer})
        relay.greet(peer)
        wire.sent.clear()
        await relay.on_headers(peer, message(headers[:50]))
        assert not wire.asked(GetHeaders)
        await relay.on_headers(peer, message(headers[:MAX_HEADERS_RESULTS]))
        asked = wire.asked(GetHeaders)
        assert [request.locator[0] for request in asked] == [hash256(headers[MAX_HEADERS_RESULTS - 1])[::-1]]
        assert peer.headers.low_work is not None
        await relay.on_headers(peer, message(headers[MAX_HEADERS_RESULTS:]))
        assert peer.headers.low_work is None
        assert not wire.sent
        assert len(chain.headers) == 1
        await chain.close()

    run(story())


def test_a_chain_that_has_the_work_is_taken_in_when_it_was_shown_twice(
    run: Run, tmp_path: Path, genesis: bytes
) -> None:
    headers = mined(genesis, 2 * MAX_HEADERS_RESULTS + 100)
    places = {hash256(header)[::-1]: n + 1 for n, header in enumerate(headers)} | {genesis[::-1]: 0}

    async def story() -> None:
        chain = await opened(tmp_path, work=3000)
        peer, wire = new_peer(1)
        relay = BlockRelay(chain, {1: peer})
        relay.greet(peer)
        known: list[int] = []
        while requests := wire.asked(GetHeaders):
            assert len(requests) == 1
            start = next(places[hash] for hash in requests[0].locator if hash in places)
            known.append(len(chain.headers) - 1)
            await relay.on_headers(peer, message(headers[start : start + MAX_HEADERS_RESULTS]))
        assert known[:3] == [0, 0, 0]
        assert chain.best_header.height == len(headers)
        assert peer.best_known is chain.best_header
        relay.close()
        await chain.close()

    run(story())


def test_headers_without_their_work_or_apart_end_the_connection(run: Run, tmp_path: Path, genesis: bytes) -> None:
    headers = mined(genesis, 3)
    idle = next(
        changed
        for nonce in range(1000)
        if int.from_bytes(hash256(changed := headers[0][:76] + nonce.to_bytes(4, "little")), "little") > HALF
    )
    easy = headers[0][:72] + bytes.fromhex("ffff7f21") + headers[0][76:]

    async def story() -> None:
        chain = await opened(tmp_path)
        peer, _ = new_peer(1)
        relay = BlockRelay(chain, {1: peer})
        for bad in ([idle], [easy]):
            with pytest.raises(PeerMisbehavedError, match="invalid proof of work"):
                await relay.on_headers(peer, message(bad))
        with pytest.raises(PeerMisbehavedError, match="non-continuous"):
            await relay.on_headers(peer, message([headers[0], headers[2]]))
        assert len(chain.headers) == 1
        await chain.close()

    run(story())


def test_the_transaction_count_after_a_header_is_passed_over(genesis: bytes) -> None:
    headers = mined(genesis, 2)
    parsed = parse_headers(b"\x02" + headers[0] + b"\xfd\x00\x01" + headers[1] + b"\x00")
    assert [header.raw for header in parsed] == headers


def test_a_block_that_nobody_asked_for_is_stored_only_if_it_may_matter(
    run: Run, tmp_path: Path, maker: Any, genesis: bytes
) -> None:
    best = maker.chain(maker.genesis_hash, 1, 3)
    fork = maker.chain(maker.genesis_hash, 1, 3, tag=b"fork")

    def name(raw: bytes) -> bytes:
        return hash256(raw[:80])[::-1]

    async def story() -> None:
        chain = await opened(tmp_path)
        peer, _ = new_peer(1)
        relay = BlockRelay(chain, {1: peer})
        for raw in best:
            await relay.on_block(peer, raw)
        assert chain.height == 3
        await relay.on_block(peer, fork[0])
        node = chain.by_hash(name(fork[0]))
        assert node is not None
        assert not node.has_data  # less work than the tip
        await relay.on_headers(peer, message([raw[:80] for raw in fork]))
        await relay.on_block(peer, fork[2])
        node = chain.by_hash(name(fork[2]))
        assert node is not None
        assert node.has_data  # as much as the tip
        relay.close()
        await chain.close()

    run(story())


def test_a_block_of_a_chain_without_work_is_not_stored_and_nor_is_its_header(
    run: Run, tmp_path: Path, maker: Any
) -> None:
    async def story() -> None:
        chain = await opened(tmp_path, work=3000)
        peer, _ = new_peer(1)
        relay = BlockRelay(chain, {1: peer})
        await relay.on_block(peer, maker.block(maker.genesis_hash, 1))
        assert len(chain.headers) == 1
        await chain.close()

    run(story())


def test_a_peer_without_the_blocks_that_it_announced_does_not_keep_them_from_another(
    run: Run, tmp_path: Path, maker: Any
) -> None:
    blocks = maker.chain(maker.genesis_hash, 1, MAX_IN_FLIGHT)

    async def story() -> None:
        chain = await opened(tmp_path)
        liar, liars_wire = new_peer(1)
        honest, wire = new_peer(2)
        peers = {1: liar, 2: honest}
        relay = BlockRelay(chain, peers)
        for peer in (liar, honest):
            await relay.on_headers(peer, message([raw[:80] for raw in blocks]))
        (request,) = liars_wire.asked(GetData)
        assert not wire.asked(GetData)
        with pytest.raises(PeerMisbehavedError, match="though it was announced"):
            relay.refused(liar, [item.hash for item in request.items])
        del peers[1]
        relay.forget(liar)
        (request,) = wire.asked(GetData)
        assert len(request.items) == MAX_IN_FLIGHT
        relay.close()
        await chain.close()

    run(story())


def test_a_peer_is_late_only_while_it_is_waited_for(run: Run, tmp_path: Path, genesis: bytes) -> None:
    async def story() -> None:
        chain = await opened(tmp_path)
        await chain.submit_headers(mined(genesis, 3))
        peer, wire = new_peer(7)
        peer.best_known = chain.best_header
        download = BlockDownload(chain, {7: peer})
        timeout = chain.params.consensus.pow_target_spacing
        first, *_ = download.next_blocks(peer, now=0.0)
        assert not download.late(peer, timeout)
        assert download.late(peer, timeout + 1)
        wire.is_behind = True
        assert not download.late(peer, timeout + 1)
        wire.is_behind = False
        download.received(first.hash, peer, now=90.0)
        assert not download.late(peer, timeout + 91)  # the kernel is at it
        download.processed(first.hash, now=100.0)
        assert not download.late(peer, timeout + 100)
        assert download.next_deadline() == timeout + 100
        assert download.late(peer, timeout + 101)
        wire.is_behind = True
        assert download.late(peer, timeout + 701)  # it can't go on for ever
        assert [node.height for node in download.in_flight(7)] == [2, 3]
        await chain.close()

    run(story())
