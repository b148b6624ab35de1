"""Which unconfirmed transactions to fetch from whom, and what to do with those that were refused. No socket, no clock:
time is passed in. Core's ``src/node/txdownloadman_impl.cpp``.

A transaction that pays too little may be let in with a child that pays for it: such a pair is found here, whichever of
the two came first (``Package``). One whose parents are missing waits among the orphans while its peers are asked for
the parents.
"""

from dataclasses import dataclass

from btclib.hashes import sha256
from btclib.tx import Tx

from bitcoind_mp.node.chain.contents import BlockContents
from bitcoind_mp.node.mempool.lookup import MempoolView
from bitcoind_mp.node.mempool.rejected import Kind, Rejected

from .orphans import Orphan, Orphanage
from .recent import RecentHashes
from .requests import Announcement, TxRequests

#: Announcements kept of one peer, and its requests under way past which further ones wait
#: (``MAX_PEER_TX_ANNOUNCEMENTS``, ``MAX_PEER_TX_REQUEST_IN_FLIGHT``).
MAX_ANNOUNCEMENTS = 5000
MAX_IN_FLIGHT = 100
#: Seconds that a request waits: for a peer that called us; by txid, where others tell wtxids; for a peer with much
#: under way (``NONPREF_PEER_TX_DELAY``, ``TXID_RELAY_DELAY``, ``OVERLOADED_PEER_TX_DELAY``).
NOT_PREFERRED_DELAY = 2.0
TXID_DELAY = 2.0
OVERLOADED_DELAY = 2.0
_REJECTED_REMEMBERED = 20_000
_CONFIRMED_REMEMBERED = 24_000


@dataclass(frozen=True)
class TxPeer:
    """What counts of a peer here: whether it is asked first, isn't bounded, and tells wtxids."""

    preferred: bool
    unbounded: bool
    wtxid_relay: bool


@dataclass(frozen=True)
class Package:
    """A refused parent and an orphan that spends it, both from one peer, to be tried together."""

    parent: Tx
    child: Tx
    peer: int

    @property
    def hash(self) -> bytes:
        return sha256(b"".join(sorted((self.parent.hash[::-1], self.child.hash[::-1]))))


@dataclass(frozen=True)
class Refused:
    """What follows from a refusal: parents that the sender must have, and a package to try."""

    parents: tuple[bytes, ...] = ()
    package: Package | None = None


