"""A taproot tree as a PSBT's output tells it (BIP371): every leaf with its depth, in the order Core writes them."""

from collections.abc import Mapping, Sequence

_HASH = 32
_BASE = 33


def tree_of(leaves: Mapping[bytes, tuple[bytes, int]]) -> list[tuple[int, int, bytes]]:
    """(depth, leaf version, script) of each leaf.

    ``leaves`` maps each control block to its script and version, from the left to the right of the tree. Core's builder
    (``TaprootBuilder::GetTreeTuples``) has them from right to left.
    """
    found = [(control[_BASE:], version, script) for control, (script, version) in leaves.items()]
    return _below(found, 0) if found else []


def _below(leaves: Sequence[tuple[bytes, int, bytes]], depth: int) -> list[tuple[int, int, bytes]]:
    """The leaves of the node at that depth that all of these are under, each with its path from itself to the root."""
    path, version, script = leaves[0]
    if len(path) == _HASH * depth:
        return [(depth, version, script)]
    halves: dict[bytes, list[tuple[bytes, int, bytes]]] = {}
    for leaf in leaves:
        end = len(leaf[0]) - _HASH * depth
        halves.setdefault(leaf[0][end - _HASH : end], []).append(leaf)
    left, *right = halves.values()
    # two equal halves have the same control blocks, and so are only one here
    return _below(right[0] if right else left, depth + 1) + _below(left, depth + 1)
