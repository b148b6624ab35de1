"""Lists and details of transactions, and scanning again."""

from btclib_wallet.descriptors import add_checksum

from bitcoind_mp.wallet.importing import ImportRequest, import_descriptor
from bitcoind_mp.wallet.rpc.coins import CoinCommands
from bitcoind_mp.wallet.rpc.received import ReceivedCommands
from bitcoind_mp.wallet.rpc.transactions import TransactionCommands

BTC = 100_000_000


async def paid(bench, label="rent"):
    """A wallet with one payment to a labelled address in block 1; and the transaction."""
    wallet = await bench.wallet()
    address = wallet.new_address("bech32", label)
    raw = bench.make_tx([(b"\7" * 32, 0)], [(BTC, bench.script_of(address)), (5, bench.STRANGER)])
    bench.chain.mine(raw)
    await bench.chain.deliver()
    return wallet, raw, address


def test_a_received_payment_in_detail(on_bench):
    async def scenario(bench):
        _, raw, address = await paid(bench)
        commands = TransactionCommands(bench.wallets)
        found = await commands.gettransaction(bench.call(), bench.txid_of(raw), verbose=True)
        assert list(found) == [
            *("amount", "confirmations", "blockhash", "blockheight", "blockindex", "blocktime", "txid", "wtxid"),
            *("walletconflicts", "mempoolconflicts", "time", "timereceived", "bip125-replaceable", "details", "hex"),
            *("decoded", "lastprocessedblock"),
        ]
        assert (found["amount"], found["confirmations"], found["blockindex"]) == (1, 1, 1)
        (detail,) = found["details"]
        assert list(detail) == ["address", "parent_descs", "category", "amount", "label", "vout", "abandoned"]
        assert (detail["address"], detail["category"], detail["label"]) == (address, "receive", "rent")
        error = await bench.refused(commands.gettransaction(bench.call(), bytes(32)))
        assert (error.code, error.message) == (-5, "Invalid or non-wallet transaction id")

    on_bench(scenario)


