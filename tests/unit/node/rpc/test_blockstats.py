"""`getblockstats` over the chain of Core's own functional test."""

import asyncio
from pathlib import Path

import vectors

from bitcoind_mp.node.chain.clock import Clock
from bitcoind_mp.node.chain.opening import open_chain
from bitcoind_mp.node.chain.params import params_for
from bitcoind_mp.node.rpc.blocks import BlockCommands


@vectors.needed
def test_the_statistics_are_cores(tmp_path: Path) -> None:
    data = vectors.core_data("rpc_getblockstats.json")

    async def ask() -> None:
        chain = await open_chain(params_for("regtest"), tmp_path, Clock(data["mocktime"]))
        try:
            for raw in data["blocks"]:
                await chain.submit_block(bytes.fromhex(raw))
            commands = BlockCommands(chain, None)
            for expected in data["stats"]:
                assert await commands.getblockstats(expected["height"]) == expected
                assert await commands.getblockstats(expected["blockhash"]) == expected
        finally:
            await chain.close()

    asyncio.run(ask())
