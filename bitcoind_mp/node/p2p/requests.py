"""Which announced transactions to ask which peer for. No clock: time is passed in (Core's ``src/txrequest.cpp``).

Each is asked for once at a time; where the asked peer is silent, gone or hasn't got it, the next announcer is asked.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import islice

#: Core's ``GETDATA_TX_INTERVAL``: seconds before another announcer is asked.
REQUEST_TIMEOUT = 60.0
#: Core's ``MAX_PEER_TX_ANNOUNCEMENTS``, those that it was asked for included.
MAX_ANNOUNCEMENTS = 5000
#: Transactions that one peer is asked for at a time (``MAX_PEER_TX_REQUEST_IN_FLIGHT``).
MAX_IN_FLIGHT = 100


@dataclass
class _Wanted:
    """``announcers`` may still be asked, in this order."""

    announcers: list[int] = field(default_factory=list)
    asked: int | None = None


@dataclass
class _Announcer:
    """What one peer has ``told`` of and wasn't asked for; those of them that nobody is asked for now, which are
    ``ready``; and what it was ``asked`` for."""

    told: set[bytes] = field(default_factory=set)
    ready: dict[bytes, None] = field(default_factory=dict)
    asked: set[bytes] = field(default_factory=set)


class TxRequests:
    """Announced and not yet received transactions, by the hash they were announced with."""

    def __init__(self) -> None:
        self._wanted: dict[bytes, _Wanted] = {}
        self._peers: dict[int, _Announcer] = {}
        self._deadlines: OrderedDict[bytes, float] = OrderedDict()
        """Of what is asked for, the soonest first."""

    def __len__(self) -> int:
        return len(self._wanted)

    def announced(self, peer: int, hash: bytes) -> None:
        """A peer says that it has the transaction. Ignored past a bound for each peer."""
        announcer = self._peers.setdefault(peer, _Announcer())
        if hash in announcer.told or hash in announcer.asked:
            return
        if len(announcer.told) + len(announcer.asked) >= MAX_ANNOUNCEMENTS:
            return
        wanted = self._wanted.setdefault(hash, _Wanted())
        wanted.announcers.append(peer)
        announcer.told.add(hash)
        if wanted.asked is None:
            announcer.ready[hash] = None

    def next_requests(self, now: float) -> dict[int, list[bytes]]:
        """Peer to hashes to ask it for now; they count as asked from here on."""
        while self._deadlines and next(iter(self._deadlines.values())) <= now:
            self._free(next(iter(self._deadlines)))
        requests: dict[int, list[bytes]] = {}
        for peer, announcer in self._peers.items():
            hashes = list(islice(announcer.ready, max(0, MAX_IN_FLIGHT - len(announcer.asked))))
            for hash in hashes:
                self._ask(peer, hash, now + REQUEST_TIMEOUT)
            if hashes:
                requests[peer] = hashes
        return requests

    def next_deadline(self) -> float | None:
        """When `next_requests` may have something to do again."""
        return next(iter(self._deadlines.values()), None)

    def received(self, *hashes: bytes) -> None:
        """The transaction came (or is known by now): nobody is asked for it any more."""
        for hash in hashes:
            wanted = self._wanted.get(hash)
            if wanted is not None:
                for peer in wanted.announcers:
                    self._peers[peer].told.discard(hash)
                    self._peers[peer].ready.pop(hash, None)
                wanted.announcers.clear()
                self._free(hash)

    def answered(self, peer: int, *hashes: bytes) -> None:
        """The asked peer hasn't got it, or sent something else by that name: another may be asked at once."""
        for hash in hashes:
            wanted = self._wanted.get(hash)
            if wanted is not None and wanted.asked == peer:
                self._free(hash)

    def forget_peer(self, peer: int) -> None:
        """The peer is gone."""
        announcer = self._peers.pop(peer, _Announcer())
        for hash in announcer.told:
            self._wanted[hash].announcers.remove(peer)
            self._drop_if_nobody_has(hash)
        for hash in announcer.asked:
            self._free(hash)

    def _ask(self, peer: int, hash: bytes, deadline: float) -> None:
        wanted = self._wanted[hash]
        for announcer in wanted.announcers:
            del self._peers[announcer].ready[hash]
        wanted.announcers.remove(peer)
        wanted.asked = peer
        self._peers[peer].told.remove(hash)
        self._peers[peer].asked.add(hash)
        self._deadlines[hash] = deadline

    def _free(self, hash: bytes) -> None:
        """Nobody is asked for it now."""
        wanted = self._wanted[hash]
        if wanted.asked is not None and wanted.asked in self._peers:
            self._peers[wanted.asked].asked.discard(hash)
        wanted.asked = None
        self._deadlines.pop(hash, None)
        for peer in wanted.announcers:
            self._peers[peer].ready[hash] = None
        self._drop_if_nobody_has(hash)

    def _drop_if_nobody_has(self, hash: bytes) -> None:
        wanted = self._wanted[hash]
        if not wanted.announcers and wanted.asked is None:
            del self._wanted[hash]
