"""A block's bytes, and what is in them, taken apart only when somebody asks."""

from collections.abc import Callable
from functools import cached_property

from btclib import var_int
from btclib.block.block import Block
from btclib.tx.tx import Tx


class BlockContents:
    """The raw block as a listener gets it. Parsing costs 30 ms a megabyte: ask only for what you need.

    Args:
        raw: the serialised block with witnesses, or what reads it from disk when it is first asked for.
    """

    def __init__(self, raw: bytes | Callable[[], bytes]) -> None:
        self._raw = raw

    @property
    def raw(self) -> bytes:
        """The serialised block with witnesses."""
        if not isinstance(self._raw, bytes):
            self._raw = self._raw()
        return self._raw

    @property
    def header(self) -> bytes:
        """The 80 bytes of the header."""
        return self.raw[:80]

    @property
    def tx_count(self) -> int:
        return count_transactions(self.raw)

    @cached_property
    def block(self) -> Block:
        """The parsed block, not checked again: the kernel has."""
        return Block.parse(self.raw, check_validity=False)

    @property
    def transactions(self) -> list[Tx]:
        """The block's transactions, the coinbase first. ``tx.id`` is the txid in display order."""
        return list(self.block.transactions)


def count_transactions(raw: bytes) -> int:
    """How many transactions a raw block says it has."""
    return int(var_int.parse(raw[80:89]))
