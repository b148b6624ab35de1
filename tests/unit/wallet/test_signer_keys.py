"""A wallet whose keys the signer holds: the commands of a wallet that holds its own, and no key in its process."""

import asyncio
import contextlib
from decimal import Decimal

import pytest
from btclib.tx import Tx
from office import COIN, PASSPHRASE, RATE, Office, check, payee

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.render.address import encode_address
from bitcoind_mp.signer.policy import Policy
from bitcoind_mp.signing.psbt_reader import decode_psbt
from bitcoind_mp.wallet.coins import OutputType
from bitcoind_mp.wallet.keyring.signer_keys import SignerKeys
from bitcoind_mp.wallet.rpc.backup import BackupCommands
from bitcoind_mp.wallet.rpc.encrypt import EncryptCommands
from bitcoind_mp.wallet.rpc.hdkeys import HdKeyCommands
from bitcoind_mp.wallet.rpc.psbt import PsbtCommands
from bitcoind_mp.wallet.rpc.rawsign import SigningCommands
from bitcoind_mp.wallet.rpc.send import SendCommands
from bitcoind_mp.wallet.rpc.sendall import SendAllCommands
from bitcoind_mp.wallet.rpc.signmessage import MessageCommands
from bitcoind_mp.wallet.rpc.spend import PaymentCommands
from bitcoind_mp.wallet.rpc.wallet import WalletCommands


@pytest.fixture
def in_office(on_bench, tmp_path):
    """Run a scenario, an async function of a bench with a wallet ``w`` of the signer's, unlocked and with 50 coins of
    one bitcoin on each type of address, and of the office."""

    def run(scenario, **policy) -> None:
        async def prepared(bench) -> None:
            office = Office(tmp_path / "signer", Policy(**policy))
            bench.signer = office.signer
            bench.wallets = bench.manager()
            wallet = await bench.wallet(passphrase=PASSPHRASE)
            assert isinstance(wallet.keys, SignerKeys)
            for number, type in enumerate(OutputType):
                script = bench.receive(wallet, type)
                bench.chain.mine(bench.make_tx([(bytes([number + 1]) * 32, 0)], [(COIN, script)]))
            await bench.chain.deliver()
            await EncryptCommands(bench.wallets).walletpassphrase(bench.call(), PASSPHRASE, 600)
            try:
                await scenario(bench, office)
            finally:
                with contextlib.suppress(AssertionError):
                    office.go()

        on_bench(prepared, signer_process=True)

    return run


def test_it_answers_as_a_wallet_with_its_own_keys(in_office):
    async def scenario(bench, office):
        plain, _ = await bench.wallets.create("plain", _recipe(), None)
        wallets = bench.wallets
        ours = _shapes(BackupCommands(wallets).listdescriptors(bench.call()))
        assert ours == _shapes(BackupCommands(wallets).listdescriptors(bench.call("plain")))
        (keys,) = HdKeyCommands(wallets).gethdkeys(bench.call())
        assert keys["has_private"] is True
        assert len(keys["descriptors"]) == 8
        info = WalletCommands(wallets).getwalletinfo
        ours, theirs = await info(bench.call()), await info(bench.call("plain"))
        assert ours["external_signer"] is True
        assert {key for key in ours if ours[key] != theirs.get(key)} - {"txcount", "lastprocessedblock"} <= {
            *("walletname", "external_signer", "unlocked_until", "birthtime", "keypoolsize")
        }
        assert plain.private_keys_enabled

    in_office(scenario)


def _recipe():
    from bitcoind_mp.wallet.wallets.creation import Recipe

    return Recipe()


def _shapes(listed):
    import re

    texts = [row["desc"] for row in listed["descriptors"]]
    return sorted(re.sub(r"\[[0-9a-f]{8}|tpub\w+|#.*", "", text) for text in texts)


def test_whoever_loads_it_where_the_keys_are_not_is_told(in_office):
    """It could be paid, and couldn't pay."""

    async def scenario(bench, office):
        async def loaded():
            await bench.wallets.unload("w")
            wallet, warnings = await bench.wallets.load("w")
            return wallet.keys, warnings

        assert (await loaded())[1] == []
        office.go()
        keys, (warning,) = await loaded()
        assert warning.startswith("Nothing can be signed for this wallet: ")
        assert keys.problem in warning

    in_office(scenario)


def test_keys_of_another_wallet_by_its_name_are_not_taken_for_its_own(in_office):
    async def scenario(bench, office):
        keys = bench.wallets.get("w").keys
        other = await bench.signer.make("other", PASSPHRASE)
        keys._publics = other.publics
        with pytest.raises(RpcError, match="are not this wallet's"):
            await keys.introduce("w")

    in_office(scenario)


