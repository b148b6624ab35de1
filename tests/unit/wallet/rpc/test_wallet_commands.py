"""Commands about wallets as a whole, and their refusals in Core's words."""

import asyncio

import pytest

from bitcoind_mp.interfaces.command import Call
from bitcoind_mp.wallet.rpc.encrypt import EncryptCommands
from bitcoind_mp.wallet.rpc.hdkeys import HdKeyCommands
from bitcoind_mp.wallet.rpc.shelf import ShelfCommands
from bitcoind_mp.wallet.rpc.wallet import WalletCommands


def commands(bench):
    return WalletCommands(bench.wallets)


def shelf(bench):
    return ShelfCommands(bench.wallets)


def test_a_new_wallet_is_described_as_core_does(on_bench):
    async def scenario(bench):
        assert await shelf(bench).createwallet("w") == {"name": "w"}
        info = await commands(bench).getwalletinfo(bench.call())
        assert list(info) == [
            *("walletname", "walletversion", "format", "txcount", "keypoolsize", "keypoolsize_hd_internal"),
            *("private_keys_enabled", "avoid_reuse", "scanning", "descriptors", "external_signer", "blank"),
            *("birthtime", "flags", "lastprocessedblock"),
        ]
        assert (info["keypoolsize"], info["keypoolsize_hd_internal"]) == (20, 20)
        assert info["flags"] == ["last_hardened_xpub_cached", "descriptor_wallet"]
        assert info["lastprocessedblock"] == {"hash": bench.chain.blocks[0].ref.hash, "height": 0}
        assert await shelf(bench).listwallets() == ["w"]
        assert await shelf(bench).listwalletdir() == {"wallets": [{"name": "w", "warnings": []}]}

    on_bench(scenario)


def test_each_kind_of_wallet_has_its_flags(on_bench):
    async def scenario(bench):
        answer = await shelf(bench).createwallet("w", True, True, "", True)
        assert answer["warnings"] == ["Empty string given as passphrase, wallet will not be encrypted."]
        info = await commands(bench).getwalletinfo(bench.call())
        assert info["flags"] == [
            *("avoid_reuse", "last_hardened_xpub_cached", "disable_private_keys", "blank", "descriptor_wallet"),
        ]
        assert (info["private_keys_enabled"], info["keypoolsize"]) == (False, 0)
        assert "birthtime" not in info

    on_bench(scenario)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("",), -8, "Wallet name cannot be empty"),
        (("x", False, False, None, False, False), -4, "no longer possible to create a legacy wallet"),
        (("x", True, False, "pass"), -4, "Passphrase provided but private keys are disabled."),
        (("x", True, False, None, False, True, None, True), -4, "Compiled without external signing support"),
    ],
)
def test_what_can_not_be_made(on_bench, arguments, code, words):
    async def scenario(bench):
        error = await bench.refused(shelf(bench).createwallet(*arguments))
        assert error.code == code
        assert words in error.message
        assert not list(bench.options.wallets_dir.iterdir())

    on_bench(scenario)


def test_names_that_are_taken_or_unknown(on_bench):
    async def scenario(bench):
        await bench.wallet()
        path = bench.options.wallets_dir / "w"
        answers = shelf(bench)
        for work, code, message in [
            (
                answers.createwallet("w"),
                -4,
                f"Wallet file verification failed. Failed to create database path '{path}'. Database already exists.",
            ),
            (answers.loadwallet("w"), -35, 'Wallet "w" is already loaded.'),
            (
                answers.loadwallet("x"),
                -18,
                f"Wallet file verification failed. Failed to load database path '{path.with_name('x')}'. "
                "Path does not exist.",
            ),
            (answers.unloadwallet(Call("", None), "x"), -18, "Requested wallet does not exist or is not loaded"),
            (
                answers.unloadwallet(Call("", "w"), "x"),
                -8,
                "The RPC endpoint wallet and the wallet name parameter specify different wallets",
            ),
            (
                answers.unloadwallet(Call("", None)),
                -8,
                "Either the RPC endpoint wallet or the wallet name parameter must be provided",
            ),
        ]:
            error = await bench.refused(work)
            assert (error.code, error.message) == (code, message)
        (path.with_name("empty")).mkdir()
        error = await bench.refused(answers.loadwallet("empty"))
        assert error.code == -18
        assert error.message.endswith("Data is not in recognized format.")

    on_bench(scenario)


