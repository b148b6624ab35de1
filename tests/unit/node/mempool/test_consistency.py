"""The mempool's own books agree with each other and with the chain, whatever comes in what order."""

import asyncio
import contextlib
import random
from typing import Any

import pytest
from btclib.tx import Tx

from bitcoind_mp.node.mempool.entry import MempoolEntry, Removal
from bitcoind_mp.node.mempool.policy import MempoolPolicy
from bitcoind_mp.node.mempool.pool import Mempool
from bitcoind_mp.node.mempool.rejected import Rejected
from bitcoind_mp.node.mining.assembler import template


class Told(set[bytes]):
    """What a listener takes to be in the mempool."""

    def added(self, entry: MempoolEntry) -> None:
        assert entry.txid not in self
        self.add(entry.txid)

    returned = added

    def removed(self, entry: MempoolEntry, reason: Removal) -> None:
        self.remove(entry.txid)


def check(mempool: Mempool, chain: Any, told: set[bytes]) -> None:
    store, settled = mempool._store, not mempool._reorganiser.pending
    entries = set(store.entries.values())
    assert told == {entry.txid for entry in entries} == set(store.entries)
    assert store.by_wtxid == {entry.wtxid: entry for entry in entries}
    assert store.spends == {outpoint: entry for entry in entries for outpoint in entry.spends}
    assert len(store.spends) == sum(len(entry.spends) for entry in entries)
    assert store.total_vsize == sum(entry.vsize for entry in entries)
    assert store.total_fee == sum(entry.fee for entry in entries)
    for entry in entries:
        assert all(entry in parent.children for parent in entry.parents)
        assert all(entry in child.parents for child in entry.children)
        assert entry.modified_fee == entry.fee + store.deltas.get(entry.txid, 0)
        assert entry.cluster is not None
        assert entry in entry.cluster.entries
        if settled:
            assert entry.parents == store.parents_of(entry.spends)
            known = (point[0] in store.entries or chain.coins.get(point) is not None for point in entry.spends)
            assert all(known)
    clusters = {entry.cluster for entry in entries}
    assert clusters == store.clusters._all
    assert sum(len(cluster.entries) for cluster in clusters if cluster is not None) == len(entries)
    if settled:
        assert not store.clusters.oversize()
        before: set[bytes] = set()
        for each in template(chain, mempool).transactions:
            assert {parent.txid for parent in store.entries[each.txid].parents} <= before
            before.add(each.txid)


class Walk:
    """Random steps on one chain and mempool."""

    def __init__(self, choose: random.Random, chain: Any, money: Any, mempool: Mempool) -> None:
        self.choose, self.chain, self.money, self.mempool = choose, chain, money, mempool
        self.made: list[Tx] = []
        self.points = [money.coin() for _ in range(100)]
        self.floor = chain.tip.height
        self.coming: set[asyncio.Task[None]] = set()

    async def spend(self) -> None:
        """A confirmed coin, or what an earlier transaction spent, or made."""
        choose = self.choose
        if not self.made or choose.random() < 0.4:
            points = [choose.choice(self.points)]
        elif choose.random() < 0.3:
            points = [choose.choice(self.made).vin[0].prev_out]
        else:
            parents = {tx.id: tx for tx in choose.choices(self.made, k=choose.choice([1, 1, 2, 3]))}
            points = [self.money.output(tx) for tx in parents.values()]
        try:
            tx = self.money.spend(*points, fee=choose.choice([0, 50, 300, 2000, 20_000, 200_000]))
        except KeyError:
            return  # that coin is spent for good
        self.made = [*self.made[-150:], tx]
        task = asyncio.create_task(self._come(tx))
        self.coming.add(task)
        task.add_done_callback(self.coming.discard)
        for _ in range(choose.randrange(40)):
            await asyncio.sleep(0)

    async def _come(self, tx: Tx) -> None:
        with contextlib.suppress(Rejected):
            await self.mempool.accept(tx)

    async def mine(self) -> None:
        picked = template(self.chain, self.mempool).transactions
        taken = [self.mempool.get(each.txid) for each in picked[: self.choose.randrange(len(picked) + 1)]]
        self.chain.mine(*taken)

    async def reorganise(self) -> None:
        """Some blocks go, others come, with some of the same transactions and some at odds with them."""
        depth = min(self.choose.choice([1, 1, 2, 3]), self.chain.tip.height - self.floor)
        for _ in range(depth):
            self.chain.disconnect()
        for _ in range(self.choose.choice([0, depth, depth + 1])):
            free = set(self.chain.coins)
            block: list[Tx] = []
            for each in list(self.mempool._reorganiser._waiting.values()):
                points = {(tx_in.prev_out.tx_id, tx_in.prev_out.vout) for tx_in in each.tx.vin}
                if points <= free and self.choose.random() < 0.7:
                    tx = each.tx if self.choose.random() < 0.6 else self.money.spend(each.tx.vin[0].prev_out, fee=1)
                    block.append(tx)
                    free -= points
                    free |= {(tx.id, index) for index in range(len(tx.vout))}
            self.chain.mine(*block, finish=False)
        self.chain.finish()

    async def prioritise(self) -> None:
        if self.made:
            await self.mempool.prioritise(self.choose.choice(self.made).id, self.choose.choice([-3000, 5000, 100_000]))

    async def wait(self) -> None:
        self.chain.clock.time += self.choose.choice([60, 100_000])
        for _ in range(self.choose.randrange(50)):
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(6))
def test_a_random_walk(seed: int, chain: Any, money: Any) -> None:
    choose = random.Random(seed)

    async def story() -> None:
        size, count, weight = (
            choose.choice([300_000_000, 60_000]),
            choose.choice([4, 64]),
            choose.choice([3000, 101_000]),
        )
        policy = MempoolPolicy(max_size=size, cluster_count=count, cluster_size=weight)
        mempool = Mempool(chain, policy, verify=lambda *_: None)
        if seed % 2:  # as a reorganisation of thousands of transactions is gone through
            mempool._reorganiser.at_once, mempool._reorganiser.at_a_time = 2, 1
        told = Told()
        mempool.subscribe(told)
        walk = Walk(choose, chain, money, mempool)
        steps = [walk.spend] * 20 + [walk.mine] * 2 + [walk.reorganise] * 2 + [walk.prioritise] * 2 + [walk.wait] * 2
        for _ in range(200):
            await choose.choice(steps)()
            check(mempool, chain, told)
        await asyncio.gather(*walk.coming)
        check(mempool, chain, told)
        await mempool.close()

    asyncio.run(story())