def test_payments(in_office):
    async def scenario(bench, office):
        call = bench.call()
        spend, send = PaymentCommands(bench.wallets), SendCommands(bench.wallets)
        await spend.sendtoaddress(call, payee(), Decimal("0.5"), fee_rate=RATE)
        check(bench, bench.chain.received[-1])
        result = await send.send(call, {payee(): Decimal("1.5")}, None, None, RATE)
        assert result["complete"] is True
        check(bench, bench.chain.received[-1])
        result = await send.send(call, {payee(): Decimal("0.1")}, None, None, RATE, {"add_to_wallet": False})
        check(bench, bytes.fromhex(result["hex"]))
        result = await SendAllCommands(bench.wallets).sendall(call, [payee()], fee_rate=RATE)
        assert result["complete"] is True
        check(bench, bench.chain.received[-1])
        assert len(bench.chain.received) == 3

    in_office(scenario)


def test_each_payment_is_signed_once(in_office):
    """Coin selection makes more than one transaction, with and without grouping: only what is sent may be signed."""

    async def scenario(bench, office):
        await PaymentCommands(bench.wallets).sendtoaddress(bench.call(), payee(), Decimal("0.5"), fee_rate=RATE)
        fee = 4 * COIN - COIN // 2 - bench.loaded().balance().trusted - bench.loaded().balance().pending
        assert office.vault.spent_today() == COIN // 2 + fee

    in_office(scenario)


