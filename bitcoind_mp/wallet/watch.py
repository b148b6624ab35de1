"""Telling the supervisor of each transaction that came or changed, until it has acknowledged it.

What is on disk of it is ``changes.py``'s; that the supervisor is at the other end of a socket is not known here.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcError
from bitcoind_mp.interfaces.notices import TransactionChange, WalletWatch, WalletWatcher

from .transactions import Confirmed
from .wallet import Wallet
from .wallets.manager import Wallets

log = logging.getLogger("bitcoind_mp.wallet")

#: Changes that are told at once. The supervisor acknowledges them when all have been dealt with.
_AT_ONCE = 20
#: Seconds until a watcher that did not take what it was told is told again.
_RETRY = 1.0
#: Be patient with a watcher, and call the function when its other side is gone.
Attend = Callable[[Any, Callable[[], None]], object]


class TransactionWatch(WalletWatch):
    """`wallets.watch`: a task for each watcher, usually one. `changed` is to be called after each commit."""

    def __init__(self, wallets: Wallets, attend: Attend) -> None:
        self._wallets = wallets
        self._attend = attend
        self._woken: dict[asyncio.Task[None], asyncio.Event] = {}

    def changed(self) -> None:
        """Something was committed, or a wallet was loaded."""
        for woken in self._woken.values():
            woken.set()

    async def watch(self, fresh: bool, watcher: WalletWatcher) -> None:
        woken = asyncio.Event()
        woken.set()
        told: dict[Wallet, int] = {}
        for wallet in self._wallets:
            self._begin(wallet, told, fresh=fresh)
        task = asyncio.get_running_loop().create_task(self._tell(watcher, woken, told))
        self._woken[task] = woken
        task.add_done_callback(self._ended)
        self._attend(watcher, lambda: _cancel(task))

    def close(self) -> None:
        """Tell nobody any more."""
        for task in list(self._woken):
            task.cancel()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        del self._woken[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("telling the supervisor of transactions failed", exc_info=error)

    def _begin(self, wallet: Wallet, told: dict[Wallet, int], *, fresh: bool = False) -> None:
        """Where to go on. A wallet of which nobody was ever told begins where it was loaded."""
        last = wallet.changes.newest if fresh else wallet.changes.told
        if fresh or last is None:
            last = wallet.changes.at_load if last is None else last
            self._acknowledge(wallet, last)
        told[wallet] = last

    async def _tell(self, watcher: WalletWatcher, woken: asyncio.Event, told: dict[Wallet, int]) -> None:
        while True:
            await woken.wait()
            woken.clear()
            try:
                for wallet in self._wallets:
                    if wallet not in told:
                        self._begin(wallet, told)
                    await self._tell_all(wallet, watcher, told)
            except Disconnected:
                return
            except (CallTimeout, RpcError) as error:
                log.warning("the supervisor did not take what changed, and is told again: %s", error)
                await asyncio.sleep(_RETRY)
                woken.set()

    async def _tell_all(self, wallet: Wallet, watcher: WalletWatcher, told: dict[Wallet, int]) -> None:
        """Until there is nothing left to tell of that wallet."""
        while self._is_loaded(wallet) and (rows := wallet.changes.after(told[wallet], _AT_ONCE)):
            known = [row for row in rows if wallet.transaction(row[1]) is not None]
            if known:
                await watcher.transactions(wallet.name, [_change(wallet, *row) for row in known])
            told[wallet] = rows[-1][0]
            if self._is_loaded(wallet):
                self._acknowledge(wallet, told[wallet])

    def _is_loaded(self, wallet: Wallet) -> bool:
        return self._wallets.get(wallet.name) is wallet

    @staticmethod
    def _acknowledge(wallet: Wallet, number: int) -> None:
        """A disk that is full makes it be told again after a restart, and no worse."""
        try:
            wallet.changes.acknowledge(number)
        except RpcError as error:
            wallet.log("which changes have been told can't be written: %s", error)


def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()


def _change(wallet: Wallet, number: int, txid: bytes) -> TransactionChange:
    """As it is now."""
    tx = wallet.transaction(txid)
    if tx is not None and isinstance(tx.state, Confirmed):
        return TransactionChange(number, txid.hex(), tx.state.block.hex(), tx.state.height)
    return TransactionChange(number, txid.hex(), "", -1)
