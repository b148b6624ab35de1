"""What is said of a node's standing: above all not that it is synced while it has heard of no chain."""

import pytest

from bitcoind_mp.node.health import Standing


@pytest.mark.parametrize(
    ("standing", "text"),
    [
        (Standing(112, 112, False, 0, 0), "synced at height 112"),
        (Standing(5, 900, True, 2, 1), "downloading blocks: height 5 of 900"),
        (Standing(5, 900, False, 0, 0), "downloading blocks: height 5 of 900"),
        (Standing(0, 0, True, 1, 1), "in initial download, height 0"),
        (
            Standing(0, 0, True, 0, 0),
            "in initial download, height 0; no peers: name some with -addnode or -connect",
        ),
        (
            Standing(5, 900, True, 0, 1),
            "downloading blocks: height 5 of 900; no peers: the one that is named does not answer",
        ),
        (
            Standing(0, 0, True, 0, 3),
            "in initial download, height 0; no peers: none of the 3 that are named answers",
        ),
    ],
)
def test_it_says_how_far_it_is_and_whom_it_lacks(standing: Standing, text: str) -> None:
    assert str(standing) == text


def test_a_node_that_can_learn_from_nobody_has_a_problem() -> None:
    assert Standing(0, 0, True, 0, 0).problem(0) == (
        "nobody to download the chain from: no peers: name some with -addnode or -connect"
    )


def test_named_peers_have_time_to_answer() -> None:
    alone = Standing(0, 0, True, 0, 1)
    assert alone.problem(1) == ""
    assert "the one that is named does not answer" in alone.problem(3600)


@pytest.mark.parametrize("standing", [Standing(0, 0, False, 0, 0), Standing(0, 9, True, 1, 0)])
def test_one_that_has_a_peer_or_all_blocks_has_none(standing: Standing) -> None:
    assert standing.problem(3600) == ""
