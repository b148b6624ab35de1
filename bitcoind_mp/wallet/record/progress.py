"""How far the wallet has followed the chain: its newest block, a locator from what it recorded itself, which blocks
left the chain meanwhile, and which are to be looked through again.

All of the newest blocks are recorded and ever fewer of the older ones, so that the point where a reorganisation left
the wallet's chain is found without the node's help. What doesn't belong: what the blocks contained.
"""

from collections.abc import Mapping, Sequence

from bitcoind_mp.wallet.storage.ledger import Ledger
from bitcoind_mp.wallet.storage.tables import BlockRow, BlockTable, DetachedBlock, DetachedTable

#: This many of the newest blocks are all recorded: a reorganisation no deeper is undone exactly.
_KEEP_ALL = 144
#: Thinning is done once so many blocks.
_THIN_EVERY = 36


class Progress:
    """The blocks recorded, oldest first."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._table = BlockTable(ledger)
        self._detached = DetachedTable(ledger)
        self._rows: list[BlockRow] = []
        self._unsaved: list[BlockRow] = []
        self.reload()

    def reload(self) -> None:
        """Read what the ledger holds."""
        self._rows = self._table.all()
        self._unsaved = []

    @property
    def tip(self) -> BlockRow | None:
        """The newest block whose effects are committed."""
        return self._rows[-1] if self._rows else None

    def hash_at(self, height: int) -> bytes | None:
        """The hash recorded for that height, None where none is."""
        return next((row.hash for row in reversed(self._rows) if row.height == height), None)

    def height_of(self, hash: bytes) -> int | None:
        """The height of a recorded block, None for another."""
        return next((row.height for row in reversed(self._rows) if row.hash == hash), None)

    def advance(self, block: BlockRow) -> None:
        """That block is processed. The ledger knows with the next `save`."""
        self._rows.append(block)
        self._unsaved.append(block)

    @property
    def unsaved(self) -> int:
        """How many blocks were processed that the ledger doesn't know of: nothing of ours was in them."""
        return len(self._unsaved)

    def save(self) -> None:
        """Write the position. In a ledger transaction."""
        for block in self._unsaved:
            self._table.put(block)
        if any(block.height % _THIN_EVERY == 0 for block in self._unsaved):
            self._thin(self._unsaved[-1].height)
        self._unsaved = []

    def rewind(self, height: int, confirmed: Mapping[bytes, Sequence[bytes]]) -> None:
        """The blocks above that height left the chain; ``confirmed`` are the txids of ours in each, by its hash. In a
        ledger transaction."""
        gone = self._forget(height)
        hashes = {row.height: row.hash for row in gone}
        for row in gone:
            previous = hashes.get(row.height - 1) or self.hash_at(row.height - 1) or bytes(32)
            self._detached.put(DetachedBlock(row.hash, row.height, previous, [*confirmed.get(row.hash, ())]))

    def _forget(self, height: int) -> list[BlockRow]:
        """What was recorded of the blocks above that height, newest first."""
        gone = [row for row in reversed(self._rows) if row.height > height]
        self._table.remove(row.height for row in gone)
        del self._rows[len(self._rows) - len(gone) :]
        self._unsaved = [row for row in self._unsaved if row.height <= height]
        return gone

    def replace_all(self, rows: list[BlockRow]) -> None:
        """Start anew from these, oldest first. In a ledger transaction."""
        self._forget(-1)
        for row in rows:
            self._table.put(row)
        self._rows = list(rows)

    def left(self, block: bytes) -> tuple[int, list[bytes]] | None:
        """Of a block that left the chain while we followed: the height of its last ancestor that didn't, and the txids
        of ours that it and those between confirmed, newest block first. None for any other."""
        txids: list[bytes] = []
        gone = self._detached.get(block)
        while gone is not None:
            txids += gone.txids
            if self.hash_at(gone.height - 1) == gone.previous:
                return gone.height - 1, txids
            gone = self._detached.get(gone.previous)
        return None

    # What is to be scanned again survives a kill: a time where descriptors were added (the lowest counts), a height
    # once it is known.

    @property
    def rescan_wanted(self) -> tuple[int | None, int | None]:
        """The time and the height from which blocks are to be scanned again, None where none is noted."""
        return self._ledger.fact("rescan_time"), self._ledger.fact("rescan_height")

    def note_rescan(self, time: int) -> None:
        """Blocks from that time on are to be scanned. In a ledger transaction."""
        known = self._ledger.fact("rescan_time")
        self._ledger.set_fact("rescan_time", time if known is None else min(known, time))

    def rescan_at(self, height: int | None) -> None:
        """Blocks from that height on are to be scanned, or (None) none any more. In a ledger transaction."""
        self._ledger.set_fact("rescan_height", height)
        self._ledger.set_fact("rescan_time", None)

    def locator(self, above: int | None = None) -> list[str]:
        """Hashes as the node wants them, newest first; of blocks at or below ``above`` where given."""
        rows = [row for row in self._rows if above is None or row.height <= above]
        return [row.hash.hex() for row in reversed(rows)]

    def _thin(self, tip: int) -> None:
        drop = [row for row in self._rows if not _is_kept(row.height, tip)]
        if drop:
            self._table.remove(row.height for row in drop)
            heights = {row.height for row in drop}
            self._rows = [row for row in self._rows if row.height not in heights]


def _is_kept(height: int, tip: int) -> bool:
    """Of blocks deeper than `_KEEP_ALL` every second, then of those twice as deep every fourth, and so on."""
    step = 1 << ((tip - height) // _KEEP_ALL).bit_length()
    return height % step == 0
