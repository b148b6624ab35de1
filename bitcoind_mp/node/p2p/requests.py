"""Which announced transactions to ask which peer for, and when. No clock: time is passed in (Core's
``src/txrequest.cpp``).

Each is asked for once at a time. Of those whose time to be asked has come, preferred peers (ours, not callers) come
first, and among equals chance decides; where the asked peer is silent, gone or hasn't got it, the next is asked.
"""

import heapq
import random
from dataclasses import dataclass
from enum import Enum, auto
from itertools import count

#: Core's ``GETDATA_TX_INTERVAL``: seconds before another announcer is asked.
REQUEST_TIMEOUT = 60.0
_SLACK = 1000


class _State(Enum):
    DELAYED = auto()
    READY = auto()
    REQUESTED = auto()
    COMPLETED = auto()


@dataclass(eq=False, slots=True)
class Announcement:
    """One peer says that it has one transaction. ``time`` is when it may be asked, once asked when that is too long
    ago; ``by_wtxid`` says which of the two hashes it named."""

    hash: bytes
    by_wtxid: bool
    peer: int
    preferred: bool
    time: float
    order: int
    chance: float
    state: _State = _State.DELAYED

    @property
    def rank(self) -> tuple[bool, float]:
        return self.preferred, self.chance


class TxRequests:
    """Announced and not yet received transactions, by the hash they were announced with."""

    def __init__(self) -> None:
        self._by_hash: dict[bytes, dict[int, Announcement]] = {}
        self._by_peer: dict[int, dict[bytes, Announcement]] = {}
        self._in_flight: dict[int, int] = {}
        self._due: list[tuple[float, int, Announcement]] = []
        self._next: dict[bytes, Announcement] = {}
        """Of each transaction that can be asked for now, whose turn it is."""
        self._order = count()

    def __len__(self) -> int:
        return len(self._by_hash)

    def count(self, peer: int) -> int:
        """How many announcements of that peer are kept."""
        return len(self._by_peer.get(peer, ()))

    def in_flight(self, peer: int) -> int:
        """How many of them the peer was asked for and hasn't answered."""
        return self._in_flight.get(peer, 0)

    def candidates(self, hash: bytes) -> list[int]:
        """The peers that have it and haven't failed to send it."""
        return [a.peer for a in self._by_hash.get(hash, {}).values() if a.state is not _State.COMPLETED]

    def announced(self, peer: int, hash: bytes, time: float, *, preferred: bool = True, by_wtxid: bool = True) -> None:
        """A peer says that it has the transaction; it may be asked from ``time`` on. Said twice counts once."""
        others = self._by_hash.setdefault(hash, {})
        if peer in others:
            return
        announcement = Announcement(hash, by_wtxid, peer, preferred, time, next(self._order), random.random())
        others[peer] = announcement
        self._by_peer.setdefault(peer, {})[hash] = announcement
        self._set_alarm(announcement)

    def requestable(self, now: float) -> dict[int, list[Announcement]]:
        """What to ask each peer for now, in the order it was announced; say `requested` or `forget` of each."""
        self._advance(now)
        found: dict[int, list[Announcement]] = {}
        for announcement in self._next.values():
            found.setdefault(announcement.peer, []).append(announcement)
        for announcements in found.values():
            announcements.sort(key=lambda announcement: announcement.order)
        return found

    def requested(self, announcement: Announcement, now: float) -> None:
        """The peer was asked."""
        self._next.pop(announcement.hash, None)
        announcement.state = _State.REQUESTED
        announcement.time = now + REQUEST_TIMEOUT
        self._in_flight[announcement.peer] = self._in_flight.get(announcement.peer, 0) + 1
        self._set_alarm(announcement)

    def next_deadline(self) -> float | None:
        """When `requestable` may have something new."""
        while self._due and not self._counts(*self._due[0]):
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def answered(self, peer: int, hash: bytes) -> None:
        """The peer sent it, or said that it hasn't got it: it isn't asked for it again."""
        announcement = self._by_hash.get(hash, {}).get(peer)
        if announcement is not None:
            self._complete(announcement)

    def forget(self, hash: bytes) -> None:
        """Nobody is to be asked for it any more."""
        for announcement in self._by_hash.pop(hash, {}).values():
            self._landed(announcement)
            announcement.state = _State.COMPLETED
            self._unlist(announcement)
        self._next.pop(hash, None)

    def forget_peer(self, peer: int) -> None:
        """The peer is gone."""
        for announcement in list(self._by_peer.get(peer, {}).values()):
            self._complete(announcement)
            others = self._by_hash.get(announcement.hash)
            if others is not None:
                others.pop(peer, None)
                self._choose(announcement.hash)
        self._by_peer.pop(peer, None)
        self._in_flight.pop(peer, None)

    # --- inside

    def _set_alarm(self, announcement: Announcement) -> None:
        """Those that are about nothing any more are dropped now and then: a peer can make many within their minute."""
        heapq.heappush(self._due, (announcement.time, announcement.order, announcement))
        if len(self._due) > _SLACK and len(self._due) > 2 * sum(map(len, self._by_peer.values())):
            self._due = [alarm for alarm in self._due if self._counts(*alarm)]
            heapq.heapify(self._due)

    def _counts(self, time: float, _order: int, announcement: Announcement) -> bool:
        """Whether the alarm is still about what it was set for."""
        return announcement.time == time and announcement.state in (_State.DELAYED, _State.REQUESTED)

    def _advance(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            alarm = heapq.heappop(self._due)
            if not self._counts(*alarm):
                continue
            announcement = alarm[2]
            if announcement.state is _State.REQUESTED:
                self._complete(announcement)
            else:
                announcement.state = _State.READY
                self._choose(announcement.hash)

    def _complete(self, announcement: Announcement) -> None:
        self._landed(announcement)
        announcement.state = _State.COMPLETED
        self._choose(announcement.hash)

    def _landed(self, announcement: Announcement) -> None:
        if announcement.state is _State.REQUESTED:
            self._in_flight[announcement.peer] -= 1

    def _choose(self, hash: bytes) -> None:
        """Whose turn it is; the transaction is forgotten where nobody is left."""
        announcements = self._by_hash.get(hash, {})
        self._next.pop(hash, None)
        if all(announcement.state is _State.COMPLETED for announcement in announcements.values()):
            for announcement in announcements.values():
                self._unlist(announcement)
            self._by_hash.pop(hash, None)
            return
        if any(announcement.state is _State.REQUESTED for announcement in announcements.values()):
            return
        ready = [announcement for announcement in announcements.values() if announcement.state is _State.READY]
        if ready:
            self._next[hash] = max(ready, key=lambda announcement: announcement.rank)

    def _unlist(self, announcement: Announcement) -> None:
        own = self._by_peer.get(announcement.peer, {})
        own.pop(announcement.hash, None)
        if not own:
            self._by_peer.pop(announcement.peer, None)
