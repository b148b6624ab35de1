"""A wallet on the feed: payments, reorganisations, conflicts, a node that goes and comes."""

from btclib.tx import Tx

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.wallet.coins import CoinFilter, OutPoint, OutputType
from bitcoind_mp.wallet.transactions import Conflicted, Inactive

BTC = 100_000_000


async def funded(bench, count=1, amount=10 * BTC):
    """A wallet with so many confirmed coins of that amount; and the outpoints."""
    wallet = await bench.wallet()
    outpoints = []
    for _ in range(count):
        raw = bench.make_tx([(bytes(31) + b"\7", len(outpoints))], [(amount, bench.receive(wallet))])
        bench.chain.mine(raw)
        outpoints.append(OutPoint(bench.txid_of(raw), 0))
    await bench.chain.deliver()
    return wallet, outpoints


def test_a_payment_is_pending_then_confirmed(on_bench):
    async def scenario(bench):
        wallet = await bench.wallet()
        raw = bench.make_tx([(b"\7" * 32, 0)], [(BTC, bench.receive(wallet)), (3, bench.STRANGER)])
        bench.chain.add(raw)
        await bench.chain.deliver()
        assert (wallet.balance().pending, wallet.balance().trusted) == (BTC, 0)
        block = bench.chain.mine(raw)
        await bench.chain.deliver()
        assert (wallet.balance().pending, wallet.balance().trusted) == (0, BTC)
        assert wallet.block.hex() == block.ref.hash
        (coin,) = wallet.coins()
        assert (coin.depth, coin.amount, coin.type) == (1, BTC, OutputType.BECH32)
        assert wallet.depth(wallet.transaction(bench.txid_of(raw))) == 1

    on_bench(scenario)


def test_a_coinbase_ripens(on_bench):
    async def scenario(bench):
        wallet = await bench.wallet()
        bench.chain.mine(to=bench.receive(wallet))
        bench.chain.mine(count=99)
        await bench.chain.deliver()
        assert (wallet.balance().immature, wallet.balance().trusted) == (bench.SUBSIDY, 0)
        assert wallet.coins() == []
        assert len(wallet.coins(CoinFilter(include_immature=True))) == 1
        bench.chain.mine()
        await bench.chain.deliver()
        assert (wallet.balance().immature, wallet.balance().trusted) == (0, bench.SUBSIDY)

    on_bench(scenario)


def test_our_own_change_is_trusted_unconfirmed_and_a_strangers_payment_is_not(on_bench):
    async def scenario(bench):
        wallet, (coin,) = await funded(bench)
        reservation = wallet.addresses.change(OutputType.BECH32)
        raw = bench.make_tx([coin], [(4 * BTC, bench.STRANGER), (6 * BTC, reservation.script)])
        await wallet.commit(raw, change=[reservation])
        assert wallet.balance().trusted == 6 * BTC
        child = bench.make_tx([(bench.txid_of(raw), 1)], [(5 * BTC, bench.receive(wallet))])
        await wallet.commit(child)
        assert wallet.balance().trusted == 5 * BTC
        foreign = bench.make_tx([(bench.txid_of(child), 0), (b"\7" * 32, 0)], [(5 * BTC, bench.receive(wallet))])
        bench.chain.add(foreign)
        await bench.chain.deliver()
        assert (wallet.balance().trusted, wallet.balance().pending) == (0, 5 * BTC)

    on_bench(scenario)


def test_a_reorganisation_moves_a_payment_and_spoils_a_coinbase(on_bench):
    async def scenario(bench):
        wallet = await bench.wallet()
        raw = bench.make_tx([(b"\7" * 32, 0)], [(BTC, bench.receive(wallet))])
        bench.chain.mine(raw, to=bench.receive(wallet))
        await bench.chain.deliver()
        coinbase = next(tx for tx in wallet.history if tx.is_coinbase)
        bench.chain.detach()
        bench.chain.mine(count=2)
        await bench.chain.deliver()
        assert coinbase.is_abandoned
        assert wallet.balance().immature == 0
        assert wallet.transaction(bench.txid_of(raw)).state == Inactive()
        assert wallet.height == 2
        block = bench.chain.mine(raw)
        await bench.chain.deliver()
        assert wallet.transaction(bench.txid_of(raw)).state.block.hex() == block.ref.hash
        assert wallet.balance().trusted == BTC

    on_bench(scenario)


