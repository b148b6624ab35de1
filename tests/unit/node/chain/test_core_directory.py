"""A data directory that Bitcoin Core wrote, against Core's own answers about it."""

import json
import os
import tarfile
from pathlib import Path

import pytest

from bitcoind_mp.node.chain.clock import Clock
from bitcoind_mp.node.chain.contents import BlockContents
from bitcoind_mp.node.chain.indexes import open_indexes

VECTORS = Path(os.environ.get("BITCOIND_MP_VECTORS") or Path(__file__).resolve().parents[5] / "shared" / "vectors")
CORE = VECTORS / "core-regtest"

pytestmark = pytest.mark.skipif(not CORE.is_dir(), reason=f"no Core vectors in {CORE}")


@pytest.fixture
def core(tmp_path: Path) -> Path:
    with tarfile.open(CORE / "datadir.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "regtest"


@pytest.fixture
def answers() -> dict:
    return json.loads((CORE / "answers.json").read_text())


@pytest.fixture
def blocks() -> list[bytes]:
    return [bytes.fromhex(line) for line in (CORE / "blocks.hex").read_text().split()]


def test_chain_coins_and_blocks_are_core_s(core, answers, blocks, chain_at, run) -> None:
    info = answers["getblockchaininfo"]["result"]
    coins = answers["gettxoutsetinfo"]["result"]

    async def body():
        async with chain_at(core, clock=Clock(answers["_mocktime"])) as chain:
            assert (chain.height, chain.tip.hash.hex()) == (info["blocks"], info["bestblockhash"])
            assert chain.best_header.height == info["headers"]
            assert f"{chain.tip.chain_work:064x}" == info["chainwork"]
            assert f"{chain.tip.target:064x}" == info["target"]
            assert (chain.tip.time, chain.tip.median_time) == (info["time"], info["mediantime"])
            assert f"{chain.tip.difficulty:.16g}" == f"{info['difficulty']:.16g}"
            assert chain.initial_block_download is info["initialblockdownload"]
            assert chain.verification_progress == info["verificationprogress"]
            assert chain.size_on_disk == info["size_on_disk"]
            for height, raw in enumerate(blocks, 1):
                assert await chain.read_block(chain.by_height(height)) == raw
            stats = await chain.coin_stats("hash_serialized_3")
            assert stats.digest is not None and stats.digest.hex() == coins["hash_serialized_3"]
            assert stats.hash.hex() == coins["bestblock"]
            assert (stats.outputs, stats.transactions) == (coins["txouts"], coins["transactions"])
            assert (stats.bogo_size, stats.total_amount) == (coins["bogosize"], round(coins["total_amount"] * 10**8))
            # What each block spent, by its undo data, was made by an earlier one and is gone now.
            spent = 0
            made = {}
            for height, raw in enumerate(blocks, 1):
                undo = await chain.read_undo(chain.by_height(height))
                for position, tx in enumerate(BlockContents(raw).transactions):
                    for index, out in enumerate(tx.vout):
                        made[tx.id, index] = (out.value, out.script_pub_key.script, height)
                    for tx_in, coin in zip(tx.vin, undo[position - 1], strict=True) if position else ():
                        outpoint = (tx_in.prev_out.tx_id, tx_in.prev_out.vout)
                        found = (coin.tx_out.value, coin.tx_out.script_pub_key.script, coin.height)
                        assert made[outpoint] == found
                        assert chain.coins.get(outpoint) is None
                        spent += 1
            assert spent > 20

    run(body())


def test_blocks_loaded_anew_make_the_same_coins(answers, blocks, tmp_path, chain_at, run) -> None:
    async def body():
        async with chain_at(tmp_path / "ours", clock=Clock(answers["_mocktime"])) as chain:
            for raw in blocks:
                assert (await chain.submit_block(raw, durable=False)).reason is None
            stats = await chain.coin_stats("hash_serialized_3")
            assert stats.digest is not None
            assert stats.digest.hex() == answers["gettxoutsetinfo"]["result"]["hash_serialized_3"]

    run(body())


def test_the_indexes_answer_as_core_s(core, answers, blocks, chain_at, run) -> None:
    asked = [answer for name, answer in answers.items() if name.startswith("getblockfilter")]
    filters = [answer for answer in asked if "filter" in answer["result"]]
    assert filters

    async def body():
        async with chain_at(core, clock=Clock(answers["_mocktime"])) as chain:
            indexes = open_indexes(chain, core, transactions=True, filters=True)
            for index in indexes.all:
                await index.first_caught_up()
                assert index.state.synced and index.state.best_height == 112
            for answer in filters:
                entry = await indexes.filters.get(bytes.fromhex(answer["params"][0]))
                assert (entry.filter.hex(), entry.header.hex()) == (
                    answer["result"]["filter"],
                    answer["result"]["header"],
                )
            for height, raw in enumerate(blocks, 1):
                for tx in BlockContents(raw).transactions:
                    place = await indexes.transactions.find(tx.id)
                    assert place.block_hash == chain.by_height(height).hash
                    assert place.raw == tx.serialize(include_witness=True, check_validity=False)
            assert await indexes.transactions.find(b"\x01" * 32) is None
            await indexes.close()

    run(body())
