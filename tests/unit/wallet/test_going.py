"""A wallet that is closed while its node tells it things: what is on its way is not applied, and nothing fails."""

import asyncio

import pytest

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.wallet.rpc.backup import BackupCommands

from .test_rescan import BTC, request, watching


async def followers(bench):
    """Those that the node still tells, as it would before it heard that nobody follows."""
    return [stream.follower for stream in bench.chain.streams.values()]


def test_blocks_and_transactions_that_come_after_the_close_are_refused_quietly(on_bench, caplog):
    async def scenario(bench):
        wallet = await bench.wallet()
        (live,) = await followers(bench)
        block = bench.chain.mine(bench.make_tx([(b"\7" * 32, 0)], [(BTC, bench.receive(wallet))]))
        await bench.chain.deliver()
        await bench.wallets.close()
        for tell in (
            live.block_disconnected(1, block.ref, bench.chain.blocks[-2].ref),
            live.synced(1, block.ref),
            live.transaction_removed(1, "00" * 32, "reorg"),
            live.clock_set(1, 5, True),
        ):
            with pytest.raises(RpcError, match="followed no longer"):
                await tell

    on_bench(scenario)
    assert "Traceback" not in caplog.text


def test_one_that_reached_the_tip_as_it_was_closed_begins_nothing_more(on_bench):
    """`synced` waits for the node; by the time it has its answer the wallet's file is closed."""

    async def scenario(bench):
        wallet = await bench.wallet()
        bench.chain.add(bench.make_tx([(b"\7" * 32, 0)], [(BTC, bench.receive(wallet))]))
        await bench.chain.deliver()
        (live,) = await followers(bench)
        go_on, asked = asyncio.Event(), asyncio.Event()

        async def slow(txids):
            asked.set()
            await go_on.wait()
            return [None for _ in txids]

        bench.chain.packages = slow
        reached = asyncio.ensure_future(live.synced(1, bench.chain.blocks[-1].ref))
        await asked.wait()
        attachment = bench.wallets.attachment(wallet)
        await bench.wallets.close()
        before = attachment._after
        go_on.set()
        with pytest.raises(RpcError, match="followed no longer"):
            await reached
        assert attachment._after is before

    on_bench(scenario)


def test_a_scan_that_an_orderly_stop_interrupted_goes_on_after_the_restart(on_bench):
    async def scenario(bench):
        wallet = await watching(bench)
        importing = asyncio.ensure_future(BackupCommands(bench.wallets).importdescriptors(bench.call(), [request()]))
        async with asyncio.timeout(10):
            while wallet.scanning is None:  # noqa: ASYNC110 (nothing tells of it)
                await asyncio.sleep(0)
        importing.cancel()
        await bench.wallets.close()
        bench.wallets = bench.manager()
        await bench.wallets.load_all(["w"])
        wallet = bench.loaded()
        assert wallet.progress.rescan_wanted != (None, None)
        attachment = bench.wallets.attachment(wallet)
        assert await attachment.until_live(10)
        await attachment.caught_up()
        assert wallet.balance().trusted == 3 * BTC
        assert wallet.progress.rescan_wanted == (None, None)

    on_bench(scenario)
