"""What keeps headers that cost nothing from filling memory and disk: a chain is taken in only when it has the work that
a chain worth following has. Core's ``ProcessHeadersMessage``, the part before validation (``src/net_processing.cpp``).

A peer whose long chain hasn't shown that work yet is asked for it twice: see `btclib.p2p.headers_sync`.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

from btclib import var_int
from btclib.block.block_header import BlockHeader
from btclib.block.proof_of_work import is_negative_bits, target_from_bits
from btclib.consensus import HEADERS_SYNC_PARAMS
from btclib.exceptions import BTClibValueError
from btclib.hashes import hash256
from btclib.p2p import GetHeaders
from btclib.p2p.headers_sync import ChainStart, HeadersSyncState, State, anti_dos_work_threshold
from btclib.p2p.limits import MAX_HEADERS_RESULTS, PROTOCOL_VERSION

from bitcoind_mp.node.chain.header import BlockNode, work_of
from bitcoind_mp.node.chain.state import ChainState

from .peer import Peer
from .wire import PeerMisbehavedError

log = logging.getLogger("bitcoind_mp.net")

_SIZE = 80


def parse_headers(payload: bytes) -> list[bytes]:
    """The 80 bytes of each header of the message, which a transaction count follows that is ignored.

    Raises:
        BTClibValueError: there are fewer than it says.
    """
    count = var_int.parse(payload[:9])
    at = len(var_int.serialize(count))
    headers = []
    for _ in range(count):
        headers.append(payload[at : at + _SIZE])
        at += _SIZE + len(var_int.serialize(var_int.parse(payload[at + _SIZE : at + _SIZE + 9])))
    return headers


class HeadersGate:
    """Which of a peer's headers go on to the kernel now."""

    def __init__(self, chain: ChainState) -> None:
        self._chain = chain
        self._limit = chain.params.consensus.pow_limit_bits

    @property
    def threshold(self) -> int:
        """The work, in hashes, that a chain must have to be taken in (``GetAntiDoSWorkThreshold``)."""
        tip = self._chain.tip
        return anti_dos_work_threshold(
            tip.chain_work, tip.bits.to_bytes(4, "big"), self._chain.params.minimum_chain_work
        )

    def check(self, headers: Sequence[bytes]) -> None:
        """Raise `PeerMisbehavedError` unless each builds on the one before and has the work that it claims
        (``CheckHeadersPoW``)."""
        previous = b""
        for header in headers:
            if previous and header[4:36] != previous:
                raise PeerMisbehavedError("non-continuous headers sequence")
            previous = hash256(header)
            if int.from_bytes(previous, "little") > _target(header[75:71:-1], self._limit):
                raise PeerMisbehavedError("header with invalid proof of work")

    def redownloaded(self, peer: Peer, headers: list[bytes]) -> list[bytes] | None:
        """What a sync with the peer, to which these belong, has released; None where there is no such sync, and they
        are headers like any others (``IsContinuationOfLowWorkHeadersSync``)."""
        sync = peer.headers_sync
        if sync is None:
            return None
        parsed = [BlockHeader.parse(header, check_validity=False) for header in headers]
        result = sync.process_next_headers(parsed, full_headers_message=len(headers) == MAX_HEADERS_RESULTS)
        if result.request_more:
            peer.send(GetHeaders(PROTOCOL_VERSION, sync.next_headers_request_locator))
        if sync.state is State.FINAL:
            peer.headers_sync = None
        if not result.success:
            return None
        return [header.serialize(check_validity=False) for header in result.pow_validated_headers]

    def holds_back(self, peer: Peer, start: BlockNode, headers: list[bytes]) -> bool:
        """Whether the headers, which build on ``start``, haven't work enough (``TryLowWorkHeadersSync``). If there are
        more of them, a sync with the peer begins."""
        if self._is_ours(headers[-1]):
            return False
        threshold = self.threshold
        if start.chain_work + sum(work_of(int.from_bytes(header[72:76], "little")) for header in headers) >= threshold:
            return False
        if len(headers) == MAX_HEADERS_RESULTS:
            peer.headers_sync = self._sync_from(start, threshold)
            self.redownloaded(peer, headers)
        else:
            log.debug("ignoring a low-work chain (height=%d) of %s", start.height + len(headers), peer)
        return True

    def _is_ours(self, header: bytes) -> bool:
        """``IsAncestorOfBestHeaderOrTip``"""
        node, best = self._chain.by_hash(hash256(header)[::-1]), self._chain.best_header
        if node is None:
            return False
        return self._chain.contains(node) or self._chain.ancestor(best, node.height) is node

    def _sync_from(self, start: BlockNode, threshold: int) -> HeadersSyncState:
        params = self._chain.params
        return HeadersSyncState(
            params.consensus,
            HEADERS_SYNC_PARAMS[params.network],
            ChainStart(
                BlockHeader.parse(start.header, check_validity=False),
                start.height,
                start.chain_work,
                start.median_time,
                self._chain.locator(start),
            ),
            threshold,
            now=datetime.fromtimestamp(self._chain.clock.now(), UTC),
        )


@lru_cache(maxsize=1024)
def _target(bits: bytes, limit: bytes) -> int:
    """What a hash of that compact target may at most be; -1 where no header may claim it (``DeriveTarget``)."""
    try:
        target = int.from_bytes(target_from_bits(bits))
    except BTClibValueError:
        return -1
    allowed = 0 < target <= int.from_bytes(target_from_bits(limit)) and not is_negative_bits(bits)
    return target if allowed else -1
