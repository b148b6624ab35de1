"""Scanning older blocks: once, again, interrupted, aborted, without a node."""

import asyncio

import pytest
from btclib_wallet.descriptors import add_checksum

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.wallet.importing import ImportRequest, import_descriptor
from bitcoind_mp.wallet.rpc.backup import BackupCommands

BTC = 100_000_000
XPUB_TEXT = add_checksum(
    "wpkh([62b58593/84h/1h/0h]tpubDDoGUi5v9m1NGyHxzvSa1mcd1sGSJv3gJVaw57DQpVH4oj7kD8bdcddNEKb2Sqi1PgrhVPbsEZbtDxWJhpaBYYLP6u7crRDy5UCiW9TyNdi/0/*)"
)


async def watching(bench, blocks=3, mempool=1):
    """A watch-only wallet that knows nothing yet of the payments in those blocks and that mempool."""
    from btclib_wallet.descriptors import parse

    scripts = [parse(XPUB_TEXT, "regtest").script_pub_key(n).script for n in range(blocks + mempool)]
    for n in range(blocks):
        bench.chain.mine(bench.make_tx([(b"\7" * 32, n)], [(BTC, scripts[n])]))
    for n in range(blocks, blocks + mempool):
        bench.chain.add(bench.make_tx([(b"\7" * 32, n)], [(BTC, scripts[n])]))
    wallet = await bench.wallet(disable_private_keys=True)
    await bench.wallets.attachment(wallet).caught_up()
    return wallet


def request(timestamp=0):
    return {"desc": XPUB_TEXT, "timestamp": timestamp, "range": 9, "active": True}


def test_an_import_answers_when_blocks_and_mempool_are_scanned(on_bench):
    async def scenario(bench):
        wallet = await watching(bench)
        (result,) = await BackupCommands(bench.wallets).importdescriptors(bench.call(), [request()])
        assert result == {"success": True}
        assert (wallet.balance().trusted, wallet.balance().pending) == (3 * BTC, BTC)
        assert wallet.scanning is None
        assert wallet.progress.rescan_wanted == (None, None)

    on_bench(scenario)


def test_blocks_older_than_the_descriptor_by_two_hours_are_left_out(on_bench):
    async def scenario(bench):
        bench.chain.mine(count=2, time=bench.NOW + 10)
        wallet = await watching(bench, blocks=1, mempool=0)
        bench.chain.mine(time=bench.NOW + 100_000)
        commands = BackupCommands(bench.wallets)
        await commands.importdescriptors(bench.call(), [request(bench.NOW + 100_000)])
        assert wallet.balance().trusted == 0
        await commands.importdescriptors(bench.call(), [request(bench.NOW)])
        assert wallet.balance().trusted == BTC

    on_bench(scenario)


def test_an_import_while_the_node_is_away_is_kept_and_scanned_for_when_it_is_back(on_bench):
    async def scenario(bench):
        wallet = await watching(bench)
        await bench.node.go()
        error = await bench.refused(BackupCommands(bench.wallets).importdescriptors(bench.call(), [request()]))
        assert error.code == -9
        assert len(wallet.descriptors) == 1
        bench.node.come()
        assert await bench.wallets.attachment(wallet).until_live(10)
        await bench.wallets.attachment(wallet).caught_up()
        await bench.chain.deliver()
        assert wallet.balance().trusted == 3 * BTC

    on_bench(scenario)


def test_a_scan_that_a_kill_interrupted_goes_on_after_the_restart(on_bench):
    async def scenario(bench):
        wallet = await watching(bench)
        await import_descriptor(wallet, ImportRequest(XPUB_TEXT, 1, range=(0, 9)), 1)
        await bench.restart()
        wallet = bench.loaded()
        await bench.wallets.attachment(wallet).caught_up()
        assert wallet.balance().trusted == 3 * BTC
        assert wallet.progress.rescan_wanted == (None, None)

    on_bench(scenario)


def test_a_node_lost_in_mid_scan_delays_it(on_bench):
    async def scenario(bench):
        wallet = await watching(bench, blocks=3, mempool=0)
        await import_descriptor(wallet, ImportRequest(XPUB_TEXT, 1, range=(0, 9)), 1)
        scanning = asyncio.ensure_future(bench.wallets.attachment(wallet).rescanner.scan_wanted())
        await asyncio.sleep(0)
        await bench.node.go()
        with pytest.raises(RpcError):
            await scanning
        assert wallet.scanning is None
        assert wallet.progress.rescan_wanted != (None, None)
        bench.node.come()
        assert await bench.wallets.attachment(wallet).until_live(10)
        await bench.wallets.attachment(wallet).caught_up()
        assert wallet.balance().trusted == 3 * BTC

    on_bench(scenario)


def test_two_scans_at_once_are_one_too_many_and_an_abort_ends_the_first(on_bench):
    async def scenario(bench):
        wallet = await watching(bench)
        rescanner = bench.wallets.attachment(wallet).rescanner
        scanning = asyncio.ensure_future(rescanner.scan(0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert rescanner.is_busy
        with pytest.raises(RpcError, match="currently rescanning"):
            rescanner.reserve()
        error = await bench.refused(bench.wallets.unload("w"))
        assert error.code == -4
        assert wallet.scanning is not None
        assert rescanner.abort()
        assert not rescanner.abort()
        assert (await scanning).aborted
        assert not rescanner.abort()
        assert wallet.progress.rescan_wanted == (None, None)

    on_bench(scenario)


def test_scanning_twice_changes_nothing(on_bench):
    async def scenario(bench):
        wallet = await watching(bench)
        await BackupCommands(bench.wallets).importdescriptors(bench.call(), [request()])
        before = [(tx.txid, tx.state, tx.order, tx.time_smart) for tx in wallet.history]
        await bench.wallets.attachment(wallet).rescanner.scan(0)
        assert [(tx.txid, tx.state, tx.order, tx.time_smart) for tx in wallet.history] == before

    on_bench(scenario)


def test_a_caller_that_leaves_does_not_stop_the_scan(on_bench):
    async def scenario(bench):
        wallet = await watching(bench)
        await import_descriptor(wallet, ImportRequest(XPUB_TEXT, 1, range=(0, 9)), 1)
        scanning = asyncio.ensure_future(bench.wallets.attachment(wallet).rescanner.scan_wanted())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        scanning.cancel()
        await bench.wallets.attachment(wallet).rescanner.finished()
        assert wallet.balance().trusted == 3 * BTC

    on_bench(scenario)
