"""Addresses, labels, imports and exports."""

import asyncio

import pytest
from btclib.b58 import wif_from_prv_key
from btclib_wallet.bip32 import xpub_from_xprv

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.wallet.addressing.descriptor_text import read
from bitcoind_mp.wallet.rpc.addresses import AddressCommands
from bitcoind_mp.wallet.rpc.backup import BackupCommands
from bitcoind_mp.wallet.rpc.shelf import ShelfCommands
from bitcoind_mp.wallet.rpc.signmessage import MessageCommands

XPRV = "tprv8ZgxMBicQKsPdBNKLoqKtUH2KdteQ3DGBFyUggY8i5Qi1v6km9UHTcEr8z9Ca3gGkvTDQY55k717u8WkF4JTpPN2dvmSnsC8VihU8YeVv3y"
WIF = wif_from_prv_key(7, "regtest")


def checked(text):
    from btclib_wallet.descriptors import add_checksum

    return add_checksum(text)


SINGLE, RANGED = checked(f"wpkh({WIF})"), checked(f"wpkh({XPRV}/*)")


@pytest.mark.parametrize("kind", ["legacy", "p2sh-segwit", "bech32", "bech32m"])
def test_an_address_of_each_type_is_ours_and_says_where_it_comes_from(on_bench, kind):
    async def scenario(bench):
        await bench.wallet()
        commands, call = AddressCommands(bench.wallets), bench.call()
        address = commands.getnewaddress(call, "home", kind)
        info = commands.getaddressinfo(call, address)
        assert info["ismine"]
        assert info["solvable"]
        assert not info["ischange"]
        assert info["labels"] == ["home"]
        purpose = {"legacy": 44, "p2sh-segwit": 49, "bech32": 84, "bech32m": 86}[kind]
        assert info["hdkeypath"] == f"m/{purpose}h/1h/0h/0/0"
        change = commands.getaddressinfo(call, commands.getrawchangeaddress(call, kind))
        assert change["ischange"]
        assert change["hdkeypath"] == f"m/{purpose}h/1h/0h/1/0"

    on_bench(scenario)


def test_no_address_is_given_twice_over_restarts(on_bench):
    async def scenario(bench):
        await bench.wallet()
        seen = []
        for _ in range(3):
            commands = AddressCommands(bench.wallets)
            for kind in ("legacy", "p2sh-segwit", "bech32", "bech32m"):
                seen.append(commands.getnewaddress(bench.call(), "", kind))
                seen.append(commands.getrawchangeaddress(bench.call(), kind))
            await bench.restart()
        assert len(set(seen)) == len(seen) == 24

    on_bench(scenario)


def test_labels(on_bench):
    async def scenario(bench):
        await bench.wallet()
        commands, call = AddressCommands(bench.wallets), bench.call()
        ours = commands.getnewaddress(call, "b")
        theirs = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
        commands.setlabel(call, theirs, "a")
        assert commands.listlabels(call) == ["a", "b"]
        assert (commands.listlabels(call, "send"), commands.listlabels(call, "receive")) == (["a"], ["b"])
        assert commands.getaddressesbylabel(call, "a") == {theirs: {"purpose": "send"}}
        commands.setlabel(call, ours, "c")
        assert commands.getaddressesbylabel(call, "c") == {ours: {"purpose": "receive"}}
        change = commands.getrawchangeaddress(call)
        commands.setlabel(call, change, "kept")
        assert commands.getaddressesbylabel(call, "kept") == {change: {"purpose": "receive"}}
        for work, code, message in [
            (lambda: commands.getaddressesbylabel(call, "b"), -11, "No addresses with label b"),
            (lambda: commands.setlabel(call, ours, "*"), -11, "Invalid label name"),
            (lambda: commands.getnewaddress(call, "*"), -11, "Invalid label name"),
            (lambda: commands.setlabel(call, "x", "y"), -5, "Invalid Bitcoin address"),
            (lambda: commands.getnewaddress(call, "", "x"), -5, "Unknown address type 'x'"),
            (
                lambda: commands.listlabels(call, "x"),
                -8,
                "Invalid 'purpose' argument, must be a known purpose string, typically 'send', or 'receive'.",
            ),
        ]:
            with pytest.raises(Exception) as refusal:
                work()
            assert (refusal.value.code, refusal.value.message) == (code, message)

    on_bench(scenario)


