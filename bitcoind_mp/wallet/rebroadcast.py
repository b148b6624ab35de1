"""Handing our waiting transactions to the node again, now and then (``MaybeResendWalletTxs``).

Seldom and at random times, so that nobody learns from it which transactions are ours.
"""

import asyncio
import logging
import random
from collections.abc import Callable

from bitcoind_mp.interfaces.chain import Chain
from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcError

from .manager import Wallets

log = logging.getLogger("bitcoind_mp.wallet")

_HOUR = 3600.0
#: A transaction that came less than so many seconds before the newest block could not have been in it.
_RECENT = 5 * 60


def random_delay() -> float:
    """Seconds until the next time: 12 to 36 hours."""
    return random.uniform(12 * _HOUR, 36 * _HOUR)


class Rebroadcaster:
    """Does it for every loaded wallet. ``delay`` gives the seconds until the next time."""

    def __init__(self, wallets: Wallets, chain: Chain, delay: Callable[[], float] = random_delay) -> None:
        self._wallets = wallets
        self._chain = chain
        self._delay = delay

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._delay())
            await self.once()

    async def once(self) -> int:
        """Hand over what has waited through a block; how many transactions the node took. Nothing while the node is
        away or still downloading the chain: ours would seem to be unconfirmed."""
        try:
            status = await self._chain.status()
        except (RpcError, Disconnected, CallTimeout):
            return 0
        if status.initial_block_download:
            return 0
        taken = 0
        for wallet in self._wallets:
            if wallet.best_block_seen is not None:
                taken += await wallet.resubmit(wallet.best_block_seen - _RECENT)
        if taken:
            log.info("resubmitted %d unconfirmed transactions", taken)
        return taken
