"""Headers from peers: whom to ask, and when what they send is worth keeping. Core's ``src/net_processing.cpp``,
``ProcessHeadersMessage`` and what is around it.

A chain of headers that has too little work is not kept: nobody is to fill our memory for nothing. Where there may be
more of it, it is read twice, first only counted (``btclib.p2p.headers_sync``).
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from io import BytesIO
from itertools import pairwise

from btclib import var_int
from btclib.block.block_header import BlockHeader
from btclib.block.proof_of_work import is_negative_bits, target_from_bits
from btclib.consensus import HEADERS_SYNC_PARAMS
from btclib.exceptions import BTClibException, BTClibValueError
from btclib.hashes import hash256
from btclib.p2p import GetHeaders
from btclib.p2p.headers_sync import ChainStart, HeadersSyncState, State, anti_dos_work_threshold
from btclib.p2p.limits import MAX_HEADERS_RESULTS, PROTOCOL_VERSION

from bitcoind_mp.node.chain.header import BlockNode, work_of
from bitcoind_mp.node.chain.params import ChainParams
from bitcoind_mp.node.chain.state import ChainState

from .peer import Peer
from .permissions import Permissions
from .wire import PeerMisbehavedError

log = logging.getLogger("bitcoind_mp.net")

#: Seconds in which a ``getheaders`` isn't sent again (``HEADERS_RESPONSE_TIME``).
RESPONSE_TIME = 120.0
#: Headers are asked of one peer at a time until the newest is younger than this many seconds.
NEAR = 24 * 3600
#: Seconds that the first peer has for all headers, and for each that there should be
#: (``HEADERS_DOWNLOAD_TIMEOUT_BASE``, ``_PER_HEADER``).
_TIMEOUT = 15 * 60.0
_TIMEOUT_PER_HEADER = 0.001
_SIZE = 80


class HeaderFetch:
    """Headers, asked of peers and taken from them. Lives in the loop.

    Args:
        chain: ours.
        peers: the connected peers by number; the owner's own, seen here as it changes.
        learned: told that the peer is known to have that block.
        downloading: whether blocks are being fetched from anybody.
    """

    def __init__(
        self,
        chain: ChainState,
        peers: dict[int, Peer],
        *,
        learned: Callable[[Peer, bytes], None],
        downloading: Callable[[], bool],
    ) -> None:
        self._chain = chain
        self._peers = peers
        self._learned = learned
        self._downloading = downloading
        self._last_inv = b""

    # --- asking

    def ask(self, peer: Peer, since: BlockNode | None = None, locator: list[bytes] | None = None) -> bool:
        """Ask for what comes after ``since``, by default after our best header, unless an answer is awaited."""
        now = self._chain.clock.exact()
        if now - peer.headers.asked <= RESPONSE_TIME:
            return False
        peer.send(GetHeaders(PROTOCOL_VERSION, locator or self._chain.locator(since or self._chain.best_header)))
        peer.headers.asked = now
        return True

    def may_start(self, peer: Peer) -> bool:
        """Whether headers and blocks are fetched from this peer even in the initial download."""
        if peer.preferred:
            return True
        return peer.serves_blocks and (
            not any(other.ready and other.preferred for other in self._peers.values()) or not self._downloading()
        )

    def start(self) -> None:
        """Begin with every peer that it is time for: with one, and with all when we are close to today."""
        chain = self._chain
        now = chain.clock.exact()
        for peer in self._peers.values():
            if not peer.ready or peer.headers.started or not peer.serves_blocks:
                continue
            started = sum(other.headers.started for other in self._peers.values())
            if not (chain.best_header.time > now - NEAR or (not started and self.may_start(peer))):
                continue
            # From the one before: so a peer with our chain answers, and tells what it has.
            if self.ask(peer, chain.best_header.previous or chain.best_header):
                peer.headers.started = True
                age = max(0.0, now - chain.best_header.time)
                peer.headers.deadline = (
                    now + _TIMEOUT + _TIMEOUT_PER_HEADER * (age // chain.params.consensus.pow_target_spacing)
                )

    def overdue(self, peer: Peer, now: float) -> bool:
        """Whether the peer, the only one that is asked for headers, is too slow, and there are others."""
        sync = peer.headers
        if not sync.started or sync.deadline is None:
            return False
        if self._chain.best_header.time > now - NEAR:
            sync.deadline = None
            return False
        if now <= sync.deadline or sum(other.headers.started for other in self._peers.values()) != 1:
            return False
        if not any(other.preferred and other.ready for other in self._peers.values() if other is not peer):
            return False
        if peer.may(Permissions.NO_BAN):
            sync.started, sync.deadline = False, None
            return False
        return True

    def next_deadline(self) -> float | None:
        """When `overdue` may next say so."""
        return min((p.headers.deadline for p in self._peers.values() if p.headers.deadline is not None), default=None)

    def announced(self, peer: Peer, unknown: bytes) -> None:
        """The peer says that it has this block, of which we know nothing."""
        sync = peer.headers
        if not sync.started and (sync.by_inv or unknown == self._last_inv):
            return
        self.ask(peer)
        if not sync.started:
            sync.by_inv = True
            self._last_inv = unknown

    # --- what comes

    async def on_headers(self, peer: Peer, payload: bytes) -> BlockNode | None:
        """The last header that was taken, None where none was.

        Raises:
            PeerMisbehavedError: nobody sends such headers by accident.
        """
        headers = parse_headers(payload)
        if not headers:
            peer.headers.low_work = None
            peer.headers.asked = 0.0
            return None
        self._check(headers)
        full, checked = len(headers) == MAX_HEADERS_RESULTS, False
        if peer.headers.low_work is not None:
            released = self._go_on(peer, headers, full)
            if released is not None:
                if not released:
                    return None
                headers, checked = released, True
        syncing = peer.headers.low_work is not None
        parent = self._chain.by_hash(headers[0].previous)
        if parent is None:
            self.ask(peer)
            self._learned(peer, headers[-1].hash)
            return None
        peer.headers.asked = 0.0
        if not (checked or self._is_ours(headers[-1].hash) or peer.may(Permissions.NO_BAN)):
            threshold = self.threshold
            if parent.chain_work + sum(work_of(header.bits) for header in headers) < threshold:
                self._begin(peer, parent, headers, threshold, full)
                return None
        return await self._take(peer, [header.raw for header in headers], more=full and not syncing)

    async def _take(self, peer: Peer, raw: list[bytes], *, more: bool) -> BlockNode | None:
        outcome = await self._chain.submit_headers(raw)
        if outcome.reason is not None:
            if not is_pardoned(peer, outcome.reason):
                raise PeerMisbehavedError(f"invalid header received: {outcome.reason}")
            return None
        if outcome.last is None:
            return None
        if more:
            self.ask(peer, outcome.last)
        self._learned(peer, outcome.last.hash)
        return outcome.last

    def _check(self, headers: list["Header"]) -> None:
        """Work and order, before anything is looked up (``CheckHeadersPoW``)."""
        if not all(has_work(header, self._chain.params) for header in headers):
            raise PeerMisbehavedError("header with invalid proof of work")
        for before, after in pairwise(headers):
            if after.previous != before.hash:
                raise PeerMisbehavedError("non-continuous headers sequence")

    @property
    def threshold(self) -> int:
        """The work that a chain must have for its headers to be kept (``GetAntiDoSWorkThreshold``)."""
        tip = self._chain.tip
        bits = tip.bits.to_bytes(4, "big")
        return anti_dos_work_threshold(tip.chain_work, bits, self._chain.params.minimum_chain_work)

    def _is_ours(self, hash: bytes) -> bool:
        """Whether the block is in our best chain, or in that of the best header."""
        node = self._chain.by_hash(hash)
        if node is None:
            return False
        return self._chain.contains(node) or self._chain.ancestor(self._chain.best_header, node.height) is node

    # --- a chain of too little work

    def _begin(self, peer: Peer, parent: BlockNode, headers: list["Header"], threshold: int, full: bool) -> None:
        if not full:
            log.debug("Ignoring low-work chain (height=%d) from %s", parent.height + len(headers), peer)
            return
        params, now = self._chain.params, datetime.fromtimestamp(self._chain.clock.now(), UTC)
        start = ChainStart(
            BlockHeader.parse(parent.header, check_validity=False),
            parent.height,
            parent.chain_work,
            parent.median_time,
            self._chain.locator(parent),
        )
        try:
            peer.headers.low_work = HeadersSyncState(
                params.consensus, HEADERS_SYNC_PARAMS[params.network], start, threshold, now=now
            )
        except BTClibException as error:
            log.warning("Headers of %s can't be looked through: %s", peer, error)
            return
        self._go_on(peer, headers, full)

    def _go_on(self, peer: Peer, headers: list["Header"], full: bool) -> list["Header"] | None:
        """The headers that are worth keeping now; None where these are not what was asked for."""
        sync = peer.headers.low_work
        assert sync is not None
        parsed = [BlockHeader.parse(header.raw, check_validity=False) for header in headers]
        result = sync.process_next_headers(parsed, full_headers_message=full)
        if result.success:
            peer.headers.asked = 0.0  # they are what was asked for
        if result.request_more:
            self.ask(peer, locator=sync.next_headers_request_locator)
        if sync.state is State.FINAL:
            peer.headers.low_work = None
        if not result.success:
            return None
        return [Header(header.serialize(check_validity=False)) for header in result.pow_validated_headers]


def is_pardoned(peer: Peer, reason: str) -> bool:
    """Whether a header or block that was refused for this reason says nothing against the peer that sent it
    (``MaybePunishNodeForBlock``)."""
    return reason in _BLAMELESS or (peer.inbound and reason == _INVALID_BEFORE)


#: One of the two clocks is to blame, or the chain has too little work to be looked at.
_BLAMELESS = ("time-too-new", "too-little-chainwork")
#: A block that we hold to be invalid, be it that somebody said so here: one that calls us may not know.
_INVALID_BEFORE = "duplicate-invalid"


class Header:
    """Eighty bytes of a message, and its hash: a ``BlockHeader`` takes ten times as long to make."""

    __slots__ = ("hash", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.hash = hash256(raw)[::-1]

    @property
    def previous(self) -> bytes:
        return self.raw[35:3:-1]

    @property
    def bits(self) -> int:
        return int.from_bytes(self.raw[72:76], "little")


def parse_headers(payload: bytes) -> list[Header]:
    """The headers of a message, each followed by the number of its transactions, which nobody looks at. Raises
    `BTClibException`."""
    stream = BytesIO(payload)
    headers = []
    for _ in range(var_int.parse(stream)):
        raw = stream.read(_SIZE)
        if len(raw) < _SIZE:
            raise BTClibValueError("a header is cut off")
        headers.append(Header(raw))
        var_int.parse(stream)
    return headers


def has_work(header: Header, params: ChainParams) -> bool:
    """Whether the header's hash meets the target that it states, and it may state that one."""
    limit = params.consensus.pow_limit_bits
    return int.from_bytes(header.hash) <= _target(header.bits.to_bytes(4, "big"), limit)


@lru_cache(maxsize=1024)
def _target(bits: bytes, limit: bytes) -> int:
    """What a hash of that compact target may at most be; -1 where no header may claim it (``DeriveTarget``)."""
    try:
        target = int.from_bytes(target_from_bits(bits))
    except BTClibValueError:
        return -1
    allowed = 0 < target <= int.from_bytes(target_from_bits(limit)) and not is_negative_bits(bits)
    return target if allowed else -1
