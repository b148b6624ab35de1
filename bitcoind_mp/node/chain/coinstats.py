"""The figures about the whole set of coins (``gettxoutsetinfo``). Reads every coin: off the loop, reporting progress.

Source: Core's ``src/kernel/coinstats.cpp``.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter

from btclib.coinstats import bogo_size, tx_out_ser
from btclib.muhash import MuHash3072
from btclib.tx.coin import Coin

from .coindb import CoinDatabase, OutPoint
from .coins import CoinsView
from .header import BlockNode

HASH_TYPES = ("hash_serialized_3", "muhash", "none")
_REPORT_EVERY = 0x100
"""Progress is told each time this many of the 65536 prefixes of txids are done."""


@dataclass(frozen=True)
class CoinStats:
    """What ``gettxoutsetinfo`` tells, of the set at ``height`` and ``hash`` (display order). Amounts in satoshis.

    ``digest`` is the hash that was asked for, in display order; None where none was. ``disk_size`` in bytes.
    """

    height: int
    hash: bytes
    transactions: int
    outputs: int
    bogo_size: int
    total_amount: int
    disk_size: int
    digest: bytes | None


async def coin_stats(
    view: CoinsView, tip: BlockNode, hash_type: str, progress: Callable[[str], None] = lambda text: None
) -> CoinStats:
    """The figures at ``tip``, where the view stands now. ``hash_type`` is one of `HASH_TYPES`.

    Cancelling stops the reading. Raises `CoinsUnavailable` during the initial download.
    """
    base, changes = view.frozen()
    base.hold()
    loop = asyncio.get_running_loop()

    def report(text: str) -> None:
        loop.call_soon_threadsafe(progress, text)

    count = _Count(tip, hash_type, report)
    # shielded, for a call that never begins could not let go of the base: a caller that is gone only has it stop
    counting = asyncio.ensure_future(asyncio.to_thread(count.run, base, changes))
    counting.add_done_callback(lambda ended: ended.exception())
    try:
        return await asyncio.shield(counting)
    finally:
        count.stopped = True


class _Count:
    def __init__(self, tip: BlockNode, hash_type: str, progress: Callable[[str], None]) -> None:
        self.stopped = False
        self._tip = tip
        self._progress = progress
        self._muhash = MuHash3072() if hash_type == "muhash" else None
        self._serialized = hashlib.sha256() if hash_type == "hash_serialized_3" else None

    def run(self, base: CoinDatabase, changes: dict[OutPoint, Coin | None]) -> CoinStats:
        try:
            return self._count(base, changes)
        finally:
            base.close()

    def _count(self, base: CoinDatabase, changes: dict[OutPoint, Coin | None]) -> CoinStats:
        transactions = outputs = bogo = total = 0
        last = b""
        reported = 0
        for txid, index, coin in merged(base, changes):
            if txid != last:
                transactions += 1
                last = txid
                done = int.from_bytes(txid[:-3:-1]) // _REPORT_EVERY
                if done > reported:
                    reported = done
                    self._progress(f"{done * _REPORT_EVERY * 100 // 0x10000}% of the coins read")
                if self.stopped:
                    raise InterruptedError
            outputs += 1
            bogo += bogo_size(coin.tx_out.script_pub_key.script)
            total += coin.tx_out.value
            self._hash(txid, index, coin)
        return CoinStats(
            height=self._tip.height,
            hash=self._tip.hash,
            transactions=transactions,
            outputs=outputs,
            bogo_size=bogo,
            total_amount=total,
            disk_size=base.approximate_size,
            digest=self._digest(),
        )

    def _hash(self, txid: bytes, index: int, coin: Coin) -> None:
        if self._muhash is None and self._serialized is None:
            return
        serialized = tx_out_ser(txid[::-1] + index.to_bytes(4, "little"), coin)
        if self._muhash is not None:
            self._muhash.insert(serialized)
        elif self._serialized is not None:
            self._serialized.update(serialized)

    def _digest(self) -> bytes | None:
        if self._muhash is not None:
            return self._muhash.digest_var[::-1]
        if self._serialized is not None:
            return hashlib.sha256(self._serialized.digest()).digest()[::-1]
        return None


def merged(base: CoinDatabase, changes: dict[OutPoint, Coin | None]) -> Iterator[tuple[bytes, int, Coin]]:
    """Every coin of the base with the overlay's changes, in the database's order."""
    newer = [((txid[::-1], index), coin) for (txid, index), coin in changes.items()]
    newer.sort(key=itemgetter(0))
    at = 0
    for txid, index, coin in base.coins():
        key = (txid[::-1], index)
        while at < len(newer) and newer[at][0] < key:
            yield from _made(newer[at])
            at += 1
        if at < len(newer) and newer[at][0] == key:
            yield from _made(newer[at])
            at += 1
        else:
            yield txid, index, coin
    for change in newer[at:]:
        yield from _made(change)


def _made(change: tuple[tuple[bytes, int], Coin | None]) -> Iterator[tuple[bytes, int, Coin]]:
    (txid, index), coin = change
    if coin is not None:
        yield txid[::-1], index, coin
