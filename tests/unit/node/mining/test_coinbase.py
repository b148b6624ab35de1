"""The coinbase, byte by byte as Core's."""

from pathlib import Path

import pytest
from btclib.block.block import Block

from bitcoind_mp.node.mining.coinbase import coinbase, commitment_script, merkle_root


def test_core_would_have_made_the_same(vectors: Path) -> None:
    """Every coinbase of the chain that Core mined, from its height, value, script and the block's other witnesses."""
    count = 0
    for line in (vectors / "core-regtest" / "blocks.hex").read_text().split():
        block = Block.parse(bytes.fromhex(line), check_validity=False)
        count += 1
        theirs, *others = block.transactions
        paid = theirs.vout[0]
        commitment = commitment_script([tx.hash for tx in others])
        ours = coinbase(count, paid.value, paid.script_pub_key.script, commitment)
        assert ours.serialize(include_witness=True) == theirs.serialize(include_witness=True)
        assert merkle_root([tx.id for tx in block.transactions]) == block.header.merkle_root
    assert count == 112


@pytest.mark.parametrize(("height", "start"), [(1, "5100"), (16, "6000"), (17, "011100"), (128, "02800000")])
def test_height_comes_first(height: int, start: str) -> None:
    tx = coinbase(height, 5, b"\x51", None)
    assert tx.vin[0].script_sig.hex() == start
    assert (tx.lock_time, tx.vin[0].sequence) == (height - 1, 0xFFFFFFFE)


def test_before_segwit_there_is_no_commitment() -> None:
    tx = coinbase(100, 5, b"\x51", None)
    assert len(tx.vout) == 1
    assert not tx.is_segwit
