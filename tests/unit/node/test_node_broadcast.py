"""A caller's transaction on its way into the mempool."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.node.broadcast import Broadcaster
from bitcoind_mp.node.mempool.entry import MempoolEntry
from bitcoind_mp.node.mempool.pool import Mempool

Run = Callable[[Any], Any]


def test_a_transaction_that_comes_twice_at_once_is_taken(run: Run, mempool: Mempool, money: Any, chain: Any) -> None:
    """A peer's copy may come while ours is looked at: who sends it is told that it is there."""
    again: list[MempoolEntry] = []
    broadcaster = Broadcaster(chain, mempool, again.append)
    tx = money.spend(fee=1000)

    async def story() -> list[Any]:
        return await asyncio.gather(mempool.accept(tx, local=False), broadcaster.broadcast(tx, None))

    assert run(story())[1] == tx.id
    assert [entry.txid for entry in again] == [tx.id]
    assert tx.id in mempool.unbroadcast


def test_what_conflicts_with_what_is_there_is_refused_in_cores_words(
    run: Run, mempool: Mempool, money: Any, chain: Any
) -> None:
    broadcaster = Broadcaster(chain, mempool, lambda entry: None)
    point = money.coin()
    first = money.spend(point, fee=5000)
    assert run(broadcaster.broadcast(first, None)) == first.id
    with pytest.raises(RpcError) as refused:
        run(broadcaster.broadcast(money.spend(point, fee=1000), None))
    assert refused.value.code == -26
    assert refused.value.message.startswith("insufficient fee, rejecting replacement")