def test_a_wallet_without_descriptors_gives_no_address(on_bench):
    async def scenario(bench):
        await bench.wallet(blank=True)
        commands = AddressCommands(bench.wallets)
        for work in (commands.getnewaddress, commands.getrawchangeaddress):
            with pytest.raises(Exception) as refusal:
                work(bench.call())
            assert (refusal.value.code, refusal.value.message) == (-4, "Error: This wallet has no available keys")

    on_bench(scenario)


def test_the_look_ahead_grows_on_demand_and_to_its_default(on_bench):
    async def scenario(bench):
        wallet = await bench.wallet()
        commands = AddressCommands(bench.wallets)
        await commands.keypoolrefill(bench.call(), 20)
        assert wallet.addresses.size() == 160
        await commands.keypoolrefill(bench.call())
        assert wallet.addresses.size() == 160
        with pytest.raises(RpcError, match="Invalid parameter, expected valid size") as refusal:
            await commands.keypoolrefill(bench.call(), -1)
        assert refusal.value.code == -8

    on_bench(scenario)


def test_others_have_their_turn_while_the_look_ahead_grows(on_bench):
    async def scenario(bench):
        wallet = await bench.wallet()
        growing = asyncio.ensure_future(AddressCommands(bench.wallets).keypoolrefill(bench.call(), 200))
        sizes = set()
        while not growing.done():
            sizes.add(wallet.addresses.size())
            await asyncio.sleep(0)
        assert len(sizes) > 3
        assert wallet.addresses.size() == 8 * 200

    on_bench(scenario)


async def imported(bench, name="w", **request):
    commands = BackupCommands(bench.wallets)
    (result,) = await commands.importdescriptors(bench.call(name), [{"timestamp": "now", **request}])
    return result