def test_a_confirmed_double_spend_makes_ours_and_its_children_conflicted_until_it_leaves(on_bench):
    async def scenario(bench):
        wallet, (coin,) = await funded(bench)
        ours = bench.make_tx([coin], [(9 * BTC, bench.receive(wallet))])
        await wallet.commit(ours)
        child = bench.make_tx([(bench.txid_of(ours), 0)], [(8 * BTC, bench.receive(wallet))])
        await wallet.commit(child)
        rival = bench.make_tx([coin], [(9 * BTC, bench.STRANGER)])
        block = bench.chain.mine(rival)
        await bench.chain.deliver()
        for raw in (ours, child):
            tx = wallet.transaction(bench.txid_of(raw))
            assert tx.state == Conflicted(bytes.fromhex(block.ref.hash), 2)
            assert wallet.depth(tx) == -1
        assert wallet.balance().trusted == 0
        assert wallet.history.conflicts(wallet.transaction(bench.txid_of(ours))) == {bench.txid_of(rival)}
        bench.chain.detach()
        bench.chain.mine(count=2)
        await bench.chain.deliver()
        assert wallet.transaction(bench.txid_of(ours)).state == Inactive()
        assert wallet.is_spent(coin)

    on_bench(scenario)


def test_a_rival_in_the_mempool_frees_what_ours_would_have_spent_once_it_is_gone(on_bench):
    async def scenario(bench):
        wallet, (coin,) = await funded(bench)
        ours = bench.make_tx([coin], [(9 * BTC, bench.STRANGER)])
        await wallet.commit(ours)
        rival = bench.make_tx([coin], [(BTC, bench.STRANGER), (8 * BTC, bench.receive(wallet))])
        rival_id = bench.chain.add(rival)
        await bench.chain.deliver()
        tx = wallet.transaction(bench.txid_of(ours))
        assert tx.mempool_conflicts == {rival_id}
        assert not tx.in_mempool
        bench.chain.drop(rival_id)
        await bench.chain.deliver()
        assert tx.mempool_conflicts == set()

    on_bench(scenario)


def test_abandoning_gives_inputs_back_for_it_and_its_children(on_bench):
    async def scenario(bench):
        wallet, (coin,) = await funded(bench)
        ours = bench.make_tx([coin], [(9 * BTC, bench.receive(wallet))])
        await wallet.commit(ours)
        child = bench.make_tx([(bench.txid_of(ours), 0)], [(8 * BTC, bench.STRANGER)])
        await wallet.commit(child)
        await bench.chain.deliver()
        for raw in (child, ours):
            bench.chain.drop(bench.txid_of(raw))
        await bench.chain.deliver()
        assert wallet.balance().trusted == 0
        wallet.abandon(wallet.transaction(bench.txid_of(ours)))
        assert wallet.transaction(bench.txid_of(child)).is_abandoned
        assert wallet.balance().trusted == 10 * BTC
        await bench.restart()
        assert bench.loaded().transaction(bench.txid_of(child)).is_abandoned
        assert bench.loaded().balance().trusted == 10 * BTC

    on_bench(scenario)


