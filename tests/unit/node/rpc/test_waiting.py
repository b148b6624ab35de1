"""Calls that wait for a block."""

import asyncio
from typing import Any

import pytest

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.node.rpc.waiting import WaitingCommands


def facts(block: Any) -> dict[str, Any]:
    return {"hash": block.hash.hex(), "height": block.height}


def test_each_wait_ends_at_the_block_it_is_for(chain: Any, run: Any) -> None:
    async def story() -> None:
        commands = WaitingCommands(chain)
        old = chain.tip
        calls = [
            commands.waitfornewblock(),
            commands.waitforblockheight(old.height + 2),
            commands.waitfornewblock(0, old.hash.hex()),
        ]
        any_new, second, other = [asyncio.ensure_future(call) for call in calls]
        await asyncio.sleep(0)
        first_block = chain.mine()
        assert await any_new == await other == facts(first_block)
        assert not second.done()
        wanted = asyncio.ensure_future(commands.waitforblock(first_block.hash.hex()))
        assert await wanted == facts(first_block)
        assert await commands.waitforblockheight(5) == facts(first_block)
        chain.mine()
        assert await second == facts(chain.tip)
        assert not chain.listeners

    run(story())


def test_a_wait_whose_time_is_over_tells_the_tip(chain: Any, run: Any) -> None:
    assert run(WaitingCommands(chain).waitfornewblock(10)) == facts(chain.tip)
    assert not chain.listeners


def test_a_wait_that_is_cancelled_leaves_nothing_behind(chain: Any, run: Any) -> None:
    async def story() -> None:
        waiting = asyncio.ensure_future(WaitingCommands(chain).waitfornewblock())
        await asyncio.sleep(0)
        assert chain.listeners
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert not chain.listeners

    run(story())


def test_a_negative_time_is_refused(chain: Any, run: Any) -> None:
    with pytest.raises(RpcError, match="Negative timeout") as caught:
        run(WaitingCommands(chain).waitfornewblock(-1))
    assert caught.value.code == -1