def test_imports_that_core_takes(on_bench):
    async def scenario(bench):
        wallet = await bench.wallet(blank=True)
        assert await imported(bench, desc=checked(f"wpkh({XPRV}/0/<0;1>/*)"), active=True, range=9) == {"success": True}
        assert wallet.descriptors.active("bech32", False) is not None
        assert wallet.descriptors.active("bech32", True) is not None
        result = await imported(bench, desc=checked(f"wsh(and_v(v:pk({XPRV}/5/*),older(10)))"))
        assert result == {"success": True, "warnings": ["Range not given, using default keypool range"]}
        result = await imported(bench, desc=checked(f"wsh(multi(2,{WIF},{XPRV}/7/*))"), range=[2, 4])
        assert result["success"]
        result = await imported(bench, desc=checked(f"pkh({WIF})"), label="single")
        assert result == {"success": True}
        assert "single" in wallet.book.labels()
        public = bench.loaded().descriptors.find(checked(f"pkh({WIF})"))
        assert public is None  # it is kept without its private key
        exported = BackupCommands(bench.wallets).listdescriptors(bench.call(), True)["descriptors"]
        assert checked(f"pkh({WIF})") in [one["desc"] for one in exported]
        assert [one["desc"] for one in exported] == sorted(one["desc"] for one in exported)
        watch = await bench.wallet("watch", disable_private_keys=True)
        assert (await imported(bench, "watch", desc=checked("raw(6a)"), label="odd"))["success"]
        assert (await imported(bench, "watch", desc=checked("addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)")))[
            "success"
        ]
        assert len(watch.descriptors) == 2

    on_bench(scenario)


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        ({"desc": f"wpkh({WIF})"}, -5, "Missing checksum"),
        ({}, -8, "Descriptor not found."),
        (
            {"desc": checked(f"wpkh({WIF})"), "range": 5},
            -8,
            "Range should not be specified for an un-ranged descriptor",
        ),
        ({"desc": checked(f"wpkh({WIF})"), "active": True}, -8, "Active descriptors must be ranged"),
        (
            {"desc": checked(f"wpkh({XPRV}/*)"), "range": 5, "label": "x"},
            -8,
            "Ranged descriptors should not have a label",
        ),
        (
            {"desc": checked(f"wpkh({WIF})"), "label": "x", "internal": True},
            -8,
            "Internal addresses should not have a label",
        ),
        (
            {"desc": checked(f"wpkh({XPRV}/*)"), "range": [3, 1]},
            -8,
            "Range specified as [begin,end] must not have begin after end",
        ),
        ({"desc": checked(f"wpkh({XPRV}/*)"), "range": 5, "next_index": 9}, -8, "next_index is out of range"),
        (
            {"desc": checked(f"wpkh({XPRV}/<0;1>/*)"), "range": 5, "internal": True},
            -5,
            "Cannot have multipath descriptor while also specifying 'internal'",
        ),
        (
            {"desc": checked(f"combo({XPRV}/*)"), "range": 5, "active": True},
            -4,
            "Combo descriptors cannot be set to active",
        ),
        (
            {"desc": checked("raw(6a)")},
            -4,
            "Cannot import descriptor without private keys to a wallet with private keys enabled",
        ),
        (
            {"desc": checked(f"wpkh({xpub_from_xprv(XPRV)}/0h/*)"), "range": 5},
            -4,
            "Cannot expand descriptor. Probably because of hardened derivations without private keys provided",
        ),
        ({"desc": checked(f"wpkh({WIF})"), "label": "*"}, -11, "Invalid label name"),
    ],
)
def test_imports_that_core_refuses(on_bench, request_, code, message):
    async def scenario(bench):
        wallet = await bench.wallet(blank=True)
        result = await imported(bench, **request_)
        assert result == {"success": False, "error": {"code": code, "message": message}}
        assert len(wallet.descriptors) == 0
        assert len(wallet.keys) == 0

    on_bench(scenario)


def test_a_refused_import_tells_its_warnings_too(on_bench):
    async def scenario(bench):
        await bench.wallet(blank=True)
        result = await imported(bench, desc=checked(f"wpkh({XPRV}/*)"), label="x")
        assert list(result) == ["success", "error", "warnings"]
        assert result["warnings"] == ["Range not given, using default keypool range"]

    on_bench(scenario)


def test_private_keys_don_t_enter_a_watch_only_wallet(on_bench):
    async def scenario(bench):
        await bench.wallet(disable_private_keys=True)
        result = await imported(bench, desc=checked(f"wpkh({WIF})"))
        assert result["error"]["message"] == "Cannot import private keys to a wallet with private keys disabled"

    on_bench(scenario)


def test_a_descriptor_imported_again_widens_and_never_narrows(on_bench):
    async def scenario(bench):
        wallet = await bench.wallet(blank=True)
        text = checked(f"wpkh({XPRV}/0h/*)")
        assert (await imported(bench, desc=text, range=[0, 9]))["success"]
        assert (await imported(bench, desc=checked(f"wpkh({XPRV}/0'/*)"), range=[0, 20], next_index=3))["success"]
        (found,) = wallet.descriptors
        assert (found.range_end, found.next_index) == (21, 3)
        result = await imported(bench, desc=text, range=[5, 9])
        assert result["error"]["message"] == (
            f"Could not add descriptor '{text}': new range must include current range = [0,20]"
        )

    on_bench(scenario)


