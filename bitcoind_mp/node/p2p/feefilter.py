"""What fee we ask peers to spare us transactions below (BIP133): rounded, so that it doesn't name our node.

Core's ``MaybeSendFeefilter`` (``src/net_processing.cpp``) and ``FeeFilterRounder`` (``src/policy/fees``).
"""

import random
from bisect import bisect_left

from btclib.p2p import FeeFilter

from bitcoind_mp.interfaces.amounts import MAX_MONEY
from bitcoind_mp.node.chain.state import ChainState
from bitcoind_mp.node.mempool.lookup import MempoolView

from .peer import Peer, Role
from .permissions import Permissions

#: Mean seconds between two, and at most after the fee has changed much (``AVG_FEEFILTER_BROADCAST_INTERVAL``,
#: ``MAX_FEEFILTER_CHANGE_DELAY``).
_INTERVAL = 10 * 60.0
_SOON = 5 * 60.0
_MOST = 1e7
_STEP = 1.1
_FIRST_VERSION = 70013


class FeeRounder:
    """Rounds to one of few values, at random to the one below or above.

    Args:
        incremental: ``-incrementalrelayfee``, in sat/kvB.
    """

    def __init__(self, incremental: int) -> None:
        self._buckets = [0.0]
        bucket = max(1.0, incremental / 2)
        while bucket <= _MOST:
            self._buckets.append(bucket)
            bucket *= _STEP

    def round(self, rate: int) -> int:
        at = bisect_left(self._buckets, rate)
        if at == len(self._buckets) or (at and random.randrange(3)):
            at -= 1
        return int(self._buckets[at])


class FeeFilters:
    """Tells each peer."""

    def __init__(self, chain: ChainState, mempool: MempoolView) -> None:
        self._chain = chain
        self._mempool = mempool
        self._rounder = FeeRounder(mempool.policy.incremental_relay_fee)

    def tell(self, peer: Peer) -> None:
        """If it is time to."""
        relay, theirs = peer.tx_relay, peer.handshake.theirs
        if relay is None or theirs is None or theirs.version < _FIRST_VERSION:
            return
        if peer.may(Permissions.FORCE_RELAY) or peer.role is Role.BLOCK_RELAY:
            return
        now = self._chain.clock.exact()
        current = self._mempool.rolling_fee_rate()
        if self._chain.initial_block_download:
            current = MAX_MONEY  # what is announced would be passed over
        elif relay.fee_filter_sent >= _MOST / _STEP:
            relay.next_fee_filter = 0.0
        if now > relay.next_fee_filter:
            rate = max(self._rounder.round(current), self._mempool.policy.min_relay_fee)
            if rate != relay.fee_filter_sent:
                peer.send(FeeFilter(rate))
                relay.fee_filter_sent = rate
            relay.next_fee_filter = now + random.expovariate(1 / _INTERVAL)
        elif now + _SOON < relay.next_fee_filter and not (
            3 * relay.fee_filter_sent / 4 <= current <= 4 * relay.fee_filter_sent / 3
        ):
            relay.next_fee_filter = now + random.uniform(0, _SOON)
