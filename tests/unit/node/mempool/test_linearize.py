"""The best order of a cluster, against one found by trying everything."""

from fractions import Fraction
from itertools import combinations
from random import Random

import pytest

from bitcoind_mp.node.mempool.linearize import Item, linearize, rate_key, settle

Graph = tuple[list[Item], list[list[int]]]


def random_graph(random: Random, count: int, density: float) -> Graph:
    fees = [random.randrange(20) * random.choice([1, 100]) for _ in range(count)]
    sizes = [random.randrange(1, 10) * random.choice([1, 40]) for _ in range(count)]
    items = [Item(fee, size, bytes([i])) for i, (fee, size) in enumerate(zip(fees, sizes, strict=True))]
    return items, [[j for j in range(i) if random.random() < density] for i in range(count)]


def best_chunks(items: list[Item], parents: list[list[int]]) -> list[tuple[int, int]]:
    """(fee, size) of the chunks: again and again the closed set of the highest rate, the smallest such."""
    left = set(range(len(items)))
    chunks = []
    while left:
        best = None
        for count in range(1, len(left) + 1):
            for chosen in combinations(sorted(left), count):
                if all(parent in chosen for index in chosen for parent in parents[index] if parent in left):
                    fee, size = sum(items[i].fee for i in chosen), sum(items[i].size for i in chosen)
                    if best is None or (Fraction(fee, size), -size) > best[0]:
                        best = (Fraction(fee, size), -size), chosen, (fee, size)
        assert best is not None
        chunks.append(best[2])
        left -= set(best[1])
    return chunks


@pytest.mark.parametrize("seed", range(40))
def test_the_chunks_are_those_that_trying_everything_finds(seed: int) -> None:
    random = Random(seed)
    items, parents = random_graph(random, random.randrange(1, 9), random.choice([0.1, 0.3, 0.6]))
    chunks = linearize(items, parents)
    found = [(sum(items[i].fee for i in chunk), sum(items[i].size for i in chunk)) for chunk in chunks]
    assert sorted(found) == sorted(best_chunks(items, parents))
    rates = [Fraction(fee, size) for fee, size in found]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("seed", range(20))
def test_parents_come_first_in_clusters_of_any_size(seed: int) -> None:
    random = Random(seed)
    items, parents = random_graph(random, 64, random.choice([0.02, 0.1, 0.8]))
    order = [index for chunk in linearize(items, parents) for index in chunk]
    assert sorted(order) == list(range(64))
    for place, index in enumerate(order):
        assert set(parents[index]) <= set(order[:place])


def test_a_child_pays_for_its_parent() -> None:
    items = [Item(0, 400, b"a"), Item(1000, 400, b"b"), Item(300, 400, b"c")]
    assert linearize(items, [[], [0], []]) == [[0, 1], [2]]


def test_equal_chunks_come_by_size_and_then_by_their_last_transaction() -> None:
    items = [Item(200, 200, b"a"), Item(100, 100, b"c"), Item(100, 100, b"b")]
    assert linearize(items, [[], [], []]) == [[2], [1], [0]]


def test_what_could_be_split_is_split() -> None:
    """A chain whose links pay the same falls into as many chunks."""
    items = [Item(100, 100, bytes([i])) for i in range(5)]
    assert linearize(items, [[], [0], [1], [2], [3]]) == [[0], [1], [2], [3], [4]]


def test_settling_takes_a_rich_child_forward_with_its_parents() -> None:
    items = [Item(10, 100, b"a"), Item(50, 100, b"b"), Item(900, 100, b"c")]
    assert settle(items, [[], [], [0]], [1, 0, 2]) == [0, 2, 1]


def test_rates_are_compared_exactly() -> None:
    assert rate_key(1, 3) == rate_key(1000, 3000)
    big = 4_000_000
    assert rate_key(big - 1, big - 2) > rate_key(big, big - 1)
    assert rate_key(-1, 2) < rate_key(0, 1)