def test_one_bad_request_doesn_t_spoil_the_others_but_a_missing_time_spoils_all(on_bench):
    async def scenario(bench):
        await bench.wallet(blank=True)
        commands = BackupCommands(bench.wallets)
        good = {"desc": checked(f"wpkh({WIF})"), "timestamp": 0}
        bad = {"desc": "nonsense", "timestamp": 0}
        results = await commands.importdescriptors(bench.call(), [bad, good, bad])
        assert [one["success"] for one in results] == [False, True, False]
        error = await bench.refused(commands.importdescriptors(bench.call(), [{"desc": "x"}]))
        assert (error.code, error.message) == (-3, "Missing required timestamp field for key")
        error = await bench.refused(commands.importdescriptors(bench.call(), [{"desc": "x", "timestamp": "then"}]))
        assert error.message == 'Expected number or "now" timestamp value for key. got type string'

    on_bench(scenario)


def test_hardened_addresses_come_from_the_look_ahead_while_locked(on_bench):
    async def scenario(bench):
        from bitcoind_mp.wallet.rpc.encrypt import EncryptCommands

        wallet = await bench.wallet(blank=True)
        assert (await imported(bench, desc=checked(f"wpkh({XPRV}/9h/*h)"), range=[0, 1], active=True))["success"]
        await EncryptCommands(bench.wallets).encryptwallet(bench.call(), "pass")
        await bench.restart()
        wallet = bench.loaded()
        addresses = {wallet.new_address("bech32", "") for _ in range(5)}
        assert len(addresses) == 5
        error = None
        try:
            wallet.new_address("bech32", "")
        except Exception as caught:  # noqa: BLE001
            error = caught
        assert error.code == -12
        await EncryptCommands(bench.wallets).walletpassphrase(bench.call(), "pass", 100)
        assert wallet.new_address("bech32", "") not in addresses

    on_bench(scenario)


def test_a_wallet_whose_time_runs_out_in_a_rescan_stays_unlocked_until_its_end(on_bench):
    """Or it would miss payments to hardened addresses past the look-ahead."""

    async def scenario(bench):
        from bitcoind_mp.wallet.rpc.encrypt import EncryptCommands

        desc = checked(f"wpkh({XPRV}/9h/*h)")
        (described,) = read(desc, "regtest")
        paid = range(0, 4 * bench.options.keypool, bench.options.keypool - 1)
        for index in paid:
            (script,) = described.parsed.script_pub_keys(index, described.secrets.by_public)
            bench.chain.mine(bench.make_tx([(b"\7" * 32, index)], [(5, script.script)]))
        wallet = await bench.wallet(passphrase="pass", blank=True)
        locks = EncryptCommands(bench.wallets)
        await locks.walletpassphrase(bench.call(), "pass", 100)
        follow, begun = bench.chain.follow, asyncio.Event()

        async def slow_follow(*arguments):
            begun.set()
            await asyncio.sleep(0.05)
            return await follow(*arguments)

        bench.chain.follow = slow_follow
        importing = asyncio.ensure_future(imported(bench, desc=desc, range=[0, 1], timestamp=0, active=True))
        await begun.wait()
        wallet.relock.start(0)
        with pytest.raises(RpcError, match="before locking the wallet"):
            locks.walletlock(bench.call())
        assert (await importing)["success"]
        assert wallet.keys.is_locked
        assert wallet.relock.until == 0
        assert wallet.balance().trusted == 5 * len(paid)

    on_bench(scenario)


def test_a_message_is_signed_with_an_address_of_ours_alone(on_bench):
    async def scenario(bench):
        from btclib.ecc import bms

        wallet = await bench.wallet()
        commands, call = MessageCommands(bench.wallets), bench.call()
        address = wallet.new_address("legacy", "")
        signature = await commands.signmessage(call, address, "hello")
        assert bms.verify(b"hello", address, signature)
        for target, code, message in [
            ("x", -5, "Invalid address"),
            (wallet.new_address("bech32", ""), -3, "Address does not refer to key"),
            ("mnKaRDRzBZYZWTVpS7SWgFBnNuqjLXYbZY", -4, "Private key not available"),
        ]:
            with pytest.raises(Exception) as refusal:
                await commands.signmessage(call, target, "hello")
            assert (refusal.value.code, refusal.value.message) == (code, message)

    on_bench(scenario)


