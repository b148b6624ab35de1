"""How a node goes down when a part of it fails at that."""

import asyncio
from pathlib import Path

import pytest

from bitcoind_mp import config as configuration
from bitcoind_mp.config.option import NODE
from bitcoind_mp.node.app import Node


def test_a_part_that_cannot_be_closed_keeps_nothing_from_the_disk(tmp_path: Path) -> None:
    config = configuration.load(["-regtest", f"-datadir={tmp_path}", "-listen=0", "-txindex"], NODE)
    config.make_directories()
    told: list[str] = []

    async def fail() -> None:
        raise ValueError("a fault of ours")

    async def story() -> None:
        node = Node(config, progress=told.append, stop=lambda reason, status: None)
        await node.open()
        await node.go_online()
        node._on_close("Failing…", fail)
        told.clear()
        with pytest.raises(ValueError, match="a fault of ours"):
            await node.close()
        assert told[0] == "Failing…"
        assert told[-3:] == ["Saving the mempool…", "Closing the indexes…", "Writing the chain to disk…"]
        again = Node(config, progress=told.append, stop=lambda reason, status: None)
        await again.open()  # nobody has it open any more
        await again.close()

    asyncio.run(story())
