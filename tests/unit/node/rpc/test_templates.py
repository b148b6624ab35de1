"""`getblocktemplate`: when a template is made anew, and the long poll."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.node.kernel import verify_scripts
from bitcoind_mp.node.mining.assembler import BlockLimits
from bitcoind_mp.node.rpc.mining import LastTemplate
from bitcoind_mp.node.rpc.templates import TemplateCommands

SEGWIT = {"rules": ["segwit"]}


@pytest.fixture
def commands(chain: Any, mempool: Any) -> TemplateCommands:
    peers: Any = SimpleNamespace(peers=[])
    return TemplateCommands(chain, mempool, peers, BlockLimits(), LastTemplate(), verify_scripts, looks=(0.02, 0.01))


def test_a_template_is_kept_until_new_transactions_are_five_seconds_old(
    commands: TemplateCommands, chain: Any, mempool: Any, money: Any, run: Any
) -> None:
    async def story() -> None:
        assert (await commands.getblocktemplate(SEGWIT))["transactions"] == []
        await mempool.accept(money.spend(fee=1000))
        chain.clock.time += 5
        assert (await commands.getblocktemplate(SEGWIT))["transactions"] == []
        chain.clock.time += 1
        assert len((await commands.getblocktemplate(SEGWIT))["transactions"]) == 1

    run(story())


def test_a_new_tip_makes_a_new_template_at_once(commands: TemplateCommands, chain: Any, run: Any) -> None:
    async def story() -> None:
        first = await commands.getblocktemplate(SEGWIT)
        block = chain.mine()
        second = await commands.getblocktemplate(SEGWIT)
        assert second["height"] == first["height"] + 1
        assert second["previousblockhash"] == block.hash.hex()

    run(story())


def test_a_long_poll_ends_with_a_new_tip(commands: TemplateCommands, chain: Any, run: Any) -> None:
    async def story() -> None:
        first = await commands.getblocktemplate(SEGWIT)
        polling = asyncio.ensure_future(commands.getblocktemplate({**SEGWIT, "longpollid": first["longpollid"]}))
        await asyncio.sleep(0)
        assert not polling.done()
        chain.mine()
        assert (await polling)["height"] == first["height"] + 1
        assert (await commands.getblocktemplate({**SEGWIT, "longpollid": first["longpollid"]}))["height"]

    run(story())


def test_a_long_poll_ends_with_new_transactions_after_a_while(
    commands: TemplateCommands, chain: Any, mempool: Any, money: Any, run: Any
) -> None:
    async def story() -> None:
        first = await commands.getblocktemplate(SEGWIT)
        polling = asyncio.ensure_future(commands.getblocktemplate({**SEGWIT, "longpollid": first["longpollid"]}))
        assert not (await asyncio.wait({polling}, timeout=0.05))[0]
        chain.clock.time += 6
        await mempool.accept(money.spend(fee=1000))
        assert len((await polling)["transactions"]) == 1

    run(story())


def test_a_long_poll_that_is_cancelled_leaves_nothing_behind(commands: TemplateCommands, chain: Any, run: Any) -> None:
    async def story() -> None:
        first = await commands.getblocktemplate(SEGWIT)
        before = len(chain.listeners)
        polling = asyncio.ensure_future(commands.getblocktemplate({**SEGWIT, "longpollid": first["longpollid"]}))
        await asyncio.sleep(0)
        assert len(chain.listeners) == before + 1
        polling.cancel()
        await asyncio.gather(polling, return_exceptions=True)
        assert len(chain.listeners) == before

    run(story())


def test_on_mainnet_a_node_without_peers_makes_no_template(commands: TemplateCommands, chain: Any, run: Any) -> None:
    chain.params = SimpleNamespace(is_test=False, name="main")
    with pytest.raises(RpcError) as caught:
        run(commands.getblocktemplate(SEGWIT))
    assert (caught.value.code, caught.value.message) == (-9, "Bitcoin Core is not connected!")
