"""What descriptors tell of a PSBT."""

import asyncio

from bitcoind_mp.node.rpc.psbt_process import add_descriptor
from bitcoind_mp.signing.keystore import KeyStore

KEY = "tpubD6NzVbkrYhZ4WaWSyoBvQwbpLkojyoTZPRsgXELWz3Popb3qkjcJyJUGLnL4qHHoQvao8ESaAstxYSnhyswJ76uZPStJRJCTKvosUCJZL5B"


def test_others_are_served_while_a_range_is_expanded() -> None:
    async def expand() -> int:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(others())
        await add_descriptor(keys, {"desc": f"wpkh({KEY}/*)", "range": 499}, "regtest")
        task.cancel()
        return turns

    keys = KeyStore()
    assert asyncio.run(expand()) == 10
    assert len(keys.origins) == 500
