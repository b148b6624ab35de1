"""Handing our waiting transactions to the node again, now and then (``MaybeResendWalletTxs``).

Seldom and at random times, so that nobody learns from it which transactions are ours.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress

from bitcoind_mp.interfaces.chain import Chain
from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcError
from bitcoind_mp.wallet.clock import NodeClock

from .manager import Wallets

log = logging.getLogger("bitcoind_mp.wallet")

_HOUR = 3600.0
#: A transaction that came less than so many seconds before the newest block could not have been in it.
_RECENT = 5 * 60
#: The clock is looked at so often, in real seconds, and whenever a test puts it.
_TICK = 60.0


def random_delay() -> float:
    """Seconds until the next time: 12 to 36 hours."""
    return random.uniform(12 * _HOUR, 36 * _HOUR)


class Rebroadcaster:
    """Does it for every loaded wallet. ``delay`` gives the seconds, by the node's clock, until the next time."""

    def __init__(
        self, wallets: Wallets, chain: Chain, clock: NodeClock, delay: Callable[[], float] = random_delay
    ) -> None:
        self._wallets = wallets
        self._chain = chain
        self._clock = clock
        self._delay = delay

    async def run(self) -> None:
        """Until cancelled."""
        due = self._clock.now() + self._delay()
        while True:
            self._clock.put.clear()
            if self._clock.now() >= due and await self.once() is not None:
                due = self._clock.now() + self._delay()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._clock.put.wait(), _TICK)

    async def once(self) -> int | None:
        """Hand over what has waited through a block; how many transactions the node took. None, and nothing is done,
        while the node is away or still downloading the chain: ours would seem to be unconfirmed."""
        try:
            status = await self._chain.status()
        except (RpcError, Disconnected, CallTimeout):
            return None
        if status.initial_block_download:
            return None
        taken = 0
        for wallet in self._wallets:
            if wallet.best_block_seen is not None:
                taken += await wallet.outbox.resubmit(wallet.best_block_seen - _RECENT)
        if taken:
            log.info("resubmitted %d unconfirmed transactions", taken)
        return taken