def test_a_path_where_no_wallet_can_lie_is_told_from_one_where_none_lies(on_bench):
    async def scenario(bench):
        answers = shelf(bench)
        root = bench.options.wallets_dir
        (root / "d").mkdir()
        (root / "file").write_bytes(b"x")
        (root / "d" / "file").write_bytes(b"x")
        (root / "to_file").symlink_to("file")
        (root / "dangling").symlink_to("nowhere")
        for name in ("d/file", "to_file", "dangling"):
            for refused in (answers.loadwallet(name), answers.createwallet(name)):
                error = await bench.refused(refused)
                assert error.code == -4
                assert error.message.startswith(f"Wallet file verification failed. Invalid -wallet path '{name}'.")
        error = await bench.refused(answers.loadwallet("file"))
        assert (error.code, error.message[-33:]) == (-18, "Data is not in recognized format.")

    on_bench(scenario)


def test_wallets_behind_links_are_listed_and_loaded(on_bench):
    async def scenario(bench):
        answers = shelf(bench)
        root = bench.options.wallets_dir
        await answers.createwallet("w")
        await answers.unloadwallet(Call("", None), "w")
        (root / "link").symlink_to("w")
        (root / "loop").symlink_to(".")
        (root / "elsewhere").symlink_to("nowhere")
        assert [wallet["name"] for wallet in (await answers.listwalletdir())["wallets"]] == ["link", "w"]
        assert (await answers.loadwallet("link"))["name"] == "link"

    on_bench(scenario)


def test_the_wallet_of_a_call_is_the_one_named_or_the_only_one(on_bench):
    async def scenario(bench):
        answers = commands(bench)
        none = Call("", None)
        error = await bench.refused(answers.getwalletinfo(none))
        assert error.code == -18
        assert error.message.startswith("No wallet is loaded.")
        await bench.wallet("one")
        assert (await answers.getwalletinfo(none))["walletname"] == "one"
        await bench.wallet("two")
        error = await bench.refused(answers.getwalletinfo(none))
        assert error.code == -19
        assert error.message.startswith("Multiple wallets are loaded.")
        assert (await answers.getwalletinfo(Call("", "two")))["walletname"] == "two"
        assert (await bench.refused(answers.getwalletinfo(Call("", "three")))).code == -18

    on_bench(scenario)


def test_unloading_and_loading_and_the_list_for_the_start(on_bench):
    async def scenario(bench):
        answers = shelf(bench)
        await answers.createwallet("w", load_on_startup=True)
        assert await answers.unloadwallet(bench.call()) == {}
        assert await answers.listwallets() == []
        assert (bench.directory / "settings.json").read_text().split() == ["{", '"wallet":', "[", '"w"', "]", "}"]
        assert await answers.loadwallet("w", False) == {"name": "w"}
        assert '"w"' not in (bench.directory / "settings.json").read_text()

    on_bench(scenario)


def test_a_list_for_the_start_that_can_not_be_written_is_a_warning(on_bench):
    async def scenario(bench):
        (bench.directory / "settings.json").write_text("[]")
        answer = await shelf(bench).createwallet("w", load_on_startup=True)
        assert answer["warnings"] == [
            "Wallet load on startup setting could not be updated, so wallet may not be loaded next node startup."
        ]

    on_bench(scenario)


def test_flags_that_may_change_and_those_that_may_not(on_bench):
    async def scenario(bench):
        wallet = await bench.wallet()
        answers = commands(bench)
        assert answers.setwalletflag(bench.call(), "avoid_reuse")["flag_state"] is True
        assert wallet.avoid_reuse
        for name, message in [
            ("avoid_reuse", "Wallet flag is already set to true: avoid_reuse"),
            ("blank", "Wallet flag is immutable: blank"),
            ("nonsense", "Unknown wallet flag: nonsense"),
        ]:
            with pytest.raises(Exception, match=message):
                answers.setwalletflag(bench.call(), name)

    on_bench(scenario)


