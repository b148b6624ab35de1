"""``getdescriptoractivity``: what was paid and spent, over a real chain."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.node.chain.contents import BlockContents
from bitcoind_mp.node.rpc.activity import ActivityCommands

from .conftest import ANYONE

COINBASE_MATURITY = 100
OURS = f"raw({ANYONE.hex()})"


def test_activity_is_told_in_the_order_of_the_chain_and_the_mempools_last(chain_at: Any, run: Any, maker: Any) -> None:
    async def body() -> None:
        async with chain_at() as chain:
            blocks = maker.chain(maker.genesis_hash, 1, COINBASE_MATURITY + 1)
            for raw in blocks:
                await chain.submit_block(raw, durable=False)
            first = chain.by_height(1)
            coinbase = (await _transactions(chain, first))[0]
            spending = maker.spend(coinbase.id, 0, 1, 2)
            await chain.submit_block(maker.block(chain.tip.hash, chain.height + 1, spending))
            waiting = maker.spend(spending.id, 0, 1)
            mempool: Any = SimpleNamespace(entries=lambda: [SimpleNamespace(tx=waiting)])
            lookup: Any = SimpleNamespace(output=lambda outpoint: spending.vout[outpoint[1]])
            commands = ActivityCommands(chain, mempool, lookup)
            hashes = [chain.tip.hash.hex(), first.hash.hex()]

            told = (await commands.getdescriptoractivity(hashes, [OURS]))["activity"]
            assert [(event["type"], event.get("height")) for event in told] == [
                ("receive", 1),
                ("receive", COINBASE_MATURITY + 2),
                ("spend", COINBASE_MATURITY + 2),
                ("receive", COINBASE_MATURITY + 2),
                ("receive", COINBASE_MATURITY + 2),
                ("spend", None),
                ("receive", None),
            ]
            spend = told[2]
            assert (spend["amount"], spend["spend_txid"], spend["spend_vin"]) == (Decimal(50), spending.id.hex(), 0)
            assert (spend["prevout_txid"], spend["prevout_vout"]) == (coinbase.id.hex(), 0)
            assert spend["prevout_spk"]["hex"] == ANYONE.hex()
            assert (told[0]["txid"], told[0]["vout"], told[0]["blockhash"]) == (coinbase.id.hex(), 0, hashes[1])
            assert "blockhash" not in told[-1]
            confirmed = await commands.getdescriptoractivity(hashes, [OURS], False)
            assert confirmed["activity"] == told[:5]
            assert await commands.getdescriptoractivity([], [OURS], False) == {"activity": []}

            with pytest.raises(RpcError, match="Block not found"):
                await commands.getdescriptoractivity(["00" * 32], [OURS])
            stale = maker.block(chain.by_height(5).hash, 6, tag=b"stale")
            hash = (await chain.submit_block(stale)).hash
            with pytest.raises(RpcError, match="Block is not in main chain"):
                await commands.getdescriptoractivity([hash.hex()], [OURS])

    run(body())


async def _transactions(chain: Any, node: Any) -> list[Any]:
    return BlockContents(await chain.read_block(node)).transactions
