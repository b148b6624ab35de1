"""The optional indexes: where each transaction is, and each block's BIP158 filter."""

from dataclasses import dataclass


@dataclass(frozen=True)
class IndexState:
    """For ``getindexinfo``: the index's name there, whether it is at the tip, and its best block's height."""

    name: str
    synced: bool
    best_height: int


@dataclass(frozen=True)
class TxLocation:
    """Where a confirmed transaction is: its block (display order) and its raw bytes there."""

    block_hash: bytes
    raw: bytes


@dataclass(frozen=True)
class FilterEntry:
    """A block's basic filter: the serialised filter and its header (display order)."""

    filter: bytes
    header: bytes


class TxIndex:
    """``-txindex``."""

    @property
    def state(self) -> IndexState:
        raise NotImplementedError

    async def find(self, txid: bytes) -> TxLocation | None:
        """The confirmed transaction of that id (display order); its block may not be in the best chain any more."""
        raise NotImplementedError


class BlockFilterIndex:
    """``-blockfilterindex``: BIP158 basic filters."""

    @property
    def state(self) -> IndexState:
        raise NotImplementedError

    async def get(self, block_hash: bytes) -> FilterEntry | None:
        """The filter of that block, None if it isn't indexed (yet)."""
        raise NotImplementedError