class TxDownload:
    """All peers' announcements, orphans, and what was refused lately.

    Args:
        mempool: asked what is in it.
    """

    def __init__(self, mempool: MempoolView) -> None:
        self._mempool = mempool
        self._peers: dict[int, TxPeer] = {}
        self.requests = TxRequests()
        self.orphans = Orphanage()
        self._rejected = RecentHashes(_REJECTED_REMEMBERED)
        self._reconsiderable = RecentHashes(_REJECTED_REMEMBERED)
        self._confirmed = RecentHashes(_CONFIRMED_REMEMBERED)

    # --- peers and blocks

    def connected(self, peer: int, about: TxPeer) -> None:
        self._peers[peer] = about

    def disconnected(self, peer: int) -> None:
        self._peers.pop(peer, None)
        self.orphans.forget_peer(peer)
        self.requests.forget_peer(peer)

    def tip_changed(self) -> None:
        """What was refused may be acceptable on the new tip."""
        self._rejected.clear()
        self._reconsiderable.clear()

    def block_connected(self, contents: BlockContents) -> None:
        """Its transactions are not asked for any more; orphans in it, or at odds with it, go."""
        for tx in contents.transactions:
            for hash in {tx.id, tx.hash}:
                self._confirmed.add(hash)
                self.requests.forget(hash)
        self.orphans.remove_spenders(
            (tx_in.prev_out.tx_id, tx_in.prev_out.vout) for tx in contents.transactions for tx_in in tx.vin
        )

    def block_disconnected(self) -> None:
        """What was confirmed may not be any more."""
        self._confirmed.clear()

    # --- announcements and requests

    def have(self, hash: bytes, *, reconsiderable: bool) -> bool:
        """Whether a transaction of that txid or wtxid needs no asking for (``AlreadyHaveTx``)."""
        return (
            hash in self.orphans
            or (reconsiderable and hash in self._reconsiderable)
            or hash in self._confirmed
            or hash in self._rejected
            or self._mempool.have(hash)
        )

    def announced(self, peer: int, hash: bytes, now: float, *, by_wtxid: bool) -> None:
        """The peer says that it has the transaction."""
        orphan = self.orphans.get(hash) if by_wtxid else None
        if orphan is not None:
            parents = self._missing(orphan.tx)
            if parents and self._ask_for_parents(parents, orphan.wtxid, peer, now):
                self.orphans.add_announcer(orphan.wtxid, peer)
            return
        about = self._peers.get(peer)
        if about is None or self.have(hash, reconsiderable=True):
            return
        if not about.unbounded and self.requests.count(peer) >= MAX_ANNOUNCEMENTS:
            return
        by_txid_late = not by_wtxid and self._wtxid_peers
        wait = self._delay(peer, about) + (TXID_DELAY if by_txid_late else 0)
        self.requests.announced(peer, hash, now + wait, preferred=about.preferred, by_wtxid=by_wtxid)

    def to_request(self, now: float) -> dict[int, list[Announcement]]:
        """What to ask each peer for now; it counts as asked from here on."""
        asked = {}
        for peer, announcements in self.requests.requestable(now).items():
            wanted = []
            for announcement in announcements:
                if self.have(announcement.hash, reconsiderable=False):
                    self.requests.forget(announcement.hash)
                else:
                    self.requests.requested(announcement, now)
                    wanted.append(announcement)
            if wanted:
                asked[peer] = wanted
        return asked

    def not_found(self, peer: int, hash: bytes) -> None:
        """The peer hasn't got it after all."""
        self.requests.answered(peer, hash)

    # --- what came

    def received(self, peer: int, tx: Tx) -> tuple[bool, Package | None]:
        """The peer sent it: whether it is to be tried by itself, else a package to try, if there is one."""
        txid, wtxid = tx.id, tx.hash
        self.requests.answered(peer, txid)
        self.requests.answered(peer, wtxid)
        if self.have(wtxid, reconsiderable=False):
            return False, None
        if wtxid in self._reconsiderable:
            return False, self._package(tx, peer)
        return True, None

    def accepted(self, tx: Tx) -> set[int]:
        """It is in the mempool. The peers whose orphans may now be tried (`Orphanage.to_reconsider`)."""
        self._forget_requests(tx)
        peers = self.orphans.parent_came(tx.id, len(tx.vout))
        self.orphans.remove(tx.hash)
        return peers

    def refused(self, tx: Tx, why: Rejected, peer: int, now: float, *, first: bool) -> Refused:
        """It isn't. ``first``: it came just now, and is neither an orphan tried again nor one of a package."""
        if why.kind is Kind.MISSING_INPUTS:
            return self._keep_orphan(tx, peer, now) if first and tx.hash not in self._rejected else Refused()
        package = None
        if why.kind is not Kind.WITNESS_STRIPPED:
            if why.kind is Kind.RECONSIDERABLE:
                self._reconsiderable.add(tx.hash)
                package = self._package(tx, peer) if first else None
            else:
                self._rejected.add(tx.hash)
            self.requests.forget(tx.hash)
            # What is wrong with the outputs spent is wrong whatever the witness.
            if why.kind is Kind.INPUTS_NOT_STANDARD and tx.id != tx.hash:
                self._rejected.add(tx.id)
                self.requests.forget(tx.id)
        self.orphans.remove(tx.hash)
        return Refused(package=package)

    def package_refused(self, package: Package) -> None:
        """These two are not tried together again."""
        self._reconsiderable.add(package.hash)

    def listed(self) -> list[Orphan]:
        """The orphans (``getorphantxs``)."""
        return self.orphans.orphans()

    # --- inside

    @property
    def _wtxid_peers(self) -> bool:
        return any(about.wtxid_relay for about in self._peers.values())

    def _delay(self, peer: int, about: TxPeer) -> float:
        overloaded = not about.unbounded and self.requests.in_flight(peer) >= MAX_IN_FLIGHT
        return (0 if about.preferred else NOT_PREFERRED_DELAY) + (OVERLOADED_DELAY if overloaded else 0)

    def _forget_requests(self, tx: Tx) -> None:
        self.requests.forget(tx.id)
        self.requests.forget(tx.hash)

    def _missing(self, tx: Tx) -> list[bytes]:
        """The parents that have to be fetched; one that was refused for its fee alone may come again."""
        return [txid for txid in _parents(tx) if not self.have(txid, reconsiderable=False)]

    def _keep_orphan(self, tx: Tx, peer: int, now: float) -> Refused:
        cheap = 0
        for parent in _parents(tx):
            cheap += parent in self._reconsiderable and parent not in self._mempool
            if parent in self._rejected or cheap > 1:
                self._rejected.add(tx.id)
                self._rejected.add(tx.hash)
                self._forget_requests(tx)
                return Refused()
        parents = self._missing(tx)
        others = [*self.requests.candidates(tx.id), *self.requests.candidates(tx.hash)]
        for candidate in dict.fromkeys([peer, *others]):
            if self._ask_for_parents(parents, tx.hash, candidate, now):
                self.orphans.add(tx, candidate)
        self._forget_requests(tx)
        return Refused(parents=tuple(parents))

    def _ask_for_parents(self, parents: list[bytes], wtxid: bytes, peer: int, now: float) -> bool:
        """Treat the peer as one that announced the parents too (``MaybeAddOrphanResolutionCandidate``)."""
        about = self._peers.get(peer)
        if about is None or self.orphans.is_from(wtxid, peer):
            return False
        if not about.unbounded and self.requests.count(peer) + len(parents) > MAX_ANNOUNCEMENTS:
            return False
        due = now + self._delay(peer, about) + (TXID_DELAY if self._wtxid_peers else 0)
        for parent in parents:
            self.requests.announced(peer, parent, due, preferred=about.preferred, by_wtxid=False)
        return True

    def _package(self, parent: Tx, peer: int) -> Package | None:
        for child in self.orphans.children_of(parent.id, peer):
            package = Package(parent, child, peer)
            if package.hash not in self._reconsiderable and child.id not in self._rejected:
                return package
        return None


def _parents(tx: Tx) -> list[bytes]:
    return sorted({tx_in.prev_out.tx_id for tx_in in tx.vin}, key=lambda txid: txid[::-1])
