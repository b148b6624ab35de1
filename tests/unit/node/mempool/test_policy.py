"""Settings that don't go together."""

import pytest

from bitcoind_mp.node.mempool.policy import MempoolPolicy


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (MempoolPolicy(), ""),
        (MempoolPolicy(max_size=0), ""),
        (MempoolPolicy(max_size=5_000_000), ""),
        (MempoolPolicy(max_size=4_000_000), "-maxmempool must be at least 5 MB"),
        (MempoolPolicy(max_size=-1), "-maxmempool must be at least 5 MB"),
        (MempoolPolicy(cluster_count=65), "limitclustercount must be less than or equal to 64"),
    ],
)
def test_core_would_say_so_too(policy: MempoolPolicy, words: str) -> None:
    assert policy.problem == words
