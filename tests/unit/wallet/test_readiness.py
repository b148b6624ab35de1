"""How long the wallet process waits before it calls itself ready."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from bitcoind_mp.wallet.readiness import Patience, Readiness

NEVER = 3600.0


@dataclass
class Seen:
    """A node as it is seen."""

    away_since: int | None = None
    busy_at: float | None = None
    is_refused: bool = False


@pytest.mark.parametrize(
    ("seen", "patience"),
    [
        (Seen(1, is_refused=True), Patience(0.01, NEVER, NEVER, NEVER, NEVER)),
        (Seen(1), Patience(NEVER, 0.01, NEVER, NEVER, NEVER)),
        (Seen(1, busy_at=1.0), Patience(NEVER, NEVER, 0.01, NEVER, NEVER)),
        (Seen(), Patience(NEVER, NEVER, NEVER, 0.01, NEVER)),
    ],
)
def test_each_kind_of_silence_has_its_patience(on_bench: Any, seen: Seen, patience: Patience) -> None:
    async def scenario(bench: Any) -> None:
        await bench.wallet()
        await bench.node.go()
        async with asyncio.timeout(30):
            await Readiness(bench.wallets, seen, lambda: None, patience).wait()

    on_bench(scenario)


def test_without_a_wallet_there_is_nothing_to_wait_for(on_bench: Any) -> None:
    async def scenario(bench: Any) -> None:
        never = Patience(NEVER, NEVER, NEVER, NEVER, NEVER)
        await Readiness(bench.wallets, Seen(1), lambda: None, never).wait()

    on_bench(scenario)


def test_it_waits_as_long_as_a_wallet_gets_on_and_says_so(on_bench: Any) -> None:
    async def scenario(bench: Any) -> None:
        wallet = await bench.wallet()
        await bench.node.go()
        told: list[int] = []
        readiness = Readiness(
            bench.wallets, Seen(), lambda: told.append(wallet.height), Patience(NEVER, NEVER, NEVER, NEVER, NEVER)
        )
        waiting = asyncio.ensure_future(readiness.wait())
        wallet.on_move(readiness.changed)
        wallet.on_change(lambda _: readiness.changed())
        bench.chain.mine(count=50)
        await asyncio.sleep(0)
        assert not waiting.done() and told
        bench.node.come()
        async with asyncio.timeout(30):
            await waiting
        assert wallet.height == bench.chain.blocks[-1].ref.height == 50
        assert bench.wallets.attachment(wallet).is_caught_up

    on_bench(scenario)


def test_a_wallet_that_cannot_follow_does_not_keep_the_others(on_bench: Any) -> None:
    async def scenario(bench: Any) -> None:
        wallet = await bench.wallet()
        await bench.node.go()
        bench.wallets.attachment(wallet).problem = "there is no room"
        async with asyncio.timeout(30):
            await Readiness(bench.wallets, Seen(), lambda: None, Patience(NEVER, NEVER, NEVER, NEVER, 0.01)).wait()

    on_bench(scenario)