def test_what_the_policy_forbids_is_not_sent(in_office):
    async def scenario(bench, office):
        wallet = bench.loaded()
        spend = PaymentCommands(bench.wallets)
        before = wallet.addresses.size(True)
        error = await bench.refused(spend.sendtoaddress(bench.call(), payee(), Decimal("0.5"), fee_rate=RATE))
        assert error.code == RpcCode.WALLET_ERROR
        assert error.message.startswith("The signer's policy forbids it: it spends 0.5000")
        assert (len(wallet.history), wallet.addresses.size(True)) == (4, before)
        assert not bench.chain.received
        await spend.sendtoaddress(bench.call(), payee(), Decimal("0.25"), fee_rate=RATE)
        check(bench, bench.chain.received[-1])

    in_office(scenario, max_tx=COIN // 3)


def test_raw_transactions_and_psbts(in_office):
    async def scenario(bench, office):
        wallet, call = bench.loaded(), bench.call()
        coins = sorted(wallet.coins(), key=lambda coin: coin.outpoint)
        raw = bench.make_tx([(coin.outpoint.txid, coin.outpoint.n) for coin in coins], [(4 * COIN - 2000, b"\x51")])
        signing = SigningCommands(bench.wallets)
        result = await signing.signrawtransactionwithwallet(call, raw.hex())
        assert result == {"hex": result["hex"], "complete": True}
        check(bench, bytes.fromhex(result["hex"]))
        # a taproot coin could not be signed beside one that nobody knows: its hash is over all that is spent (BIP341)
        coin = next(coin for coin in coins if coin.script[:2] != b"\x51\x20")
        strange = bench.make_tx([(coin.outpoint.txid, coin.outpoint.n), (b"\x77" * 32, 0)], [(5, b"\x51")])
        result = await signing.signrawtransactionwithwallet(call, strange.hex())
        assert result["complete"] is False
        assert [one["txid"] for one in result["errors"]] == ["77" * 32]
        error = await bench.refused(signing.signrawtransactionwithwallet(call, raw.hex(), None, "SINGLE"))
        assert "whole transactions only" in error.message

        from bitcoind_mp.signing.psbt_writer import encode_psbt
        from bitcoind_mp.wallet.spend.psbt import blank_psbt

        text = encode_psbt(blank_psbt(Tx.parse(raw, check_validity=False)))
        psbts = PsbtCommands(bench.wallets)
        half = await psbts.walletprocesspsbt(call, text, finalize=False)
        assert all(one.partial_sigs or one.taproot_key_spend_signature for one in decode_psbt(half["psbt"]).inputs)
        unsigned = await psbts.walletprocesspsbt(call, text, sign=False)
        assert unsigned["complete"] is False
        whole = await psbts.walletprocesspsbt(call, half["psbt"])
        assert whole["complete"] is True
        check(bench, bytes.fromhex(whole["hex"]))

    in_office(scenario)


def test_messages(in_office):
    async def scenario(bench, office):
        from btclib.ecc import bms

        wallet = bench.loaded()
        commands = MessageCommands(bench.wallets)
        for address in (wallet.new_address("legacy", ""), wallet.addresses.change(OutputType.LEGACY)):
            text = address if isinstance(address, str) else encode_address(address.script, "regtest")
            assert bms.verify(b"hello", text, await commands.signmessage(bench.call(), text, "hello"))
        stranger = await bench.refused(commands.signmessage(bench.call(), "mnKaRDRzBZYZWTVpS7SWgFBnNuqjLXYbZY", "x"))
        assert (stranger.code, stranger.message) == (-4, "Private key not available")

    in_office(scenario)


def test_locking(in_office):
    async def scenario(bench, office):
        wallet, call = bench.loaded(), bench.call()
        commands, spend = EncryptCommands(bench.wallets), PaymentCommands(bench.wallets)

        def pay():
            return spend.sendtoaddress(call, payee(), Decimal("0.5"), fee_rate=RATE)

        assert (await bench.refused(commands.walletpassphrase(call, "wrong", 60))).code == -14
        commands.walletlock(call)
        await asyncio.gather(*wallet.keys._locking)
        assert [one["unlocked"] for one in office.vault.keysets()] == [False]
        assert (await bench.refused(pay())).code == -13
        await commands.walletpassphrasechange(call, PASSPHRASE, "new")
        assert (await bench.refused(commands.walletpassphrase(call, PASSPHRASE, 60))).code == -14
        await commands.walletpassphrase(call, "new", 60)
        office.vault.lock_all()  # by the owner, behind the wallet's back
        assert (await bench.refused(pay())).code == -13
        assert wallet.keys.is_locked
        await commands.walletpassphrase(call, "new", 60)
        await pay()
        check(bench, bench.chain.received[-1])
        assert (await bench.refused(commands.encryptwallet(call, "x"))).code == -15

    in_office(scenario)


def test_the_signer_comes_and_goes(in_office):
    async def scenario(bench, office):
        wallet, call = bench.loaded(), bench.call()
        spend = PaymentCommands(bench.wallets)
        office.go()
        error = await bench.refused(spend.sendtoaddress(call, payee(), Decimal("0.5"), fee_rate=RATE))
        assert error.code == RpcCode.CLIENT_NOT_CONNECTED
        bench.wallets.signer_lost()
        assert wallet.keys.is_locked
        assert wallet.relock.until == 0
        assert wallet.new_address("bech32", "")
        office.come()
        assert (await bench.refused(spend.sendtoaddress(call, payee(), Decimal("0.5"), fee_rate=RATE))).code == -13
        await EncryptCommands(bench.wallets).walletpassphrase(call, PASSPHRASE, 60)
        await spend.sendtoaddress(call, payee(), Decimal("0.5"), fee_rate=RATE)
        await bench.restart()
        assert bench.loaded().keys.is_locked
        assert len(bench.loaded().history) == 5

    in_office(scenario)


def test_no_private_key_comes_in_or_out_by_the_wallet(in_office, tmp_path):
    async def scenario(bench, office):
        wallet, call = bench.loaded(), bench.call()
        keys, secrets = await office.vault.export(wallet.keys.id, PASSPHRASE)
        xprv = secrets.secret(keys.publics[0])
        backup, hd = BackupCommands(bench.wallets), HdKeyCommands(bench.wallets)
        for work in (
            lambda: backup.listdescriptors(call, True),
            lambda: hd.gethdkeys(call, {"private": True}),
        ):
            with pytest.raises(RpcError, match=f"exportsignerkeys {wallet.keys.id}"):
                work()
        error = await bench.refused(hd.createwalletdescriptor(call, "bech32"))
        assert error.message == "Descriptor already exists"
        private = BackupCommands(bench.wallets)
        (result,) = await private.importdescriptors(
            call, [{"desc": _with_checksum(f"wpkh({xprv}/0/*)"), "timestamp": "now"}]
        )
        assert result["success"] is False
        assert "takes no others" in result["error"]["message"]
        answer = await backup.backupwallet(call, str(tmp_path / "copy"))
        assert "holds no private keys" in answer["warning"]
        await bench.wallets.unload("w")
        for file in (tmp_path / "copy", *(tmp_path / "wallets" / "w").iterdir()):
            content = file.read_bytes()
            assert xprv.encode() not in content
            assert PASSPHRASE.encode() not in content
        restored, _ = await bench.wallets.restore("again", tmp_path / "copy", None)
        assert restored.keys.is_locked
        await EncryptCommands(bench.wallets).walletpassphrase(bench.call("again"), PASSPHRASE, 60)
        assert not restored.keys.is_locked

    in_office(scenario)


def _with_checksum(text: str) -> str:
    from btclib_wallet.descriptors import add_checksum

    return add_checksum(text)


def test_wallets_that_hold_their_own_say_so(in_office):
    async def scenario(bench, office):
        for name, recipe in [("open", {}), ("blank", {"blank": True, "passphrase": "x"})]:
            from bitcoind_mp.wallet.wallets.creation import Recipe

            wallet, warnings = await bench.wallets.create(name, Recipe(**recipe), None)
            assert not wallet.keys.elsewhere
            assert "in its own file, not in the signer" in warnings[-1]
        _, warnings = await bench.wallets.create("watching", Recipe(disable_private_keys=True), None)
        assert warnings == []

    in_office(scenario)


def test_no_wallet_is_made_without_the_signer(in_office, tmp_path):
    async def scenario(bench, office):
        from bitcoind_mp.wallet.wallets.creation import Recipe

        office.go()
        error = await bench.refused(bench.wallets.create("second", Recipe(passphrase="x"), None))
        assert error.code == RpcCode.CLIENT_NOT_CONNECTED
        assert not (tmp_path / "wallets" / "second").exists()

    in_office(scenario)
