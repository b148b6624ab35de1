"""Trust, safety and groups beyond what a day's payments show."""

from bitcoind_mp.wallet.coins import CoinFilter

BTC = 100_000_000


async def coins(bench, count):
    wallet = await bench.wallet()
    ids = []
    for n in range(count):
        raw = bench.make_tx([(b"\7" * 32, n)], [(BTC + n, bench.receive(wallet))])
        bench.chain.mine(raw)
        ids.append((bench.txid_of(raw), 0))
    await bench.chain.deliver()
    return wallet, ids


def test_a_replacement_and_what_it_replaces_are_not_safe_while_unconfirmed(on_bench):
    async def scenario(bench):
        wallet, (one,) = await coins(bench, 1)
        first = await wallet.commit(bench.make_tx([one], [(BTC // 2, bench.receive(wallet))]))
        assert [coin.safe for coin in wallet.coins()] == [True]
        second = await wallet.commit(bench.make_tx([one], [(BTC // 3, bench.receive(wallet))]), replaces=first)
        await bench.chain.deliver()
        (coin,) = wallet.coins()
        assert (coin.outpoint.txid, coin.safe, coin.trusted) == (second, False, True)
        assert wallet.coins(CoinFilter(include_unsafe=False)) == []
        bench.chain.mine(wallet.transaction(second).raw)
        await bench.chain.deliver()
        assert [coin.safe for coin in wallet.coins()] == [True]

    on_bench(scenario)


def test_version_three_coins_keep_to_themselves_while_unconfirmed(on_bench):
    async def scenario(bench):
        wallet, (one, two) = await coins(bench, 2)
        truc = bench.make_tx([one], [(1000, bench.receive(wallet)), (2000, bench.receive(wallet))], version=3)
        await wallet.commit(truc)
        await wallet.commit(bench.make_tx([two], [(3000, bench.receive(wallet))]))

        def amounts(version):
            return {coin.amount for coin in wallet.coins(CoinFilter(version=version))}

        assert amounts(None) == {1000, 2000, 3000}
        assert amounts(2) == {3000}
        assert amounts(3) == {1000, 2000}
        child = bench.make_tx([(bench.txid_of(truc), 0)], [(500, bench.STRANGER)], version=3)
        await wallet.commit(child)
        await bench.chain.deliver()
        assert amounts(3) == set()
        bench.chain.drop(bench.txid_of(child))
        await bench.chain.deliver()
        assert amounts(3) == {2000}

    on_bench(scenario)


def test_filters_of_amount_sum_and_count(on_bench):
    async def scenario(bench):
        wallet, _ = await coins(bench, 4)
        assert len(wallet.coins(CoinFilter(min_amount=BTC + 2))) == 2
        assert len(wallet.coins(CoinFilter(max_amount=BTC + 2))) == 3
        assert len(wallet.coins(CoinFilter(min_sum=BTC + 1))) == 2
        assert len(wallet.coins(CoinFilter(max_count=3))) == 3
        assert len(wallet.coins(CoinFilter(min_depth=2, max_depth=3))) == 2

    on_bench(scenario)


def test_inputs_and_change_make_a_group_and_a_lone_address_its_own(on_bench):
    async def scenario(bench):
        wallet, (one, two, three) = await coins(bench, 3)
        change = wallet.addresses.change("bech32m")
        raw = bench.make_tx([one, two], [(BTC, bench.STRANGER), (BTC // 2, change.script)])
        await wallet.commit(raw, change=[change])
        scripts = {outpoint: output.script for outpoint, output in wallet.history.outputs.items()}
        groups = wallet.view().groupings()
        assert sorted(map(len, groups)) == [1, 3]
        joined = next(group for group in groups if len(group) == 3)
        assert set(joined) == {scripts[one], scripts[two], change.script}
        assert joined[-1] == change.script  # Core's order of destinations: taproot after witness key hashes
        balances = wallet.view().address_balances()
        assert balances[scripts[three]] == BTC + 2
        assert balances[change.script] == BTC // 2
        assert balances[scripts[one]] == 0

    on_bench(scenario)


def test_without_unconfirmed_change_nothing_unconfirmed_is_trusted(on_bench):
    async def scenario(bench):
        wallet, (one,) = await coins(bench, 1)
        await wallet.commit(bench.make_tx([one], [(BTC // 2, bench.receive(wallet))]))
        assert (wallet.balance().trusted, wallet.balance().pending) == (0, BTC // 2)

    on_bench(scenario, spend_zero_conf_change=False)


def test_smart_times_follow_the_order_of_arrival(on_bench):
    async def scenario(bench):
        wallet, _ = await coins(bench, 1)
        (first,) = wallet.history
        assert first.time == bench.NOW  # the block's time lies in the future
        raw = bench.make_tx([(b"\7" * 32, 9)], [(5, bench.receive(wallet))])
        bench.chain.clock = bench.NOW + 1000
        bench.clock.observe(await bench.chain.status())
        bench.chain.mine(raw, time=bench.NOW - 500)
        await bench.chain.deliver()
        second = wallet.transaction(bench.txid_of(raw))
        assert second.time == first.time  # a block's older time doesn't put it before what came before
        assert second.time_received == bench.NOW + 1000
        future = bench.make_tx([(b"\7" * 32, 10)], [(5, bench.receive(wallet))])
        bench.chain.mine(future, time=bench.NOW + 50_000)
        await bench.chain.deliver()
        assert wallet.transaction(bench.txid_of(future)).time == bench.NOW + 1000

    on_bench(scenario)
