"""How far along the node is: the initial download, and the share of all transactions it has verified.

Source: Core's ``src/validation.cpp`` (``UpdateIBDStatus``, ``GuessVerificationProgress``).
"""

import logging

from .clock import Clock
from .header import BlockNode
from .headers import HeaderTree
from .params import ChainParams

log = logging.getLogger("bitcoind_mp.chain")

MAX_TIP_AGE = 24 * 60 * 60
"""Seconds (``-maxtipage``)."""
_RECENT = 2 * 60 * 60


class InitialDownload:
    """True until the tip has once been recent and the chain long enough; then False for good."""

    def __init__(self, params: ChainParams, clock: Clock, max_tip_age: int = MAX_TIP_AGE) -> None:
        self._max_tip_age = max_tip_age
        self._params = params
        self._clock = clock
        self.active = True

    def tip_moved(self, tip: BlockNode) -> None:
        """Look again."""
        if not self.active or tip.chain_work < self._params.minimum_chain_work:
            return
        if tip.time >= self._clock.now() - self._max_tip_age:
            self.active = False
            log.info("Leaving the initial block download")


def verification_progress(tree: HeaderTree, node: BlockNode, params: ChainParams, now: int) -> float:
    """The share, 0 to 1, of all transactions there probably are that the chain up to ``node`` holds."""
    if node.chain_tx_count == 0:
        return 0.0
    data = params.tx_data
    best = tree.best_header
    block_time = node.time
    if abs(now - node.time) <= _RECENT and best.height >= node.height:
        block_time = now - (best.height - node.height) * params.consensus.pow_target_spacing
    if node.chain_tx_count <= data.tx_count:
        total = data.tx_count + (now - data.time) * data.rate
    else:
        total = node.chain_tx_count + (now - block_time) * data.rate
    return min(node.chain_tx_count / total, 1.0)
