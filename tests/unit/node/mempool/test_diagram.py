"""Fee rate diagrams, compared as ``CompareChunks`` does."""

import pytest

from bitcoind_mp.node.mempool.diagram import improves

Chunks = list[tuple[int, int]]


@pytest.mark.parametrize(
    ("new", "old", "better"),
    [
        ([(1000, 100)], [(900, 100)], True),
        ([(1000, 100)], [(1000, 100)], False),
        ([(900, 100)], [(1000, 100)], False),
        # more in all, and less at the front
        ([(1100, 200)], [(1000, 100)], False),
        # the same, and something after it
        ([(1000, 100), (50, 100)], [(1000, 100)], True),
        # the same total in less space
        ([(1000, 90)], [(1000, 100)], True),
        # a higher front that falls back
        ([(1000, 100)], [(900, 100), (200, 100)], False),
        # chunks in any order
        ([(10, 100), (1000, 100)], [(1000, 100)], True),
        ([], [(0, 100)], False),
        ([(-5, 100)], [], False),
        ([(5, 100)], [], True),
    ],
)
def test_a_diagram_is_better_where_it_is_nowhere_worse(new: Chunks, old: Chunks, better: bool) -> None:
    assert improves(new, old) is better
