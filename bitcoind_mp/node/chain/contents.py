"""A block's bytes, and what is in them, taken apart only when somebody asks."""

from functools import cached_property

from btclib import var_int
from btclib.block.block import Block
from btclib.tx.coin import Coin
from btclib.tx.tx import Tx

__all__ = ["BlockContents", "Coin"]


class BlockContents:
    """The raw block as a listener gets it. Parsing costs 30 ms a megabyte: ask only for what you need.

    ``raw`` is the serialised block with witnesses.
    """

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    @property
    def header(self) -> bytes:
        """The 80 bytes of the header."""
        return self.raw[:80]

    @property
    def tx_count(self) -> int:
        return int(var_int.parse(self.raw[80:89]))

    @cached_property
    def block(self) -> Block:
        """The parsed block, not checked again: the kernel has."""
        return Block.parse(self.raw, check_validity=False)

    @property
    def transactions(self) -> list[Tx]:
        """The block's transactions, the coinbase first. ``tx.id`` is the txid in display order."""
        return list(self.block.transactions)
