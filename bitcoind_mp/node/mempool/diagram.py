"""Fee rate diagrams: what a miner has earned at every size, compared (Core's ``CompareChunks``, ``feefrac.cpp``)."""

from collections.abc import Iterable
from fractions import Fraction

from .linearize import rate_key


def improves(new: Iterable[tuple[int, int]], old: Iterable[tuple[int, int]]) -> bool:
    """Whether the diagram of the ``new`` chunks (fee, size) is nowhere below the ``old`` and somewhere above.

    Chunks may come in any order. Each diagram goes from (0, 0) over its chunks by falling rate and on to the right
    without rising.
    """
    after, before = _points(new), _points(old)
    sizes = sorted({size for size, _ in after + before})
    gains = [high - low for high, low in zip(_heights(after, sizes), _heights(before, sizes), strict=True)]
    return min(gains) >= 0 and max(gains) > 0


def _points(chunks: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    points = [(0, 0)]
    for fee, size in sorted(chunks, key=lambda chunk: (-rate_key(*chunk), chunk[1])):
        points.append((points[-1][0] + size, points[-1][1] + fee))
    return points


def _heights(points: list[tuple[int, int]], sizes: list[int]) -> list[Fraction]:
    """The diagram's fee at each of the ascending sizes."""
    heights = []
    segment = 1
    for size in sizes:
        while segment < len(points) and points[segment][0] < size:
            segment += 1
        if segment == len(points):
            heights.append(Fraction(points[-1][1]))
        else:
            (left, low), (right, high) = points[segment - 1], points[segment]
            heights.append(low + Fraction((high - low) * (size - left), right - left))
    return heights