def test_what_was_sent_survives_a_restart_with_all_that_was_said_of_it(on_bench):
    async def scenario(bench):
        wallet, (coin,) = await funded(bench)
        wallet.lock_coins([OutPoint(b"\1" * 32, 3)], persistent=True)
        wallet.lock_coins([OutPoint(b"\2" * 32, 4)])
        address = wallet.new_address(OutputType.BECH32M, "rent")
        first = await wallet.commit(bench.make_tx([coin], [(9 * BTC, bench.STRANGER)]), comment="for", comment_to="you")
        second = await wallet.commit(bench.make_tx([coin], [(8 * BTC, bench.STRANGER)]), replaces=first)
        await bench.restart()
        again = bench.loaded()
        assert (again.transaction(first).comment, again.transaction(first).comment_to) == ("for", "you")
        assert again.transaction(first).replaced_by == second
        assert again.transaction(second).replaces == first
        assert list(again.locks) == [OutPoint(b"\1" * 32, 3)]
        assert again.book.get(bench.script_of(address)).label == "rent"
        assert again.new_address(OutputType.BECH32M, "") != address
        assert [tx.txid for tx in again.history][-2:] == [first, second]

    on_bench(scenario)


def test_addresses_paid_ahead_of_use_are_used_up_and_the_look_ahead_grows(on_bench):
    async def scenario(bench):
        wallet = await bench.wallet()
        found = wallet.descriptors.active(OutputType.BECH32, False)
        assert (found.next_index, found.range_end) == (0, 5)
        (ahead,) = found.scripts(4)
        bench.chain.mine(bench.make_tx([(b"\7" * 32, 0)], [(BTC, ahead)]))
        await bench.chain.deliver()
        assert (found.next_index, found.range_end) == (5, 10)
        assert wallet.book.get(ahead).label == ""
        assert bench.receive(wallet) == found.scripts(5)[0]
        (beyond,) = found.scripts(9)
        bench.chain.mine(bench.make_tx([(b"\7" * 32, 1)], [(BTC, beyond)]))
        await bench.chain.deliver()
        assert wallet.balance().trusted == 2 * BTC

    on_bench(scenario)


def test_a_payment_to_an_address_that_the_same_block_brings_into_the_look_ahead_is_found(on_bench):
    async def scenario(bench):
        wallet = await bench.wallet()
        found = wallet.descriptors.active(OutputType.BECH32, False)
        txs = [
            bench.make_tx([(b"\7" * 32, n)], [(BTC, found.scripts(index)[0])]) for n, index in enumerate((4, 9, 14, 19))
        ]
        bench.chain.mine(*txs)
        await bench.chain.deliver()
        assert wallet.balance().trusted == 4 * BTC
        assert found.next_index == 20

    on_bench(scenario)


def test_change_that_was_released_is_given_again_and_change_that_was_kept_never(on_bench):
    async def scenario(bench):
        wallet = await bench.wallet()
        first = wallet.addresses.change(OutputType.LEGACY)
        wallet.addresses.release(first)
        second = wallet.addresses.change(OutputType.LEGACY)
        assert second == first
        wallet.addresses.keep(second)
        third = wallet.addresses.change(OutputType.LEGACY)
        fourth = wallet.addresses.change(OutputType.LEGACY)
        wallet.addresses.release(third)
        assert wallet.addresses.change(OutputType.LEGACY).address not in (third.address, fourth.address, first.address)
        await bench.restart()
        assert bench.loaded().addresses.change(OutputType.LEGACY).address != first.address

    on_bench(scenario)


def test_a_wallet_that_avoids_reuse_tells_coins_on_addresses_spent_from_apart(on_bench):
    async def scenario(bench):
        wallet = await bench.wallet(avoid_reuse=True)
        script = bench.receive(wallet)
        raw = bench.make_tx([(b"\7" * 32, 0)], [(BTC, script)])
        bench.chain.mine(raw)
        await bench.chain.deliver()
        assert wallet.balance().trusted == BTC
        await wallet.commit(bench.make_tx([(bench.txid_of(raw), 0)], [(BTC, bench.STRANGER)]))
        bench.chain.mine(bench.make_tx([(b"\7" * 32, 1)], [(2 * BTC, script)]))
        await bench.chain.deliver()
        assert (wallet.balance().trusted, wallet.balance().used) == (0, 2 * BTC)
        assert wallet.balance(avoid_reuse=False).trusted == 2 * BTC
        assert wallet.coins(CoinFilter(include_reused=False)) == []
        assert [coin.reused for coin in wallet.coins()] == [True]
        await bench.restart()
        assert bench.loaded().balance().used == 2 * BTC

    on_bench(scenario)


