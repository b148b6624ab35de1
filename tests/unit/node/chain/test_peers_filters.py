"""``-peerblockfilters``: filters, their headers and checkpoints for peers, over a real chain and index."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from btclib.hashes import hash256
from btclib.p2p import GetCFCheckpt, GetCFHeaders, GetCFilters
from p2p_network import Network

from bitcoind_mp.node.chain.filterindex import BlockFilterIndex
from bitcoind_mp.node.p2p.processing import Processing
from bitcoind_mp.node.p2p.wire import PeerEndedError

BLOCKS = 1001


def test_filters_are_served_by_the_block_that_ends_the_run(chain_at: Any, run: Any, maker: Any, tmp_path: Path) -> None:
    async def body() -> None:
        async with chain_at() as chain:
            for raw in maker.chain(maker.genesis_hash, 1, BLOCKS):
                await chain.submit_block(raw, durable=False)
            index = BlockFilterIndex(chain, tmp_path / "indexes")
            policy = SimpleNamespace(min_relay_fee=100, incremental_relay_fee=100)
            mempool: Any = SimpleNamespace(policy=policy, sequence=1, rolling_fee_rate=lambda: 0, entries=lambda: [])
            net = Network(chain, mempool)
            net.processing = Processing(
                chain, mempool, announce_interval=(0.0, 0.0), take_transactions=True, filters=index
            )
            while not index.state.synced:  # noqa: ASYNC110 (it says so to nobody)
                await asyncio.sleep(0.01)
            peer, wire = await net.meet()
            entries = {height: await index.get(chain.by_height(height).hash) for height in (0, 4, 5, 6, 1000)}
            stop = chain.by_height(6).hash

            await net.tell(peer, GetCFilters(0, 5, stop))
            found = [(each.block_hash, each.filter_bytes) for each in wire.payloads if each.command == "cfilter"]
            assert found == [
                (chain.by_height(5).hash, entries[5].filter),
                (chain.by_height(6).hash, entries[6].filter),
            ]
            await net.tell(peer, GetCFHeaders(0, 5, stop))
            told = wire.last("cfheaders")
            assert (told.stop_hash, told.previous_filter_header) == (stop, entries[4].header)
            assert list(told.filter_hashes) == [hash256(entries[n].filter)[::-1] for n in (5, 6)]
            await net.tell(peer, GetCFHeaders(0, 0, chain.genesis.hash))
            assert wire.last("cfheaders").previous_filter_header == bytes(32)
            await net.tell(peer, GetCFCheckpt(0, chain.tip.hash))
            assert list(wire.last("cfcheckpt").filter_headers) == [entries[1000].header]

            for bad, why in (
                (GetCFilters(1, 0, stop, check_validity=False), "unsupported"),
                (GetCFilters(0, 0, b"\x01" * 32), "invalid block hash"),
                (GetCFilters(0, 7, stop), "start height 7"),
                (GetCFilters(0, 0, chain.by_height(1000).hash), "too many filters: 1001 / 1000"),
            ):
                with pytest.raises(PeerEndedError, match=why):
                    await net.tell(peer, bad)
            net.processing.close()
            await index.close()

    run(body())
