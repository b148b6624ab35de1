"""Transactions whose parents haven't come yet, kept within bounds (Core's ``src/node/txorphanage.cpp``).

An orphan has one announcement for each peer that has it. What is kept is bounded over all: by a score of how long it
takes to go through, and by weight, of which every peer with orphans has its share. Past a bound the peer furthest
beyond its share loses its oldest; so nobody can push out what another peer sent.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from btclib.tx import Tx

from bitcoind_mp.node.chain.coindb import OutPoint

#: Of all announcements together (``DEFAULT_MAX_ORPHANAGE_LATENCY_SCORE``).
MAX_SCORE = 3000
#: Weight that each peer may use (``DEFAULT_RESERVED_ORPHAN_WEIGHT_PER_PEER``).
WEIGHT_PER_PEER = 404_000
#: A larger transaction isn't kept (``MAX_STANDARD_TX_WEIGHT``).
MAX_WEIGHT = 400_000


@dataclass(eq=False, slots=True)
class Orphan:
    """A transaction without its parents, and what it counts: weight, and one and a tenth for each input."""

    tx: Tx
    txid: bytes
    wtxid: bytes
    weight: int
    input_score: int
    announcers: dict[int, int]
    """Which peers have it, and when, in the order of all announcements."""
    reconsider: int | None = None
    """The peer on whose turn it is to be tried again."""


@dataclass(slots=True)
class _Use:
    """What one peer's announcements come to."""

    count: int = 0
    weight: int = 0
    score: int = 0


