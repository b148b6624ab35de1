"""``-txindex``: in which block each confirmed transaction is, and where there."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

from btclib import var_int

from .contents import BlockContents
from .follower import ChainIndex, Entry
from .header import BlockNode
from .state import ChainState

_TX = b"t"
_PLACE = Struct("<32sII")


@dataclass(frozen=True)
class TxLocation:
    """A confirmed transaction: its block (hash in display order) and its bytes with witnesses."""

    block_hash: bytes
    raw: bytes


class TxIndex(ChainIndex):
    """Which block holds a transaction. The database is ``indexes/mp-txindex`` in the network's directory."""

    def __init__(self, chain: ChainState, directory: Path) -> None:
        super().__init__(chain, "txindex", directory / "mp-txindex")

    async def find(self, txid: bytes) -> TxLocation | None:
        """The confirmed transaction of that id (display order). Its block may have left the best chain since."""
        await self.caught_up()
        place = self._get(_TX + txid)
        if place is None:
            return None
        hash, offset, size = _PLACE.unpack(place)
        node = self._chain.by_hash(hash)
        if node is None:
            return None
        raw = await self._chain.read_part(node, offset, size)
        return TxLocation(hash, raw)

    async def _entries(self, node: BlockNode) -> list[Entry]:
        raw = await self._chain.read_block(node)
        # Core's index leaves the genesis block's transaction out too: it can't be spent.
        return await asyncio.to_thread(_places, node.hash, raw) if node.height else []


def _places(hash: bytes, raw: bytes) -> list[Entry]:
    entries = []
    contents = BlockContents(raw)
    offset = 80 + len(var_int.serialize(contents.tx_count))
    for tx in contents.transactions:
        size = tx.size
        entries.append((_TX + tx.id, _PLACE.pack(hash, offset, size)))
        offset += size
    return entries
