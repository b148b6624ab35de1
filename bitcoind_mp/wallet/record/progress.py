"""How far the wallet has followed the chain: its newest block, and a locator from what it recorded itself.

All of the newest blocks are recorded and ever fewer of the older ones, so that the point where a reorganisation left
the wallet's chain is found without the node's help. What doesn't belong: what the blocks contained.
"""

from bitcoind_mp.wallet.storage.tables import BlockRow, BlockTable

#: This many of the newest blocks are all recorded: a reorganisation no deeper is undone exactly.
_KEEP_ALL = 144
#: Thinning is done once so many blocks.
_THIN_EVERY = 36


class Progress:
    """The blocks recorded, oldest first."""

    def __init__(self, table: BlockTable) -> None:
        self._table = table
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

    def rewind(self, height: int) -> list[BlockRow]:
        """Forget the blocks above that height, and return them newest first. In a ledger transaction."""
        gone = [row for row in reversed(self._rows) if row.height > height]
        self._table.remove(row.height for row in gone)
        del self._rows[len(self._rows) - len(gone) :]
        self._unsaved = [row for row in self._unsaved if row.height <= height]
        return gone

    def replace_all(self, rows: list[BlockRow]) -> None:
        """Start anew from these, oldest first. In a ledger transaction."""
        self.rewind(-1)
        for row in rows:
            self._table.put(row)
        self._rows = list(rows)

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
