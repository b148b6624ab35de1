"""Clusters: joined, split, limited, and ordered against one another."""

from typing import Any

from bitcoind_mp.node.mempool.clusters import Clusters
from bitcoind_mp.node.mempool.entry import MempoolEntry


def entry(name: int, fee: int, weight: int = 400, parents: tuple[MempoolEntry, ...] = ()) -> MempoolEntry:
    txid = bytes([name]) * 32
    numbers: dict[str, Any] = dict.fromkeys(("version", "lock_time", "sigop_cost", "time", "height", "sequence"), 0)
    made = MempoolEntry(
        raw=b"",
        txid=txid,
        wtxid=txid,
        spends=(),
        signals_rbf=False,
        relative_locks=False,
        fee=fee,
        modified_fee=fee,
        weight=weight,
        adjusted_weight=weight,
        spends_coinbase=False,
        memory=0,
        parents=set(parents),
        **numbers,
    )
    for parent in parents:
        parent.children.add(made)
    return made


def add(clusters: Clusters, *entries: MempoolEntry) -> None:
    for each in entries:
        clusters.install(clusters.stage([], [each]))


def test_spending_joins_and_removing_splits() -> None:
    clusters = Clusters(64, 404_000)
    a, b = entry(1, 100), entry(2, 100)
    child = entry(3, 100, parents=(a, b))
    add(clusters, a, b, child)
    assert a.cluster is b.cluster is child.cluster
    assert len(clusters) == 1
    child.parents.clear()
    clusters.install(clusters.stage([child]))
    assert a.cluster is not b.cluster
    assert len(clusters) == 2


def test_limits_count_transactions_and_weight() -> None:
    clusters = Clusters(2, 1000)
    a = entry(1, 100)
    add(clusters, a)
    second = entry(2, 100, parents=(a,))
    assert not clusters.oversized(clusters.stage([], [second]))
    assert clusters.oversized(clusters.stage([], [entry(3, 100, 700, parents=(a,))]))
    add(clusters, second)
    assert clusters.oversized(clusters.stage([], [entry(4, 100, 1, parents=(second,))]))


def test_chunks_come_by_rate_whatever_their_cluster() -> None:
    clusters = Clusters(64, 404_000)
    low, high = entry(1, 100), entry(2, 500)
    parent = entry(3, 0)
    child = entry(4, 600, parents=(parent,))
    add(clusters, low, high, parent, child)
    assert [chunk.entries for chunk in clusters.chunks()] == [(high,), (parent, child), (low,)]
    assert clusters.worst().entries == (low,)


def test_the_worst_chunk_follows_every_change() -> None:
    clusters = Clusters(64, 404_000)
    entries = [entry(number, number * 10) for number in range(1, 60)]
    add(clusters, *entries)
    for each in entries:
        assert clusters.worst().entries == (each,)
        clusters.install(clusters.stage([each]))


def test_a_change_is_judged_without_being_made() -> None:
    clusters = Clusters(64, 404_000)
    old = entry(1, 1000)
    add(clusters, old)
    assert clusters.stage([old], [entry(2, 2000)]).improves()
    assert not clusters.stage([old], [entry(2, 900)]).improves()
    assert clusters.worst().entries == (old,)
