"""Coins that a person locked against being chosen, some of them over restarts."""

from collections.abc import Iterable, Iterator

from bitcoind_mp.wallet.coins import OutPoint
from bitcoind_mp.wallet.storage.tables import LockedTable


class Locks:
    """The locked coins of one wallet."""

    def __init__(self, table: LockedTable) -> None:
        self._table = table
        self._persistent: dict[OutPoint, bool] = {}
        self.reload()

    def reload(self) -> None:
        """Read what the ledger holds; locks of this session stay."""
        passing = {outpoint: False for outpoint, kept in self._persistent.items() if not kept}
        self._persistent = passing | dict.fromkeys(self._table.all(), True)

    def __contains__(self, outpoint: OutPoint) -> bool:
        return outpoint in self._persistent

    def __iter__(self) -> Iterator[OutPoint]:
        return iter(sorted(self._persistent))

    def lock(self, outpoints: Iterable[OutPoint], persistent: bool) -> None:
        """Keep these from being chosen. In a ledger transaction where ``persistent``."""
        for outpoint in outpoints:
            self._persistent[outpoint] = self._persistent.get(outpoint, False) or persistent
            if persistent:
                self._table.add(outpoint)

    def unlock(self, outpoints: Iterable[OutPoint]) -> None:
        """Let these be chosen again. In a ledger transaction."""
        for outpoint in outpoints:
            if self._persistent.pop(outpoint, False):
                self._table.remove(outpoint)
