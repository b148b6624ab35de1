"""Makes the header tree from the kernel's index, at start."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from .blockindex import BlockIndex
from .header import BlockNode, Validity
from .headers import HeaderTree
from .params import ChainParams


class IndexDamaged(RuntimeError):
    """The index and the coins don't fit together."""


def build_tree(params: ChainParams, index: BlockIndex, best_block: bytes | None) -> HeaderTree:
    """The tree of all that the index holds, with the active chain ending where the coins stand.

    Raises:
        IndexDamaged: a header's parent is missing, or the coins' block is.
    """
    tree = HeaderTree(BlockNode(params.genesis_raw[:80], None))
    for block in index.blocks:
        node = tree.add(block.header, block.hash, failed=block.failed)
        if node is None:
            raise IndexDamaged(f"The block index has no parent for block {block.hash.hex()}")
        node.position = block.position
        if block.tx_count:
            tree.received(node, block.tx_count)
        node.has_data = block.position is not None
        node.has_undo = block.has_undo
        node.validity = max(node.validity, Validity(max(block.validity, Validity.TREE)))
    if best_block is not None:
        tip = tree.by_hash(best_block)
        if tip is None:
            raise IndexDamaged(f"The coins are at block {best_block.hex()}, which the block index doesn't know")
        tree.start_at(tip)
    return tree


@contextmanager
def without_collection() -> Iterator[None]:
    """A million objects that stay: making them takes half the time while nobody looks for garbage among them, and
    nobody need ever look again (a look takes a second, with the loop standing still)."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