def test_a_backup_restores_to_the_same_wallet(on_bench):
    async def scenario(bench):
        wallet = await bench.wallet()
        address = wallet.new_address("bech32", "kept")
        bench.chain.mine(bench.make_tx([(b"\7" * 32, 0)], [(5, bench.script_of(address))]))
        await bench.chain.deliver()
        commands, call = BackupCommands(bench.wallets), bench.call()
        target = bench.directory / "backup"
        await commands.backupwallet(call, str(target))
        wallet.new_address("bech32", "after")
        bench.chain.mine(bench.make_tx([(b"\7" * 32, 1)], [(7, bench.script_of(address))]))
        assert await ShelfCommands(bench.wallets).restorewallet("again", str(target)) == {"name": "again"}
        again = bench.loaded("again")
        assert again.book.labels() == {"kept"}
        assert again.balance().trusted == 12
        for arguments, code, words in [
            (("again", str(target)), -36, "Failed to restore wallet. Database file exists in"),
            (("", str(target)), -8, "Wallet name cannot be empty"),
            (("third", str(bench.directory / "none")), -8, "Backup file does not exist"),
            (("third", ""), -8, "Backup file does not exist"),
        ]:
            error = await bench.refused(ShelfCommands(bench.wallets).restorewallet(*arguments))
            assert error.code == code
            assert words in error.message
        left = bench.options.wallets_dir / "third" / "wallet.sqlite-wal"
        left.parent.mkdir()
        left.write_bytes(b"what a wallet that was removed after a kill leaves")
        error = await bench.refused(ShelfCommands(bench.wallets).restorewallet("third", str(target)))
        assert (error.code, left.exists()) == (-36, True)
        assert f"'{left}' is left of another file" in error.message
        left.unlink()
        left.parent.rmdir()
        (bench.directory / "bad").write_bytes(b"nonsense")
        error = await bench.refused(ShelfCommands(bench.wallets).restorewallet("third", str(bench.directory / "bad")))
        assert error.code == -18
        assert not (bench.options.wallets_dir / "third").exists()
        for inside in (bench.options.wallets_dir, wallet.ledger.path.parent):
            error = await bench.refused(commands.backupwallet(call, str(inside)))
            assert error.code == -4
        assert not (bench.options.wallets_dir / "wallet.sqlite").exists()
        error = await bench.refused(commands.backupwallet(call, str(wallet.ledger.path)))
        assert (error.code, error.message[:29]) == (-4, "Error: Wallet backup failed! ")

    on_bench(scenario)


def test_a_backup_is_put_where_a_file_is_named_and_no_other_wallets_is(on_bench, monkeypatch):
    async def scenario(bench):
        await bench.wallet("w")
        await bench.wallet("other")
        commands = BackupCommands(bench.wallets)
        shelf = bench.directory / "shelf"
        shelf.mkdir()
        monkeypatch.chdir(shelf)  # where an empty name would lead
        for nowhere in ("", ".", str(shelf), f"{shelf}/", f"{shelf}/new/"):
            error = await bench.refused(commands.backupwallet(bench.call("w"), nowhere))
            assert (error.code, error.message[:29]) == (-4, "Error: Wallet backup failed! ")
        assert list(shelf.iterdir()) == []
        await commands.backupwallet(bench.call("w"), "copy")
        await commands.backupwallet(bench.call("w"), str(shelf / "copy"))
        theirs = (shelf / "copy").read_bytes()
        error = await bench.refused(commands.backupwallet(bench.call("other"), str(shelf / "copy")))
        assert error.code == -4
        assert error.message.startswith(f"Error: Wallet backup failed! {shelf / 'copy'}: That has keys")
        assert (shelf / "copy").read_bytes() == theirs

    on_bench(scenario)
