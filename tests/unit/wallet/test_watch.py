"""What the supervisor is told of wallet transactions: each change, until it has acknowledged it."""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from bitcoind_mp.interfaces.errors import Disconnected
from bitcoind_mp.interfaces.notices import TransactionChange, WalletWatcher
from bitcoind_mp.wallet.storage.ledger import FILE_NAME
from bitcoind_mp.wallet.watch import TransactionWatch

BTC = 100_000_000


class Listener(WalletWatcher):
    """Writes down what it is told, and acknowledges it unless it is ``deaf``."""

    def __init__(self, *, deaf: bool = False) -> None:
        self.told: list[tuple[str, TransactionChange]] = []
        self.deaf = deaf
        self.gone: Callable[[], None] = lambda: None
        self._moved = asyncio.Condition()

    async def transactions(self, wallet: str, changes: list[TransactionChange]) -> None:
        async with self._moved:
            self.told += [(wallet, change) for change in changes]
            self._moved.notify_all()
        if self.deaf:
            raise Disconnected("gone")

    async def until(self, count: int) -> list[tuple[str, str, int]]:
        """(wallet, txid, height) of all, once it has been told so many."""
        async with asyncio.timeout(10), self._moved:
            await self._moved.wait_for(lambda: len(self.told) >= count)
        return [(wallet, change.txid, change.height) for wallet, change in self.told]


def attend(watcher: Any, gone: Callable[[], None]) -> None:
    watcher.gone = gone


def watched(bench: Any) -> TransactionWatch:
    """As the wallet's process has it."""
    watch = TransactionWatch(bench.wallets, attend)
    bench.wallets.on_change = watch.changed
    return watch


def payment(bench: Any, wallet: Any, n: int = 0) -> bytes:
    return bytes(bench.make_tx([(b"\7" * 32, n)], [(BTC, bench.receive(wallet))]))


def test_a_payment_is_told_when_it_comes_and_when_it_is_confirmed(on_bench: Callable[..., None]) -> None:
    async def scenario(bench: Any) -> None:
        wallet = await bench.wallet()
        watch, listener = watched(bench), Listener()
        await watch.watch(False, listener)
        raw = payment(bench, wallet)
        txid = bench.txid_of(raw).hex()
        bench.chain.add(raw)
        assert await listener.until(1) == [("w", txid, -1)]
        assert listener.told[0][1].block == ""
        block = bench.chain.mine(raw)
        assert (await listener.until(2))[1] == ("w", txid, 1)
        assert listener.told[1][1].block == block.ref.hash
        bench.chain.mine(bench.make_tx([(b"\6" * 32, 0)], [(BTC, bench.STRANGER)]))
        await bench.chain.deliver()
        bench.chain.detach(2)
        assert (await listener.until(3))[2] == ("w", txid, -1), "its block has left the chain"
        watch.close()

    on_bench(scenario)


def test_what_was_not_acknowledged_is_told_again_and_as_it_is_by_then(on_bench: Callable[..., None]) -> None:
    async def scenario(bench: Any) -> None:
        wallet = await bench.wallet()
        deaf = Listener(deaf=True)
        watch = watched(bench)
        await watch.watch(False, deaf)
        first, second = payment(bench, wallet, 0), payment(bench, wallet, 1)
        bench.chain.add(first)
        await deaf.until(1)
        bench.chain.add(second)
        await bench.chain.deliver()
        block = bench.chain.mine(first)
        await bench.chain.deliver()
        watch.close()
        await bench.restart()
        watch, listener = watched(bench), Listener()
        await watch.watch(False, listener)
        assert sorted(await listener.until(2)) == sorted(
            [("w", bench.txid_of(second).hex(), -1), ("w", bench.txid_of(first).hex(), block.ref.height)]
        )
        watch.close()

    on_bench(scenario)


