"""Block templates: what goes in, in what order, and where it stops."""

from collections.abc import Callable
from typing import Any

import pytest
from btclib.block.block import Block
from btclib.consensus import subsidy
from btclib.hashes import sha256
from btclib.script.witness import Witness
from btclib.tx import Tx

from bitcoind_mp.node.mempool.pool import Mempool
from bitcoind_mp.node.mining.assembler import BlockLimits, Template, template

Run = Callable[[Any], Any]
COIN = 100_000_000


def txids(made: Template) -> list[bytes]:
    return [each.txid for each in made.transactions]


@pytest.fixture
def put(run: Run, mempool: Mempool) -> Callable[[Tx], Tx]:
    def accept(tx: Tx) -> Tx:
        run(mempool.accept(tx))
        return tx

    return accept


def test_an_empty_block(mempool: Mempool, chain: Any) -> None:
    made = template(chain, mempool, b"\x52")
    assert (made.previous, made.height) == (chain.tip.hash, chain.tip.height + 1)
    assert made.coinbase_value == subsidy(made.height, 150)
    assert made.coinbase.vout[0].script_pub_key.script == b"\x52"
    assert (made.fees, made.weight, made.sigop_cost) == (0, 8000, 400)
    assert made.bits == 0x207FFFFF


def test_the_best_chunks_first(put: Any, mempool: Mempool, money: Any, chain: Any) -> None:
    low, high = put(money.spend(fee=1000)), put(money.spend(fee=3000))
    parent = put(money.spend(fee=10))
    child = put(money.spend(money.output(parent), fee=5000))
    made = template(chain, mempool)
    assert txids(made) == [high.id, parent.id, child.id, low.id]
    assert made.fees == 9010
    assert made.coinbase_value == subsidy(made.height, 150) + 9010
    assert [each.depends for each in made.transactions] == [(), (), (2,), ()]
    assert made.weight == 8000 + sum(tx.weight for tx in (low, high, parent, child))


def test_a_delta_orders_and_is_not_collected(run: Run, put: Any, mempool: Mempool, money: Any, chain: Any) -> None:
    low, high = put(money.spend(fee=1000)), put(money.spend(fee=3000))
    run(mempool.prioritise(low.id, 90_000))
    made = template(chain, mempool)
    assert txids(made) == [low.id, high.id]
    assert made.fees == 4000


def test_the_block_is_one_that_consensus_takes(put: Any, mempool: Mempool, money: Any, chain: Any) -> None:
    for _ in range(5):
        put(money.spend(fee=1000))
    made = template(chain, mempool)
    block = Block.parse(made.block(), check_validity=False)
    block.assert_valid_structure()
    assert block.header.hash[:1]
    assert [tx.id for tx in block.transactions[1:]] == txids(made)
    assert block.transactions[0].vin[0].script_witness.stack == (bytes(32),)
    assert made.commitment is not None
    assert block.transactions[0].vout[1].script_pub_key.script == made.commitment


def test_weight_limits_it(put: Any, mempool: Mempool, money: Any, chain: Any) -> None:
    big, small, bigger = (put(money.spend(fee=fee, pad=pad)) for fee, pad in ((90_000, 5000), (500, 0), (95_000, 6000)))
    room = 8000 + big.weight + small.weight
    made = template(chain, mempool, limits=BlockLimits(max_weight=room + 1))
    assert txids(made) == [big.id, small.id]
    # a block is never filled to the last unit
    assert txids(template(chain, mempool, limits=BlockLimits(max_weight=room))) == [big.id]
    assert bigger.id not in txids(made)


def test_what_does_not_fit_keeps_its_children_out(put: Any, mempool: Mempool, money: Any, chain: Any) -> None:
    parent = put(money.spend(fee=90_000, pad=5000))
    child = put(money.spend(money.output(parent), fee=500))
    other = put(money.spend(fee=400))
    made = template(chain, mempool, limits=BlockLimits(max_weight=20_000))
    assert txids(made) == [other.id]
    assert child.id in mempool


def test_sigops_limit_it(put: Any, mempool: Mempool, money: Any, chain: Any) -> None:
    # 175 times OP_CHECKMULTISIG, of 20 checks each, in a branch that isn't taken
    script = b"\x00\x63" + b"\xae" * 175 + b"\x68\x51"
    program = b"\x00\x20" + sha256(script)
    kept = []
    for number in range(23):
        tx = money.spend(money.coin(script=program), fee=200_000 - number)
        tx.vin[0].script_witness = Witness([script])
        kept.append(put(tx))
    made = template(chain, mempool)
    # 400 are kept for the coinbase, 3500 each
    assert made.sigop_cost == 400 + 22 * 3500 < 80_000
    assert set(txids(made)) < {tx.id for tx in kept}


def test_below_the_least_fee_rate_nothing_is_taken(run: Run, make_mempool: Any, money: Any, chain: Any) -> None:
    mempool = make_mempool(min_relay_fee=0)
    free, paying = money.spend(fee=0), money.spend(fee=10)
    run(mempool.accept(free))
    run(mempool.accept(paying))
    assert txids(template(chain, mempool)) == [paying.id]
    assert len(txids(template(chain, mempool, limits=BlockLimits(min_fee_rate=0)))) == 2
    assert txids(template(chain, mempool, limits=BlockLimits(min_fee_rate=200))) == []


def test_given_transactions_as_they_are(mempool: Mempool, put: Any, money: Any, chain: Any) -> None:
    """``generateblock``: in that order, and their fees are left on the table."""
    put(money.spend(fee=1000))
    given = [money.spend(fee=100), money.spend(fee=90_000)]
    made = template(chain, mempool, transactions=given)
    assert txids(made) == [tx.id for tx in given]
    assert made.coinbase_value == subsidy(made.height, 150)


def test_without_a_mempool_there_is_only_the_coinbase(chain: Any) -> None:
    assert template(chain, None).transactions == ()


def test_time_is_past_the_median_and_not_before_the_clock(mempool: Mempool, chain: Any) -> None:
    chain.clock.time = chain.tip.time + 5000
    assert template(chain, mempool).time == chain.clock.time
    chain.clock.time = 1
    made = template(chain, mempool)
    assert made.time == made.min_time == chain.tip.median_time + 1


def test_cores_template(
    run: Run, make_mempool: Any, tmp_path: Any, vectors: Any, core_chain: Any, core_answers: dict[str, Any]
) -> None:
    import tarfile

    with tarfile.open(vectors / "core-regtest" / "datadir.tar.xz") as archive:
        archive.extract("regtest/mempool.dat", tmp_path)
    mempool = make_mempool(tmp_path / "regtest", on=core_chain)
    run(mempool.load())
    expected = core_answers["getblocktemplate"]["result"]
    made = template(core_chain, mempool)
    assert f"{made.bits:08x}" == expected["bits"]
    assert made.commitment is not None
    assert made.commitment.hex() == expected["default_witness_commitment"]
    assert (made.coinbase_value, made.time, made.height) == tuple(
        expected[name] for name in ("coinbasevalue", "curtime", "height")
    )
    assert (made.min_time, made.version, made.previous.hex()) == tuple(
        expected[name] for name in ("mintime", "version", "previousblockhash")
    )
    ours = [
        (each.raw.hex(), list(each.depends), each.fee, each.wtxid.hex(), each.sigop_cost, each.txid.hex(), each.weight)
        for each in made.transactions
    ]
    assert ours == [tuple(each[name] for name in sorted(each)) for each in expected["transactions"]]
