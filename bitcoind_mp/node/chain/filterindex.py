"""``-blockfilterindex``: each block's BIP158 basic filter, and its header in the chain of filters (BIP157)."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from btclib.block.block_filter import BasicBlockFilter

from .contents import BlockContents
from .follower import ChainIndex, Entry
from .header import BlockNode
from .state import ChainState

_FILTER = b"f"
_HEADER_SIZE = 32


@dataclass(frozen=True)
class FilterEntry:
    """A block's basic filter as serialised, and its header in display order."""

    filter: bytes
    header: bytes


class BlockFilterIndex(ChainIndex):
    """The filters. The database is ``indexes/mp-blockfilter`` in the network's directory."""

    def __init__(self, chain: ChainState, directory: Path) -> None:
        super().__init__(chain, "basic block filter index", directory / "mp-blockfilter")

    async def get(self, block_hash: bytes) -> FilterEntry | None:
        """The filter of that block, None if it isn't indexed (yet)."""
        await self.caught_up()
        return self._stored(block_hash)

    def _stored(self, block_hash: bytes) -> FilterEntry | None:
        value = self._get(_FILTER + block_hash)
        return FilterEntry(value[_HEADER_SIZE:], value[:_HEADER_SIZE]) if value is not None else None

    async def _entries(self, node: BlockNode) -> list[Entry]:
        raw = await self._chain.read_block(node)
        spent = await self._chain.read_undo(node)
        before = self._stored(node.previous_hash) if node.height else None
        scripts = [coin.tx_out.script_pub_key.script for coins in spent for coin in coins]
        previous = before.header if before is not None else bytes(_HEADER_SIZE)
        return [await asyncio.to_thread(_entry, node.hash, raw, scripts, previous)]


def _entry(hash: bytes, raw: bytes, scripts: list[bytes], previous: bytes) -> Entry:
    made = BasicBlockFilter.from_block(BlockContents(raw).block, scripts, check_validity=False)
    return _FILTER + hash, made.header(previous) + made.serialize(check_validity=False)