def test_a_simulated_transaction_changes_the_balance_by_what_is_ours(on_bench):
    async def scenario(bench):
        wallet = await bench.wallet()
        coin = bench.make_tx([(b"\7" * 32, 0)], [(1000, bench.receive(wallet)), (500, bench.STRANGER)])
        bench.chain.mine(coin)
        await bench.chain.deliver()
        coin_id = bench.txid_of(coin)
        first = bench.make_tx([(coin_id, 0)], [(600, bench.STRANGER), (300, bench.receive(wallet))])
        second = bench.make_tx([(bench.txid_of(first), 1), (coin_id, 1)], [(700, bench.receive(wallet))])
        simulate = commands(bench).simulaterawtransaction
        assert str((await simulate(bench.call(), [first.hex()]))["balance_change"]) == "-0.00000700"
        assert str((await simulate(bench.call(), [first.hex(), second.hex()]))["balance_change"]) == "-0.00000300"
        error = await bench.refused(simulate(bench.call(), [first.hex(), first.hex()]))
        assert (error.code, error.message) == (-8, "Transaction(s) are spending the same output more than once")
        error = await bench.refused(simulate(bench.call(), [second.hex()]))
        assert error.message == "One or more transaction inputs are missing or have been spent already"
        error = await bench.refused(simulate(bench.call(), ["00"]))
        assert (error.code, error.message) == (-22, "Transaction hex string decoding failure.")

    on_bench(scenario)


def test_encryption_from_the_first_passphrase_to_a_new_one(on_bench):
    async def scenario(bench):
        wallet = await bench.wallet()
        locks, call = EncryptCommands(bench.wallets), bench.call()
        before = wallet.new_address("bech32", "")
        for work, code in [
            (locks.walletpassphrase(call, "x", 1), -15),
            (locks.walletpassphrasechange(call, "x", "y"), -15),
            (locks.encryptwallet(call, ""), -8),
        ]:
            assert (await bench.refused(work)).code == code
        assert (await locks.encryptwallet(call, "pass")).startswith("wallet encrypted; The keypool has been flushed")
        assert wallet.keys.is_locked
        assert (await bench.refused(locks.encryptwallet(call, "pass"))).code == -15
        assert len(wallet.descriptors) == 16
        assert wallet.owner(bench.script_of(before)) is not None
        assert wallet.owner(bench.script_of(wallet.new_address("bech32", ""))).descriptor > 8
        for work, code in [
            (locks.walletpassphrase(call, "wrong", 1), -14),
            (locks.walletpassphrase(call, "", 1), -8),
            (locks.walletpassphrase(call, "pass", -1), -8),
            (locks.walletpassphrasechange(call, "wrong", "y"), -14),
            (locks.walletpassphrasechange(call, "pass", ""), -8),
        ]:
            assert (await bench.refused(work)).code == code
        await locks.walletpassphrase(call, "pass", 1000)
        info = await commands(bench).getwalletinfo(call)
        assert info["unlocked_until"] == bench.NOW + 1000
        locks.walletlock(call)
        assert (await commands(bench).getwalletinfo(call))["unlocked_until"] == 0
        await locks.walletpassphrasechange(call, "pass", "new")
        await bench.restart()
        locks = EncryptCommands(bench.wallets)
        assert (await bench.refused(locks.walletpassphrase(call, "pass", 5))).code == -14
        await locks.walletpassphrase(call, "new", 5)

    on_bench(scenario)


