"""Looking through the whole set of coins for output scripts (``scantxoutset``). Off the loop; progress can be asked.

Source: Core's ``src/rpc/blockchain.cpp``, ``FindScriptPubKey``.
"""

import asyncio
from collections.abc import Container

from btclib.tx.coin import Coin

from .coindb import CoinDatabase, OutPoint
from .coins import CoinsView
from .coinstats import merged
from .header import BlockNode

_REPORT_EVERY = 0x100
"""Progress is reckoned anew each time this many coins are done."""


class CoinScan:
    """One look through the coins as they are at ``tip``, which is where the view stands at the start.

    ``progress`` is the part done in percent, by how far in the order of txids it has come; ``count`` the coins seen.

    Args:
        scripts: the output scripts to look for.
    """

    def __init__(self, tip: BlockNode, scripts: Container[bytes]) -> None:
        self.tip = tip
        self.progress = 0
        self.count = 0
        self.found: list[tuple[OutPoint, Coin]] = []
        self._scripts = scripts
        self._stopped = False

    def abort(self) -> None:
        """End it soon."""
        self._stopped = True

    async def run(self, view: CoinsView) -> bool:
        """Look; whether it came to the end, which `abort` and a cancellation prevent.

        Raises:
            CoinsUnavailable: during the initial download.
        """
        base, changes = view.frozen()
        base.hold()
        try:
            return await asyncio.to_thread(self._look, base, changes)
        finally:
            self.abort()

    def _look(self, base: CoinDatabase, changes: dict[OutPoint, Coin | None]) -> bool:
        try:
            for txid, index, coin in merged(base, changes):
                self.count += 1
                if self.count % _REPORT_EVERY == 0:
                    self.progress = round(int.from_bytes(txid[:-3:-1]) * 100 / 0x10000)
                if self._stopped:
                    return False
                if coin.tx_out.script_pub_key.script in self._scripts:
                    self.found.append(((txid, index), coin))
            return True
        finally:
            base.close()
