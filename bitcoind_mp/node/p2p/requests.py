"""Which announced transactions to ask which peer for. No clock: time is passed in (Core's ``src/txrequest.cpp``).

Each is asked for once at a time; where the asked peer is silent, gone or hasn't got it, the next announcer is asked.
"""

from dataclasses import dataclass, field

#: Core's ``GETDATA_TX_INTERVAL``: seconds before another announcer is asked.
REQUEST_TIMEOUT = 60.0
#: Core's ``MAX_PEER_TX_ANNOUNCEMENTS``.
MAX_ANNOUNCEMENTS = 5000


@dataclass
class _Wanted:
    announcers: list[int] = field(default_factory=list)
    asked: int | None = None
    deadline: float = 0.0


class TxRequests:
    """Announced and not yet received transactions, by the hash they were announced with."""

    def __init__(self) -> None:
        self._wanted: dict[bytes, _Wanted] = {}
        self._count: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._wanted)

    def announced(self, peer: int, hash: bytes) -> None:
        """A peer says that it has the transaction. Ignored past a bound for each peer."""
        wanted = self._wanted.setdefault(hash, _Wanted())
        if peer in wanted.announcers or wanted.asked == peer:
            return
        if self._count.get(peer, 0) >= MAX_ANNOUNCEMENTS:
            if not wanted.announcers and wanted.asked is None:
                del self._wanted[hash]
            return
        wanted.announcers.append(peer)
        self._count[peer] = self._count.get(peer, 0) + 1

    def next_requests(self, now: float) -> dict[int, list[bytes]]:
        """Peer to hashes to ask it for now; they count as asked from here on."""
        requests: dict[int, list[bytes]] = {}
        for hash, wanted in list(self._wanted.items()):
            if wanted.asked is not None and now < wanted.deadline:
                continue
            wanted.asked = None
            if not wanted.announcers:
                del self._wanted[hash]
                continue
            wanted.asked = wanted.announcers.pop(0)
            self._count[wanted.asked] -= 1
            wanted.deadline = now + REQUEST_TIMEOUT
            requests.setdefault(wanted.asked, []).append(hash)
        return requests

    def next_deadline(self) -> float | None:
        """When `next_requests` may have something to do again."""
        return min((wanted.deadline for wanted in self._wanted.values() if wanted.asked is not None), default=None)

    def received(self, *hashes: bytes) -> None:
        """The transaction came (or is known by now): nobody is asked for it any more."""
        for hash in hashes:
            wanted = self._wanted.pop(hash, None)
            if wanted is not None:
                for peer in wanted.announcers:
                    self._count[peer] -= 1

    def not_found(self, peer: int, hash: bytes) -> None:
        """The asked peer hasn't got it: another may be asked at once."""
        wanted = self._wanted.get(hash)
        if wanted is not None and wanted.asked == peer:
            wanted.deadline = 0.0

    def forget_peer(self, peer: int) -> None:
        """The peer is gone."""
        for hash, wanted in list(self._wanted.items()):
            if peer in wanted.announcers:
                wanted.announcers.remove(peer)
            if wanted.asked == peer:
                wanted.asked, wanted.deadline = None, 0.0
            if not wanted.announcers and wanted.asked is None:
                del self._wanted[hash]
        self._count.pop(peer, None)