def test_spending_a_locked_coin_unlocks_it(on_bench):
    async def scenario(bench):
        wallet, (coin,) = await funded(bench)
        wallet.lock_coins([coin], persistent=True)
        assert wallet.coins() == []
        assert len(wallet.coins(CoinFilter(include_locked=True))) == 1
        await wallet.commit(bench.make_tx([coin], [(9 * BTC, bench.STRANGER)]))
        assert not wallet.is_locked(coin)

    on_bench(scenario)


def test_it_answers_while_the_node_is_away_and_catches_up_with_what_it_missed(on_bench):
    async def scenario(bench):
        wallet, (coin,) = await funded(bench)
        await bench.node.go()
        assert wallet.balance().trusted == 10 * BTC
        assert wallet.stale_since == bench.NOW
        ours = bench.make_tx([coin], [(9 * BTC, bench.receive(wallet))])
        await wallet.commit(ours)
        assert wallet.transaction(bench.txid_of(ours)).state == Inactive()
        assert wallet.balance().trusted == 0
        bench.chain.detach()
        bench.chain.mine(count=3)
        bench.chain.mine(bench.make_tx([(b"\7" * 32, 9)], [(BTC, bench.receive(wallet))]))
        bench.node.come()
        assert await bench.wallets.attachment(wallet).until_live(10)
        await bench.wallets.attachment(wallet).caught_up()
        await bench.chain.deliver()
        assert wallet.stale_since is None
        assert wallet.height == len(bench.chain.blocks) - 1
        assert ours in bench.chain.received
        assert wallet.transaction(bench.txid_of(ours)).in_mempool

    on_bench(scenario)


def test_what_left_the_mempool_while_the_node_was_away_is_not_taken_to_be_there(on_bench):
    async def scenario(bench):
        wallet = await bench.wallet()
        raw = bench.make_tx([(b"\7" * 32, 0)], [(BTC, bench.receive(wallet))])
        txid = bench.chain.add(raw)
        await bench.chain.deliver()
        assert wallet.balance().pending == BTC
        await bench.node.go()
        assert wallet.balance().pending == BTC
        del bench.chain.mempool[txid]
        bench.chain.refusal = RpcError(-26, "bad-txns-inputs-missingorspent")
        bench.node.come()
        assert await bench.wallets.attachment(wallet).until_live(10)
        assert wallet.balance().pending == 0

    on_bench(scenario)


def test_what_a_node_that_came_back_still_has_is_not_broadcast_again(on_bench):
    async def scenario(bench):
        wallet, coins = await funded(bench, count=2)
        payments = [bench.make_tx([coin], [(9 * BTC, bench.STRANGER)]) for coin in coins]
        for payment in payments:
            await wallet.commit(payment)
        await bench.node.go()
        bench.chain.received.clear()
        del bench.chain.mempool[bench.txid_of(payments[0])]
        bench.node.come()
        assert await bench.wallets.attachment(wallet).until_live(10)
        await bench.wallets.attachment(wallet).caught_up()
        assert bench.chain.received == payments[:1]
        assert await wallet.outbox.resubmit() == 2
        assert bench.chain.received == payments[:1]

    on_bench(scenario)


def test_a_refused_payment_stays_in_the_wallet_and_is_offered_again(on_bench):
    async def scenario(bench):
        wallet, (coin,) = await funded(bench)
        bench.chain.refusal = RpcError(-26, "min relay fee not met")
        txid = await wallet.commit(bench.make_tx([coin], [(9 * BTC, bench.STRANGER)]))
        assert wallet.transaction(txid).state == Inactive()
        assert wallet.balance().trusted == 0
        assert wallet.view().balance(include_nonmempool=True).nonmempool == -10 * BTC
        bench.chain.refusal = None
        assert await wallet.outbox.resubmit() == 1
        assert wallet.transaction(txid).in_mempool

    on_bench(scenario)


