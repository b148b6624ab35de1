"""The mempool's figures and relations, and Core's answers about its own."""

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from btclib.tx import Tx

from bitcoind_mp.node.mempool.pool import Mempool

Run = Callable[[Any], Any]


def entry(mempool: Mempool, tx: Tx) -> Any:
    found = mempool.entry(tx.id)
    assert found is not None
    return found


@pytest.fixture
def family(run: Run, mempool: Mempool, money: Any) -> list[Tx]:
    """A grandparent, two parents, a child of both."""
    grandparent = money.spend(outputs=[30_000_000, 30_000_000])
    first = money.spend(money.output(grandparent, 0), fee=1000)
    second = money.spend(money.output(grandparent, 1), fee=2000)
    child = money.spend(money.output(first), money.output(second), fee=4000)
    txs = [grandparent, first, second, child]
    for tx in txs:
        run(mempool.accept(tx))
    return txs


def test_relations(mempool: Mempool, family: list[Tx]) -> None:
    grandparent, first, second, child = (entry(mempool, tx) for tx in family)
    assert set(mempool.ancestors(child)) == {grandparent, first, second}
    assert set(mempool.descendants(grandparent)) == {first, second, child}
    assert mempool.parents(first) == [grandparent]
    assert set(mempool.children(grandparent)) == {first, second}
    in_order = sorted((first, second), key=lambda each: each.txid[::-1])
    assert mempool.children(grandparent) == in_order
    totals = mempool.totals([child, *mempool.ancestors(child)])
    assert (totals.count, totals.vsize) == (4, sum(tx.vsize for tx in family))
    assert totals.fees == mempool.total_fee


def test_mining_order_has_parents_first(mempool: Mempool, family: list[Tx]) -> None:
    order = [each.txid for each in mempool.entries()]
    assert order[0] == family[0].id
    assert order[-1] == family[-1].id
    chunk = mempool.chunk(entry(mempool, family[0]))
    assert chunk.entries[0].txid == family[0].id
    assert sum(each.modified_fee for each in chunk.entries) == chunk.fee
    assert sum(len(each.entries) for each in mempool.cluster(entry(mempool, family[0]))) == 4


def test_coins_and_spenders(mempool: Mempool, money: Any, family: list[Tx], chain: Any) -> None:
    coin = mempool.coin((family[3].id, 0))
    assert coin is not None
    assert (coin.tx_out, coin.height) == (family[3].vout[0], chain.tip.height + 1)
    assert mempool.coin((family[0].id, 0)) is None
    assert mempool.spender((family[0].id, 0)) == family[1].id
    assert mempool.spender((family[3].id, 0)) is None
    confirmed = money.coin()
    assert mempool.coin((confirmed.tx_id, 0)) is not None
    assert mempool.coin((family[3].id, 5)) is None


def test_figures_return_to_nothing(run: Run, mempool: Mempool, family: list[Tx], chain: Any) -> None:
    assert mempool.total_vsize == sum(tx.vsize for tx in family)
    assert mempool.sequence == 5
    assert mempool.usage > sum(tx.size for tx in family)
    chain.mine(*family)
    assert (len(mempool), mempool.total_vsize, mempool.total_fee, mempool.usage) == (0, 0, 0, 64)
    assert mempool.sequence == 9
    assert mempool.entries() == []


def test_a_delta_moves_a_transaction(run: Run, mempool: Mempool, money: Any) -> None:
    low, high = money.spend(fee=1000), money.spend(fee=2000)
    run(mempool.accept(low))
    run(mempool.accept(high))
    assert [each.txid for each in mempool.entries()] == [high.id, low.id]
    updates = mempool.transactions_updated
    run(mempool.prioritise(low.id, 5000))
    assert [each.txid for each in mempool.entries()] == [low.id, high.id]
    assert (entry(mempool, low).fee, entry(mempool, low).modified_fee) == (1000, 6000)
    assert mempool.transactions_updated > updates
    run(mempool.prioritise(low.id, -5000))
    assert mempool.prioritised() == {}


def test_a_delta_waits_for_its_transaction(run: Run, mempool: Mempool, money: Any) -> None:
    tx = money.spend(fee=0)
    run(mempool.prioritise(tx.id, 700))
    accepted = run(mempool.accept(tx))
    assert accepted.fee == 0
    assert accepted.effective_fee_rate == 700_000 // tx.vsize


def test_announcing_again_until_asked(run: Run, mempool: Mempool, money: Any) -> None:
    tx = money.spend(fee=1000)
    mempool.add_unbroadcast(tx.id)
    assert mempool.unbroadcast == frozenset()
    run(mempool.accept(tx, unbroadcast=True))
    assert mempool.unbroadcast == {tx.id}
    mempool.mark_broadcast(tx.id)
    assert mempool.unbroadcast == frozenset()


