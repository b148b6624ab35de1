"""Transactions whose parents haven't come yet, kept for a while within bounds (Core's ``src/node/txorphanage.cpp``)."""

from collections import OrderedDict
from dataclasses import dataclass

from btclib.tx import Tx

#: Bounds on what peers can make us keep, for all of them together.
MAX_ORPHANS = 100
MAX_ORPHAN_BYTES = 4_000_000


@dataclass(frozen=True)
class Orphan:
    """A transaction without its parents, its size in bytes, and the peer that sent it."""

    tx: Tx
    size: int
    peer: int


class Orphanage:
    """Orphans by wtxid, oldest first; the oldest goes when there is no room."""

    def __init__(self) -> None:
        self._orphans: OrderedDict[bytes, Orphan] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._orphans)

    def __contains__(self, wtxid: bytes) -> bool:
        return wtxid in self._orphans

    def add(self, wtxid: bytes, orphan: Orphan) -> None:
        """Keep it; one that is here already stays as it is."""
        if wtxid in self._orphans:
            return
        self._orphans[wtxid] = orphan
        self._bytes += orphan.size
        while len(self._orphans) > MAX_ORPHANS or self._bytes > MAX_ORPHAN_BYTES:
            self.remove(next(iter(self._orphans)))

    def remove(self, wtxid: bytes) -> None:
        orphan = self._orphans.pop(wtxid, None)
        if orphan is not None:
            self._bytes -= orphan.size

    def children_of(self, txid: bytes) -> list[tuple[bytes, Orphan]]:
        """Those that spend an output of that transaction."""
        return [
            (wtxid, orphan)
            for wtxid, orphan in self._orphans.items()
            if any(tx_in.prev_out.tx_id == txid for tx_in in orphan.tx.vin)
        ]

    def forget_peer(self, peer: int) -> None:
        """Drop what that peer sent."""
        for wtxid in [w for w, orphan in self._orphans.items() if orphan.peer == peer]:
            self.remove(wtxid)