def test_what_a_node_without_room_refused_is_offered_with_the_next_block(on_bench):
    async def scenario(bench):
        wallet, coins = await funded(bench, count=2)
        bench.chain.refusal = RpcError(-20, "The transaction could not be written down: No space left on device.")
        txids = [await wallet.commit(bench.make_tx([coin], [(9 * BTC, bench.STRANGER)])) for coin in coins]
        for refusal, there in ((bench.chain.refusal, False), (None, True)):
            bench.chain.refusal = refusal
            bench.chain.mine()
            await bench.chain.deliver()
            await bench.wallets.attachment(wallet).caught_up()
            await bench.chain.deliver()
            assert [wallet.transaction(txid).in_mempool for txid in txids] == [there, there]
        offered = len(bench.chain.received)
        bench.chain.mine()
        await bench.chain.deliver()
        await bench.wallets.attachment(wallet).caught_up()
        assert len(bench.chain.received) == offered, "and no more after that"

    on_bench(scenario)


def test_a_payment_that_the_node_took_stands_where_the_disk_is_full_after_that(on_bench):
    """Were it refused then, whoever made it would make it again."""

    async def scenario(bench):
        wallet, (coin,) = await funded(bench)
        bench.chain.on_broadcast = lambda: wallet.ledger.execute("PRAGMA query_only = 1")
        txid = await wallet.commit(bench.make_tx([coin], [(9 * BTC, bench.STRANGER)]))
        assert txid in bench.chain.mempool
        bench.chain.on_broadcast = lambda: None
        wallet.ledger.execute("PRAGMA query_only = 0")
        bench.chain.mine()
        await bench.chain.deliver()
        await bench.wallets.attachment(wallet).caught_up()
        assert wallet.transaction(txid).in_mempool

    on_bench(scenario)


def test_what_it_refused_for_good_is_not_offered_with_each_block(on_bench):
    async def scenario(bench):
        wallet, (coin,) = await funded(bench)
        bench.chain.refusal = RpcError(-26, "min relay fee not met")
        await wallet.commit(bench.make_tx([coin], [(9 * BTC, bench.STRANGER)]))
        bench.chain.mine()
        await bench.chain.deliver()
        await bench.wallets.attachment(wallet).caught_up()
        assert len(bench.chain.received) == 1

    on_bench(scenario)


def test_a_node_that_lost_our_newest_blocks_is_followed_from_what_it_has(on_bench):
    async def scenario(bench):
        wallet, _ = await funded(bench, count=4)
        await bench.node.go()
        bench.chain.blocks = bench.chain.blocks[:3]
        bench.node.come()
        assert await bench.wallets.attachment(wallet).until_live(10)
        assert wallet.height == 2
        assert sum(tx.is_confirmed for tx in wallet.history) == 2
        bench.chain.mine(count=5)
        await bench.chain.deliver()
        assert wallet.height == 7

    on_bench(scenario)


def test_a_transaction_with_other_signatures_keeps_what_people_know_of_it(on_bench):
    async def scenario(bench):
        wallet, (coin, second) = await funded(bench, 2)
        raw = bench.make_tx([coin, second], [(9 * BTC, bench.STRANGER)])
        txid = await wallet.commit(raw, comment="rent", comment_to="them")
        when = wallet.transaction(txid).time_smart
        signed_otherwise = Tx.parse(raw, check_validity=False)
        signed_otherwise.vin[0].script_sig = b"\x01\x01"
        clone = signed_otherwise.serialize(include_witness=True, check_validity=False)
        await bench.chain.put_clock(bench.NOW + 1000)
        bench.chain.mine(clone, time=bench.NOW + 1000)
        await bench.chain.deliver()
        found = wallet.transaction(bench.txid_of(clone))
        assert (found.comment, found.comment_to, found.time_smart) == ("rent", "them", when)
        assert found.time_received == bench.NOW + 1000
        await bench.restart()
        assert bench.loaded().transaction(bench.txid_of(clone)).comment == "rent"

    on_bench(scenario)
