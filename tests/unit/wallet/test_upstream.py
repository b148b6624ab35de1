"""Waiting for a node that keeps its callers waiting."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.init import PROTOCOL_VERSION, Hello
from bitcoind_mp.ipc.wire.unix import bind_listener
from bitcoind_mp.wallet.chain.upstream import Upstream
from bitcoind_mp.wallet.clock import NodeClock


def test_a_process_that_stops_waits_for_no_node_that_may_be_going_down_as_well(tmp_path: Path) -> None:
    """A payment that the wallet has kept is answered, and not cut short with the process."""

    async def main() -> None:
        with bind_listener(tmp_path / "node.sock"):
            hello = Hello("wallet", PROTOCOL_VERSION, "regtest", "0.1", os.getpid())
            upstream = Upstream(tmp_path / "node.sock", hello, NodeClock(time.time))
            upstream.start()
            asking = asyncio.ensure_future(upstream.chain.status())
            assert (await asyncio.wait([asking], timeout=0.3))[1] == {asking}, "it waits"
            upstream.give_up()
            with pytest.raises(RpcError, match="The node can't be reached") as raised:
                await asyncio.wait_for(asking, 5)
            assert raised.value.code == RpcCode.CLIENT_NOT_CONNECTED
            await upstream.close()

    asyncio.run(main())
