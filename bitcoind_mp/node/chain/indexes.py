"""The optional indexes that the node was told to keep."""

from dataclasses import dataclass
from pathlib import Path

from .filterindex import BlockFilterIndex, FilterEntry
from .follower import ChainIndex, IndexState
from .state import ChainState
from .txindex import TxIndex, TxLocation

__all__ = ["BlockFilterIndex", "FilterEntry", "IndexState", "Indexes", "TxIndex", "TxLocation", "open_indexes"]


@dataclass(frozen=True)
class Indexes:
    """``transactions`` (``-txindex``) and ``filters`` (``-blockfilterindex``), None where not wanted."""

    transactions: TxIndex | None = None
    filters: BlockFilterIndex | None = None

    @property
    def all(self) -> list[ChainIndex]:
        return [index for index in (self.transactions, self.filters) if index is not None]

    async def close(self) -> None:
        """Close them."""
        for index in self.all:
            await index.close()


def open_indexes(chain: ChainState, directory: Path, *, transactions: bool, filters: bool) -> Indexes:
    """Open the indexes wanted, in ``indexes/`` of the network's directory, and have them follow the chain."""
    place = directory / "indexes"
    return Indexes(
        transactions=TxIndex(chain, place) if transactions else None,
        filters=BlockFilterIndex(chain, place) if filters else None,
    )