def test_what_was_acknowledged_is_not_told_again(on_bench: Callable[..., None]) -> None:
    async def scenario(bench: Any) -> None:
        wallet = await bench.wallet()
        watch, listener = watched(bench), Listener()
        await watch.watch(False, listener)
        for n in range(50):
            bench.chain.add(payment(bench, wallet, n))
        told = await listener.until(50)
        assert len({txid for _, txid, _ in told}) == 50
        numbers = [change.number for _, change in listener.told]
        assert numbers == sorted(numbers)
        await asyncio.sleep(0)  # for the answer to be dealt with
        assert wallet.changes.told == numbers[-1]
        listener.gone()
        await bench.restart()
        watch, again = watched(bench), Listener()
        await watch.watch(False, again)
        last = payment(bench, bench.loaded(), 50)
        bench.chain.add(last)
        assert await again.until(1) == [("w", bench.txid_of(last).hex(), -1)]
        watch.close()

    on_bench(scenario)


def test_a_fresh_watcher_is_told_what_comes_alone(on_bench: Callable[..., None]) -> None:
    async def scenario(bench: Any) -> None:
        wallet = await bench.wallet()
        watch = watched(bench)
        await watch.watch(False, Listener(deaf=True))
        bench.chain.add(payment(bench, wallet, 0))
        await bench.chain.deliver()
        listener = Listener()
        await watch.watch(True, listener)
        raw = payment(bench, wallet, 1)
        bench.chain.add(raw)
        assert await listener.until(1) == [("w", bench.txid_of(raw).hex(), -1)]
        watch.close()

    on_bench(scenario)


def test_a_wallet_that_is_made_later_is_watched_from_its_first_transaction_on(on_bench: Callable[..., None]) -> None:
    async def scenario(bench: Any) -> None:
        watch, listener = watched(bench), Listener()
        await watch.watch(False, listener)
        wallet = await bench.wallet("later")
        raw = payment(bench, wallet)
        bench.chain.add(raw)
        assert await listener.until(1) == [("later", bench.txid_of(raw).hex(), -1)]
        await bench.wallets.unload("later")
        watch.changed()
        watch.close()

    on_bench(scenario)


def test_what_was_undone_is_no_change_and_numbers_go_on(on_bench: Callable[..., None]) -> None:
    async def scenario(bench: Any) -> None:
        wallet = await bench.wallet()
        first, second = bytes(32), b"\1" * 32
        wallet.changes.acknowledge(0)  # somebody listens
        with wallet.ledger.transaction():
            wallet.changes.note(first)
        with pytest.raises(KeyError), wallet.ledger.transaction():
            wallet.changes.note(second)
            wallet.changes.note(first)
            raise KeyError
        assert wallet.changes.after(0, 10) == [(1, first)]
        with wallet.ledger.transaction():
            wallet.changes.note(second)
            wallet.changes.note(first)
        assert wallet.changes.after(0, 10) == [(2, second), (3, first)]
        await bench.restart()
        assert (bench.loaded().changes.newest, bench.loaded().changes.at_load) == (3, 3)

    on_bench(scenario)


def test_one_that_is_first_watched_late_is_told_what_came_since_it_was_loaded(on_bench: Callable[..., None]) -> None:
    async def scenario(bench: Any) -> None:
        wallet = await bench.wallet()
        raw = payment(bench, wallet)
        bench.chain.add(raw)
        await bench.chain.deliver()
        watch, listener = watched(bench), Listener()
        await watch.watch(False, listener)
        assert await listener.until(1) == [("w", bench.txid_of(raw).hex(), -1)]
        watch.close()

    on_bench(scenario)


def test_a_file_of_an_earlier_version_is_watched_from_now_on(on_bench: Callable[..., None]) -> None:
    async def scenario(bench: Any) -> None:
        wallet = await bench.wallet()
        bench.chain.add(payment(bench, wallet))
        await bench.chain.deliver()
        await bench.wallets.unload("w")
        earlier = sqlite3.connect(bench.directory / "wallets" / "w" / FILE_NAME)
        earlier.execute("DROP TABLE changes")
        earlier.close()
        await bench.wallets.load("w")
        watch, listener = watched(bench), Listener()
        await watch.watch(False, listener)
        raw = payment(bench, bench.loaded(), 1)
        bench.chain.add(raw)
        await listener.until(1)
        assert bench.txid_of(raw).hex() in [change.txid for _, change in listener.told]
        watch.close()

    on_bench(scenario)