def test_a_listener_that_has_left_hears_nothing(run: Run, mempool: Mempool, money: Any, recorder: Any) -> None:
    second = mempool.subscribe(recorder)
    run(mempool.accept(money.spend(fee=1000)))
    assert len(recorder.events) == 2
    second.close()
    second.close()
    run(mempool.accept(money.spend(fee=1000)))
    assert len(recorder.events) == 3


def test_replaceability_is_inherited(run: Run, mempool: Mempool, money: Any) -> None:
    parent = money.spend(fee=1000)
    child = money.spend(money.output(parent), fee=1000, sequence=0xFFFFFFFF)
    final = money.spend(fee=1000, sequence=0xFFFFFFFE)
    for tx in (parent, child, final):
        run(mempool.accept(tx))
    assert mempool.replaceable(entry(mempool, child))
    assert not mempool.replaceable(entry(mempool, final))


def test_many_at_once(run: Run, mempool: Mempool, money: Any) -> None:
    import asyncio

    point = money.coin()
    rivals = [money.spend(point, fee=1000 + 500 * number) for number in range(20)]
    others = [money.spend(fee=1000) for _ in range(50)]

    async def main() -> None:
        await asyncio.gather(*(mempool.accept(tx) for tx in (*rivals, *others)), return_exceptions=True)

    run(main())
    assert len(mempool) == 51
    assert mempool.spender((point.tx_id, 0)) == rivals[-1].id


# Core's own answers


@pytest.fixture
def core_mempool(run: Run, make_mempool: Any, tmp_path: Path, vectors: Path, core_chain: Any) -> Mempool:
    with tarfile.open(vectors / "core-regtest" / "datadir.tar.xz") as archive:
        archive.extract("regtest/mempool.dat", tmp_path)
    mempool: Mempool = make_mempool(tmp_path / "regtest", on=core_chain)
    run(mempool.load())
    return mempool


def sats(amount: float) -> int:
    return round(amount * 100_000_000)


def test_cores_entries(core_mempool: Mempool, core_answers: dict[str, Any]) -> None:
    answers = core_answers["getrawmempool_verbose"]["result"]
    assert len(answers) == 3
    for txid, expected in answers.items():
        found = core_mempool.entry(bytes.fromhex(txid))
        assert found is not None
        chunk = core_mempool.chunk(found)
        assert found.wtxid.hex() == expected["wtxid"]
        assert (found.vsize, found.weight, chunk.weight) == (
            expected["vsize"],
            expected["weight"],
            expected["chunkweight"],
        )
        assert (found.time, found.height) == (expected["time"], expected["height"])
        fees = expected["fees"]
        assert (found.fee, found.modified_fee, chunk.fee) == tuple(sats(fees[n]) for n in ("base", "modified", "chunk"))
        assert (found.txid in core_mempool.unbroadcast) == expected["unbroadcast"]


def test_cores_tests_of_acceptance(run: Run, core_mempool: Mempool, core_answers: dict[str, Any]) -> None:
    asked = 0
    for name, answer in core_answers.items():
        if name.startswith("testmempoolaccept") and isinstance(answer["result"], list):
            txs = [Tx.parse(bytes.fromhex(raw), check_validity=False) for raw in answer["params"][0]]
            found = run(core_mempool.test(txs, max_fee_rate=10_000_000)).results[0]
            expected = answer["result"][0]
            asked += 1
            assert (found.txid.hex(), found.wtxid.hex()) == (expected["txid"], expected["wtxid"])
            if expected["allowed"]:
                accepted = found.accepted
                assert accepted is not None
                assert accepted.vsize == expected["vsize"]
                assert accepted.fee == sats(expected["fees"]["base"])
                assert accepted.effective_fee_rate == sats(expected["fees"]["effective-feerate"])
                assert [each.hex() for each in accepted.effective_includes] == expected["fees"]["effective-includes"]
            elif expected["reject-reason"] == "missing-inputs":
                assert found.rejected is not None
                assert found.rejected.kind == "missing-inputs"
            else:
                assert found.rejected is not None
                assert found.rejected.reason == expected["reject-reason"]
                assert str(found.rejected) == expected["reject-details"]
    assert asked == 9


@pytest.mark.parametrize(("delta", "total"), [(1 << 62, (1 << 63) - 1), (-(1 << 62), -(1 << 63))])
def test_a_delta_grows_no_further_than_what_is_written_down(
    run: Run, make_mempool: Any, tmp_path: Path, delta: int, total: int
) -> None:
    mempool: Mempool = make_mempool(tmp_path)
    for _ in range(4):
        run(mempool.prioritise(b"\x01" * 32, delta))
    assert mempool.prioritised() == {b"\x01" * 32: total}
    run(mempool.load())
    run(mempool.close())
    again: Mempool = make_mempool(tmp_path)
    run(again.load())
    assert again.prioritised() == {b"\x01" * 32: total}
