"""What spends an output, and what is said of a transaction that waits."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.node.rpc.mempool import MempoolCommands


@pytest.fixture
def ask(ask_of: Any, mempool: Any) -> Any:
    return ask_of(MempoolCommands(mempool))


def test_the_spender_of_an_output_is_found_by_options_given_either_way(
    ask: Any, mempool: Any, money: Any, run: Any
) -> None:
    coin, other = money.coin(), money.coin()
    tx = money.spend(coin, fee=1000)
    run(mempool.accept(tx))
    outputs = [{"txid": point.tx_id.hex(), "vout": point.vout} for point in (coin, other)]
    answer = ask("gettxspendingprevout", outputs)
    assert answer == [{**outputs[0], "spendingtxid": tx.id.hex()}, outputs[1]]
    whole = {**answer[0], "spendingtx": tx.serialize(include_witness=True).hex()}
    assert ask("gettxspendingprevout", outputs[:1], {"return_spending_tx": True}) == [whole]
    assert ask("gettxspendingprevout", outputs=outputs[:1], return_spending_tx=True) == [whole]
    with pytest.raises(RpcError, match="txospenderindex is unavailable"):
        ask("gettxspendingprevout", outputs=outputs, mempool_only=False)
    with pytest.raises(RpcError, match="Parameter options conflicts with parameter mempool_only"):
        ask("gettxspendingprevout", outputs=outputs, options={}, mempool_only=False)


def test_an_entry_tells_its_cluster(ask: Any, mempool: Any, money: Any, run: Any) -> None:
    parent = money.spend(fee=1000)
    child = money.spend(money.output(parent), fee=3000)
    for tx in (parent, child):
        run(mempool.accept(tx))
    entry = ask("getmempoolentry", parent.id.hex())
    assert (entry["descendantcount"], entry["ancestorcount"]) == (2, 1)
    assert (entry["depends"], entry["spentby"]) == ([], [child.id.hex()])
    assert str(entry["fees"]["descendant"]) == "0.00004000"
    assert str(entry["fees"]["chunk"]) == "0.00004000"
    assert entry["unbroadcast"] is False
    assert ask("getmempooldescendants", parent.id.hex()) == [child.id.hex()]
    assert set(ask("getmempoolancestors", child.id.hex(), True)) == {parent.id.hex()}


def test_the_fee_rate_diagram_adds_up_the_chunks_best_first(ask: Any, mempool: Any, money: Any, run: Any) -> None:
    assert ask("getmempoolfeeratediagram") == [{"weight": 0, "fee": 0}]
    cheap = money.spend(fee=500)
    parent = money.spend(fee=1000)
    child = money.spend(money.output(parent), fee=3000)
    for tx in (cheap, parent, child):
        run(mempool.accept(tx))
    pair, rest = parent.weight + child.weight, cheap.weight
    points = [(point["weight"], point["fee"]) for point in ask("getmempoolfeeratediagram")]
    assert points == [(0, Decimal(0)), (pair, Decimal("0.00004")), (pair + rest, Decimal("0.000045"))]


def test_what_leaves_a_large_mempool_while_it_is_listed_is_left_out(
    mempool: Any, money: Any, run: Any, chain: Any
) -> None:
    txs = [money.spend(fee=1000) for _ in range(501)]

    async def story() -> None:
        for tx in txs:
            await mempool.accept(tx)
        listing = asyncio.ensure_future(MempoolCommands(mempool).getrawmempool(True))
        await asyncio.sleep(0)
        assert not listing.done()
        last = list(mempool.entries())[-1]
        chain.mine(*(tx for tx in txs if tx.id == last.txid))
        listed = await listing
        assert len(listed) == 500
        assert last.txid.hex() not in listed

    run(story())
