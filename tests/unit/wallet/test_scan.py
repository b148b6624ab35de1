"""The offset walk against btclib's parser."""

import os
from pathlib import Path

import pytest
from btclib.block import Block

from bitcoind_mp.wallet.record.scan import concerns, scan_block, wire_outpoint

VECTORS = Path(os.environ.get("BITCOIND_MP_VECTORS", Path(__file__).parents[4] / "shared" / "vectors"))


def blocks():
    large = VECTORS / "core-data" / "block413567.raw"
    regtest = VECTORS / "core-regtest" / "blocks.hex"
    if not large.exists() or not regtest.exists():
        pytest.skip(f"no vectors in {VECTORS}")
    yield large.read_bytes()
    for line in regtest.read_text().split()[-15:]:
        yield bytes.fromhex(line)


def test_every_transaction_is_found_by_each_of_its_scripts_and_outpoints():
    seen = 0
    for raw in blocks():
        txs = Block.parse(raw, check_validity=False).transactions
        every = {out.script_pub_key.script for tx in txs for out in tx.vout}
        found = list(scan_block(raw, every, set()))
        assert [one.raw for one in found] == [tx.serialize(include_witness=True) for tx in txs]
        assert [one.position for one in found] == list(range(len(txs)))
        outpoints = {wire_outpoint(tx_in.prev_out.tx_id, tx_in.prev_out.vout) for tx in txs[1:] for tx_in in tx.vin}
        assert len(list(scan_block(raw, {}, outpoints))) == len(txs) - 1
        seen += len(txs)
    assert seen > 1500


def test_one_script_finds_its_transactions_alone():
    for raw in blocks():
        txs = Block.parse(raw, check_validity=False).transactions
        script = txs[-1].vout[0].script_pub_key.script
        expected = [n for n, tx in enumerate(txs) if any(out.script_pub_key.script == script for out in tx.vout)]
        assert [one.position for one in scan_block(raw, {script}, set())] == expected


def test_what_is_watched_may_grow_while_a_block_is_scanned():
    raw = next(blocks())
    txs = Block.parse(raw, check_validity=False).transactions
    scripts = {txs[3].vout[0].script_pub_key.script}
    positions = []
    for found in scan_block(raw, scripts, set()):
        positions.append(found.position)
        scripts.add(txs[-1].vout[0].script_pub_key.script)
    assert positions[0] <= 3
    assert positions[-1] == len(txs) - 1


def test_a_single_transaction():
    raw = next(blocks())
    tx = Block.parse(raw, check_validity=False).transactions[5]
    plain = tx.serialize(include_witness=True)
    assert concerns(plain, {tx.vout[-1].script_pub_key.script}, set())
    assert not concerns(plain, {b"\x51"}, {bytes(36)})