def test_a_payment_of_ours_in_detail(on_bench):
    async def scenario(bench):
        wallet, raw, _ = await paid(bench)
        change = wallet.addresses.change("bech32")
        ours = bench.make_tx([(bench.txid_of(raw), 0)], [(BTC // 2, bench.STRANGER), (BTC // 4, change.script)])
        await wallet.commit(ours, comment="for", comment_to="you", change=[change])
        commands = TransactionCommands(bench.wallets)
        found = await commands.gettransaction(bench.call(), bench.txid_of(ours))
        assert (found["amount"], found["fee"]) == (-BTC / 2 / BTC, -0.25)
        assert (found["trusted"], found["bip125-replaceable"]) == (True, "yes")
        assert (found["comment"], found["to"]) == ("for", "you")
        (detail,) = found["details"]
        assert list(detail) == ["address", "category", "amount", "vout", "fee", "abandoned"]
        with_change = await commands.listsinceblock(bench.call(), include_change=True)
        assert sum(entry["txid"] == found["txid"] for entry in with_change["transactions"]) == 3

    on_bench(scenario)


def test_lists_come_newest_last_and_by_label(on_bench):
    async def scenario(bench):
        wallet, first, _ = await paid(bench)
        second = bench.make_tx([(b"\7" * 32, 1)], [(BTC, bench.receive(wallet))])
        bench.chain.mine(second)
        await bench.chain.deliver()
        commands = TransactionCommands(bench.wallets)
        ids = [entry["txid"] for entry in await commands.listtransactions(bench.call())]
        assert ids == [bench.txid_of(first).hex(), bench.txid_of(second).hex()]
        assert [entry["txid"] for entry in await commands.listtransactions(bench.call(), "*", 1, 1)] == ids[:1]
        assert [entry["txid"] for entry in await commands.listtransactions(bench.call(), "rent")] == ids[:1]
        for arguments, code, message in [
            (("", 1), -8, 'Label argument must be a valid label name or "*".'),
            (("*", -1), -8, "Negative count"),
            (("*", 1, -1), -8, "Negative from"),
        ]:
            error = await bench.refused(commands.listtransactions(bench.call(), *arguments))
            assert (error.code, error.message) == (code, message)

    on_bench(scenario)


def test_what_a_reorganisation_removed_is_told_to_those_who_saw_it(on_bench):
    async def scenario(bench):
        wallet, first, _ = await paid(bench)
        lost = bench.make_tx([(b"\7" * 32, 1)], [(BTC, bench.receive(wallet))])
        seen = bench.chain.mine(lost).ref.hash
        await bench.chain.deliver()
        commands = TransactionCommands(bench.wallets)
        before = await commands.listsinceblock(bench.call(), bench.chain.blocks[1].ref.hash)
        assert [entry["txid"] for entry in before["transactions"]] == [bench.txid_of(lost).hex()]
        assert (before["lastblock"], before["removed"]) == (seen, [])
        bench.chain.detach()
        bench.chain.mine(count=2)
        await bench.chain.deliver()
        after = await commands.listsinceblock(bench.call(), seen)
        assert [entry["txid"] for entry in after["removed"]] == [bench.txid_of(lost).hex()]
        assert bench.txid_of(first).hex() not in [entry["txid"] for entry in after["transactions"]]
        assert after["lastblock"] == bench.chain.blocks[-1].ref.hash
        deeper = await commands.listsinceblock(bench.call(), target_confirmations=3)
        assert deeper["lastblock"] == bench.chain.blocks[-3].ref.hash
        error = await bench.refused(commands.listsinceblock(bench.call(), "ab" * 32))
        assert (error.code, error.message) == (-5, "Block not found")
        await bench.restart()
        again = await TransactionCommands(bench.wallets).listsinceblock(bench.call(), seen)
        assert again["removed"] == after["removed"]

    on_bench(scenario)


def test_a_block_of_a_chain_that_the_wallet_never_followed_is_asked_of_the_node(on_bench):
    async def scenario(bench):
        script = bench.receive(await bench.wallet("other"))
        ours = bench.make_tx([(b"\7" * 32, 0)], [(BTC, script)])
        bench.chain.mine()
        lost = bench.chain.mine(ours).ref.hash
        seen = bench.chain.mine().ref.hash
        await bench.chain.deliver()
        await bench.wallets.unload("other")
        bench.chain.detach(2)
        bench.chain.mine(count=2)
        bench.chain.mine(ours)
        watch = await bench.wallet(disable_private_keys=True)
        text = add_checksum(f"raw({script.hex()})")
        await import_descriptor(watch, ImportRequest(text, 1), 1)
        await bench.wallets.attachment(watch).rescanner.scan_wanted()
        commands = TransactionCommands(bench.wallets)
        for hash in (seen, lost):
            found = await commands.listsinceblock(bench.call(), hash)
            for listed in ("transactions", "removed"):
                assert [entry["txid"] for entry in found[listed]] == [bench.txid_of(ours).hex()]
        assert "removed" not in await commands.listsinceblock(bench.call(), seen, include_removed=False)
        error = await bench.refused(commands.listsinceblock(bench.call(), "ab" * 32))
        assert (error.code, error.message) == (-5, "Block not found")

    on_bench(scenario)


def test_abandoning_and_what_may_not_be_abandoned(on_bench):
    async def scenario(bench):
        wallet, raw, _ = await paid(bench)
        commands = TransactionCommands(bench.wallets)
        error = await bench.refused(commands.abandontransaction(bench.call(), bench.txid_of(raw)))
        assert (error.code, error.message) == (-5, "Transaction not eligible for abandonment")
        ours = bench.make_tx([(bench.txid_of(raw), 0)], [(BTC // 2, bench.STRANGER)])
        txid = await wallet.commit(ours)
        assert (await bench.refused(commands.abandontransaction(bench.call(), txid))).code == -5
        await bench.chain.deliver()
        bench.chain.drop(txid)
        await bench.chain.deliver()
        await commands.abandontransaction(bench.call(), txid)
        (entry,) = [each for each in await commands.listtransactions(bench.call()) if each["category"] == "send"]
        assert entry["abandoned"]

    on_bench(scenario)


def test_scanning_again_finds_what_a_wallet_didn_t_know_when_it_passed(on_bench):
    async def scenario(bench):
        other = await bench.wallet("other")
        script = bench.receive(other)
        raw = bench.make_tx([(b"\7" * 32, 0)], [(BTC, script)])
        bench.chain.mine(raw, time=bench.NOW + 50)
        bench.chain.mine(count=3, time=bench.NOW)
        await bench.chain.deliver()
        watch = await bench.wallet(disable_private_keys=True)
        await bench.wallets.attachment(watch).caught_up()
        text = other.descriptors.get(other.owner(script).descriptor).normalized
        await import_descriptor(watch, ImportRequest(text, bench.NOW, range=(0, 5)), bench.NOW)
        assert watch.balance().trusted == 0
        commands = TransactionCommands(bench.wallets)
        for arguments, message in [
            ((-1,), "Invalid start_height"),
            ((9,), "Invalid start_height"),
            ((0, 9), "Invalid stop_height"),
            ((2, 1), "stop_height must be greater than start_height"),
        ]:
            error = await bench.refused(commands.rescanblockchain(bench.call(), *arguments))
            assert (error.code, error.message) == (-8, message)
        assert await commands.rescanblockchain(bench.call(), 2, 3) == {"start_height": 2, "stop_height": 3}
        assert watch.balance().trusted == 0
        assert await commands.rescanblockchain(bench.call()) == {"start_height": 0, "stop_height": 4}
        assert watch.balance().trusted == BTC
        assert watch.transaction(bench.txid_of(raw)).time == bench.NOW + 50
        assert await commands.rescanblockchain(bench.call(), 1) == {"start_height": 1, "stop_height": 4}
        assert len(watch.history) == 1
        assert commands.abortrescan(bench.call()) is False

    on_bench(scenario)


def test_sums_of_what_was_received(on_bench):
    async def scenario(bench):
        wallet, _, address = await paid(bench)
        empty = wallet.new_address("legacy", "empty")
        bench.chain.mine(to=bench.script_of(wallet.new_address("bech32m", "mining")))
        await bench.chain.deliver()
        commands, call = ReceivedCommands(bench.wallets), bench.call()
        (row,) = await commands.listreceivedbyaddress(call)
        assert (row["address"], row["amount"], row["confirmations"], row["label"]) == (address, 1, 2, "rent")
        rows = await commands.listreceivedbyaddress(call, 0, True)
        assert rows[0]["address"] == empty
        assert len(rows) == 3
        assert await commands.listreceivedbyaddress(call, 1, True, False, empty) == [rows[0]]
        assert {row["label"]: row["amount"] for row in await commands.listreceivedbylabel(call, 1, True)} == {
            "empty": 0,
            "mining": 0,
            "rent": 1,
        }
        labels = await commands.listreceivedbylabel(call, 1, False, False, True)
        assert {row["label"]: row["amount"] for row in labels} == {"mining": 50, "rent": 1}
        assert await commands.getreceivedbyaddress(call, address) == 1
        assert await commands.getreceivedbyaddress(call, address, 3) == 0
        assert await commands.getreceivedbylabel(call, "mining", 1, True) == 50
        for work, code, message in [
            (commands.getreceivedbylabel(call, "none"), -4, "Label not found in wallet"),
            (commands.getreceivedbyaddress(call, "none"), -5, "Invalid Bitcoin address"),
            (
                commands.getreceivedbyaddress(call, "bcrt1qrp5rsmwwrsk6zq8jyzkhsl9gq97nmphp6r8zw7"),
                -4,
                "Address not found in wallet",
            ),
            (commands.listreceivedbyaddress(call, 1, True, False, "x"), -4, "address_filter parameter was invalid"),
        ]:
            error = await bench.refused(work)
            assert (error.code, error.message) == (code, message)

    on_bench(scenario)


def test_locks_and_filters_of_coins(on_bench):
    async def scenario(bench):
        wallet, raw, address = await paid(bench)
        commands, call = CoinCommands(bench.wallets), bench.call()
        (coin,) = await commands.listunspent(call)
        assert list(coin) == [
            *("txid", "vout", "address", "label", "scriptPubKey", "amount", "confirmations", "spendable", "solvable"),
            *("desc", "parent_descs", "safe"),
        ]
        assert await commands.listunspent(call, 2) == []
        assert len(await commands.listunspent(call, 1, 9, [address], True, {"minimumAmount": "0.5"})) == 1
        assert await commands.listunspent(call, 1, 9, [], True, {"maximumAmount": 0.5}) == []
        one = {"txid": coin["txid"], "vout": 0}
        assert await commands.lockunspent(call, False, [one])
        assert commands.listlockunspent(call) == [one]
        assert await commands.listunspent(call) == []
        for arguments, words in [
            ((False, [one]), "output already locked"),
            ((True, [{"txid": coin["txid"], "vout": 1}]), "expected locked output"),
            ((False, [{"txid": "ab" * 32, "vout": 0}]), "unknown transaction"),
            ((False, [{"txid": coin["txid"], "vout": 9}]), "vout index out of bounds"),
            ((False, [{"txid": coin["txid"], "vout": -1}]), "vout cannot be negative"),
        ]:
            error = await bench.refused(commands.lockunspent(call, *arguments))
            assert (error.code, error.message) == (-8, f"Invalid parameter, {words}")
        assert await commands.lockunspent(call, True)
        assert len(await commands.listunspent(call)) == 1
        await wallet.commit(bench.make_tx([(bench.txid_of(raw), 0)], [(9, bench.STRANGER)]))
        error = await bench.refused(commands.lockunspent(call, False, [one]))
        assert error.message == "Invalid parameter, expected unspent output"

    on_bench(scenario)


def test_balances_and_their_options(on_bench):
    async def scenario(bench):
        await paid(bench)
        commands, call = CoinCommands(bench.wallets), bench.call()
        assert await commands.getbalance(call) == 1
        assert await commands.getbalance(call, "*", 2) == 0
        error = await bench.refused(commands.getbalance(call, "x"))
        assert (error.code, error.message) == (-32, 'dummy first argument must be excluded or set to "*".')
        error = await bench.refused(commands.getbalance(call, "*", 0, False, True))
        assert error.message == 'wallet does not have the "avoid reuse" feature enabled'
        balances = await commands.getbalances(call)
        assert list(balances["mine"]) == ["trusted", "untrusted_pending", "immature", "nonmempool"]

    on_bench(scenario)