def test_a_wrong_passphrase_with_a_null_character_is_told_of_it(on_bench):
    async def scenario(bench):
        await bench.wallet(passphrase="pass")
        locks, call = EncryptCommands(bench.wallets), bench.call()
        error = await bench.refused(locks.walletpassphrase(call, "pass\0word", 1))
        assert error.code == -14
        assert (
            "wallet passphrase entered is incorrect. It contains a null character (ie - a zero byte)." in error.message
        )
        assert error.message.endswith("please set a new passphrase to avoid this issue in the future.")
        error = await bench.refused(locks.walletpassphrasechange(call, "pass\0word", "new"))
        assert error.message.startswith("Error: The old wallet passphrase entered is incorrect.")
        assert error.message.endswith("but not including — the first null character.")

    on_bench(scenario)


def test_a_wallet_locks_itself_when_its_time_is_up(on_bench):
    async def scenario(bench):
        wallet = await bench.wallet(passphrase="pass")
        assert wallet.keys.is_locked
        await EncryptCommands(bench.wallets).walletpassphrase(bench.call(), "pass", 0)
        assert not wallet.keys.is_locked
        await asyncio.sleep(0)  # its timer is due at once
        await asyncio.sleep(0)
        assert wallet.keys.is_locked
        assert wallet.relock.until == 0

    on_bench(scenario)


def test_a_watch_only_wallet_has_nothing_to_encrypt(on_bench):
    async def scenario(bench):
        await bench.wallet(disable_private_keys=True)
        error = await bench.refused(EncryptCommands(bench.wallets).encryptwallet(bench.call(), "pass"))
        assert (error.code, error.message) == (
            -16,
            "Error: wallet does not contain private keys, nothing to encrypt.",
        )

    on_bench(scenario)


def test_hd_keys_and_a_descriptor_made_of_one(on_bench):
    async def scenario(bench):
        wallet = await bench.wallet()
        keys = HdKeyCommands(bench.wallets)
        (key,) = keys.gethdkeys(bench.call())
        assert key["has_private"]
        assert "xprv" not in key
        assert len(key["descriptors"]) == 8
        (private,) = keys.gethdkeys(bench.call(), {"private": True, "active_only": True})
        assert private["xprv"] == wallet.keys.secret(key["xpub"])
        error = await bench.refused(keys.createwalletdescriptor(bench.call(), "bech32"))
        assert (error.code, error.message) == (-4, "Descriptor already exists")
        error = await bench.refused(keys.createwalletdescriptor(bench.call(), "nonsense"))
        assert (error.code, error.message) == (-5, "Unknown address type 'nonsense'")
        error = await bench.refused(keys.createwalletdescriptor(bench.call(), "bech32", {"hdkey": "x"}))
        assert error.message == "Unable to parse HD key. Please provide a valid xpub"
        await bench.wallet("empty", blank=True)
        error = await bench.refused(keys.createwalletdescriptor(bench.call("empty"), "bech32"))
        assert error.message.startswith("Unable to determine which HD key to use from active descriptors.")
        error = await bench.refused(keys.createwalletdescriptor(bench.call("empty"), "bech32", {"hdkey": key["xpub"]}))
        assert error.message == f"Private key for {key['xpub']} is not known"

    on_bench(scenario)


def test_a_missing_descriptor_is_made_from_the_key_that_all_others_use(on_bench):
    async def scenario(bench):
        source = await bench.wallet("source")
        from bitcoind_mp.wallet.rpc.backup import BackupCommands

        backup = BackupCommands(bench.wallets)
        await bench.wallet("w", blank=True)
        listed = backup.listdescriptors(bench.call("source"), True)["descriptors"]
        one = next(each for each in listed if each["desc"].startswith("wpkh") and not each["internal"])
        request = {"desc": one["desc"], "timestamp": "now", "active": True, "range": [0, 4]}
        assert (await backup.importdescriptors(bench.call(), [request]))[0]["success"]
        made = await HdKeyCommands(bench.wallets).createwalletdescriptor(bench.call(), "bech32m", {"internal": True})
        expected = next(
            each
            for each in backup.listdescriptors(bench.call("source"))["descriptors"]
            if each["desc"].startswith("tr") and each["internal"]
        )
        assert made == {"descs": [expected["desc"]]}
        assert bench.loaded().addresses.change("bech32m").address == source.addresses.change("bech32m").address

    on_bench(scenario)
