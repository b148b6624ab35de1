"""The mempool as one who listens to the chain."""

from bitcoind_mp.node.chain.values import Listener
from bitcoind_mp.node.mempool.follow import Follower


def test_it_hears_of_all_that_the_chain_tells() -> None:
    told = [name for name in vars(Listener) if not name.startswith("_")]
    assert "block_connected" in told and [name for name in told if not hasattr(Follower, name)] == []