class Orphanage:
    """Orphans by wtxid."""

    def __init__(self, *, max_score: int = MAX_SCORE, weight_per_peer: int = WEIGHT_PER_PEER) -> None:
        self._orphans: dict[bytes, Orphan] = {}
        self._spending: dict[OutPoint, set[bytes]] = {}
        self._use: dict[int, _Use] = {}
        self._max_score = max_score
        self._weight_per_peer = weight_per_peer
        self._sequence = 0
        self._weight = 0
        self._score = 0

    def __len__(self) -> int:
        return len(self._orphans)

    def __contains__(self, wtxid: bytes) -> bool:
        return wtxid in self._orphans

    def get(self, wtxid: bytes) -> Orphan | None:
        return self._orphans.get(wtxid)

    def orphans(self) -> list[Orphan]:
        """All of them (``getorphantxs``), in the order of their wtxids as they are on the wire."""
        return [self._orphans[wtxid] for wtxid in sorted(self._orphans, key=lambda wtxid: wtxid[::-1])]

    def is_from(self, wtxid: bytes, peer: int) -> bool:
        """Whether that peer has it."""
        orphan = self._orphans.get(wtxid)
        return orphan is not None and peer in orphan.announcers

    def add(self, tx: Tx, peer: int) -> bool:
        """Keep it as that peer's; whether it is new. One that is too large is not kept."""
        wtxid = tx.hash
        if wtxid in self._orphans:
            self.add_announcer(wtxid, peer)
            return False
        weight = tx.weight
        if weight > MAX_WEIGHT:
            return False
        orphan = Orphan(tx, tx.id, wtxid, weight, len(tx.vin) // 10, {})
        self._orphans[wtxid] = orphan
        for point in _spent(tx):
            self._spending.setdefault(point, set()).add(wtxid)
        self._weight += weight
        self._score += orphan.input_score
        self._announce(orphan, peer)
        return wtxid in self._orphans

    def add_announcer(self, wtxid: bytes, peer: int) -> None:
        """That peer has it too."""
        orphan = self._orphans.get(wtxid)
        if orphan is not None and peer not in orphan.announcers:
            self._announce(orphan, peer)

    def remove(self, wtxid: bytes) -> bool:
        """Forget it; whether it was here."""
        orphan = self._orphans.get(wtxid)
        if orphan is None:
            return False
        for peer in list(orphan.announcers):
            self._withdraw(orphan, peer)
        self._trim()
        return True

    def forget_peer(self, peer: int) -> None:
        """The peer is gone; what nobody else has goes too."""
        for orphan in list(self._orphans.values()):
            if peer in orphan.announcers:
                self._withdraw(orphan, peer)
        self._trim()

    def remove_spenders(self, points: Iterable[OutPoint]) -> None:
        """A block spent these: whatever else spends them, or is in the block itself, is no orphan any more."""
        for wtxid in {wtxid for point in points for wtxid in self._spending.get(point, ())}:
            self.remove(wtxid)

    def parent_came(self, txid: bytes, outputs: int) -> set[int]:
        """Let the children of that transaction be tried again; the peers on whose turns they are."""
        peers = set()
        for index in range(outputs):
            for wtxid in self._spending.get((txid, index), ()):
                orphan = self._orphans[wtxid]
                if orphan.reconsider is None:
                    orphan.reconsider = random.choice(list(orphan.announcers))
                    peers.add(orphan.reconsider)
        return peers

    def to_reconsider(self, peer: int) -> Tx | None:
        """The next to try again on that peer's turn, which it then isn't any more until there is a new reason."""
        waiting = [orphan for orphan in self._orphans.values() if orphan.reconsider == peer]
        if not waiting:
            return None
        oldest = min(waiting, key=lambda orphan: orphan.announcers[peer])
        oldest.reconsider = None
        return oldest.tx

    def children_of(self, txid: bytes, peer: int) -> list[Tx]:
        """That peer's orphans that spend an output of the transaction, the newest first."""
        children = [
            orphan
            for orphan in self._orphans.values()
            if peer in orphan.announcers and any(tx_in.prev_out.tx_id == txid for tx_in in orphan.tx.vin)
        ]
        children.sort(key=lambda orphan: (orphan.reconsider == peer, orphan.announcers[peer]), reverse=True)
        return [orphan.tx for orphan in children]

    # --- inside

    def _announce(self, orphan: Orphan, peer: int) -> None:
        orphan.announcers[peer] = self._sequence
        self._sequence += 1
        self._score += 1
        use = self._use.setdefault(peer, _Use())
        use.count += 1
        use.weight += orphan.weight
        use.score += 1 + orphan.input_score
        self._trim()

    def _withdraw(self, orphan: Orphan, peer: int) -> None:
        del orphan.announcers[peer]
        self._score -= 1
        use = self._use[peer]
        use.count -= 1
        use.weight -= orphan.weight
        use.score -= 1 + orphan.input_score
        if not use.count:
            del self._use[peer]
        if orphan.reconsider == peer:
            orphan.reconsider = None
        if orphan.announcers:
            return
        del self._orphans[orphan.wtxid]
        self._weight -= orphan.weight
        self._score -= orphan.input_score
        for point in _spent(orphan.tx):
            spenders = self._spending.get(point)
            if spenders is not None:
                spenders.discard(orphan.wtxid)
                if not spenders:
                    del self._spending[point]

    @property
    def _too_much(self) -> bool:
        return self._score > self._max_score or self._weight > self._weight_per_peer * max(1, len(self._use))

    def _trim(self) -> None:
        """Drop the oldest announcement of whoever is furthest beyond its share, until all is within bounds."""
        share = Fraction(self._max_score, max(1, len(self._use)))
        while self._too_much:
            worst = max(self._use, key=lambda peer: (self._excess(peer, share), peer))
            owned = [orphan for orphan in self._orphans.values() if worst in orphan.announcers]
            oldest = min(owned, key=lambda orphan: (orphan.reconsider == worst, orphan.announcers[worst]))
            self._withdraw(oldest, worst)

    def _excess(self, peer: int, share: Fraction) -> Fraction:
        use = self._use[peer]
        return max(use.score / share, Fraction(use.weight, self._weight_per_peer))


def _spent(tx: Tx) -> set[OutPoint]:
    return {(tx_in.prev_out.tx_id, tx_in.prev_out.vout) for tx_in in tx.vin}
