"""Moving a wallet's keys to the signer: all kinds of keys, what stops it, and what is left behind."""

from decimal import Decimal

import pytest
from btclib.b58 import wif_from_prv_key
from btclib_wallet.descriptors import add_checksum
from office import COIN, PASSPHRASE, RATE, Office, check, payee

from bitcoind_mp.interfaces.errors import RpcCode
from bitcoind_mp.interfaces.signer import Receipt, Signer
from bitcoind_mp.render.address import encode_address
from bitcoind_mp.signer.policy import Policy
from bitcoind_mp.wallet.coins import OutputType
from bitcoind_mp.wallet.keyring.signer_keys import SignerKeys
from bitcoind_mp.wallet.rpc.backup import BackupCommands
from bitcoind_mp.wallet.rpc.encrypt import EncryptCommands
from bitcoind_mp.wallet.rpc.migrate import MigrationCommands, unit_of
from bitcoind_mp.wallet.rpc.signmessage import MessageCommands
from bitcoind_mp.wallet.rpc.spend import PaymentCommands
from bitcoind_mp.wallet.wallets.creation import Recipe
from bitcoind_mp.wallet.wallets.moving import Step

XPRV = "tprv8ZgxMBicQKsPdBNKLoqKtUH2KdteQ3DGBFyUggY8i5Qi1v6km9UHTcEr8z9Ca3gGkvTDQY55k717u8WkF4JTpPN2dvmSnsC8VihU8YeVv3y"
WIFS = [wif_from_prv_key(number, "regtest") for number in (11, 12, 13)]


@pytest.fixture
def with_keys(on_bench, tmp_path):
    """Run a scenario, an async function of a bench with an encrypted wallet ``w`` that holds its own keys and has a
    coin on each type of address, and of an office."""

    def run(scenario, **policy) -> None:
        async def prepared(bench) -> None:
            office = Office(tmp_path / "signer", Policy(**policy))
            bench.signer = office.signer
            bench.wallets = bench.manager()
            wallet, _ = await bench.wallets.create("w", Recipe(), None)
            for number, type in enumerate(OutputType):
                pay(bench, number + 1, bench.receive(wallet, type))
            await bench.chain.deliver()
            await EncryptCommands(bench.wallets).encryptwallet(bench.call(), PASSPHRASE)
            try:
                await scenario(bench, office)
            finally:
                if office.vault is not None:
                    office.go()

        on_bench(prepared, signer_process=True)

    return run


def pay(bench, number: int, script: bytes) -> None:
    bench.chain.mine(bench.make_tx([(bytes([number]) * 32, 0)], [(COIN, script)]))


async def unlock(bench, passphrase: str = PASSPHRASE) -> None:
    await EncryptCommands(bench.wallets).walletpassphrase(bench.call(), passphrase, 600)


async def moved(bench, *passphrases: str):
    return await MigrationCommands(bench.wallets).migratetosigner(bench.call(), *(passphrases or (PASSPHRASE,)))


async def spend_all(bench) -> None:
    """Pay with every coin there is."""
    amount = bench.loaded().balance().trusted
    address = payee()
    commands = PaymentCommands(bench.wallets)
    await commands.sendtoaddress(
        bench.call(), address, Decimal(amount) / COIN, subtractfeefromamount=True, fee_rate=RATE
    )
    tx = check(bench, bench.chain.received[-1])
    assert sum(out.value for out in tx.vout) > amount - 100_000


def test_the_keys_are_the_signer_s_from_then_on(with_keys, tmp_path):
    """Those of the seed that the wallet was encrypted with, and of the one before, to which its coins were paid."""

    async def scenario(bench, office):
        wallet = bench.loaded()
        await unlock(bench)
        private = BackupCommands(bench.wallets).listdescriptors(bench.call(), True)["descriptors"]
        listed = BackupCommands(bench.wallets).listdescriptors(bench.call())
        sealed = [secret for secret, _ in wallet.keys._secrets.values()]
        assert len(sealed) == 2
        result = await moved(bench, PASSPHRASE, "another")
        assert wallet is bench.loaded()
        assert isinstance(wallet.keys, SignerKeys)
        assert wallet.keys.is_locked
        assert BackupCommands(bench.wallets).listdescriptors(bench.call()) == listed
        assert (await bench.refused(unlock(bench))).code == RpcCode.WALLET_PASSPHRASE_INCORRECT
        await unlock(bench, "another")
        await spend_all(bench)
        assert [event["event"] for event in office.events()][:1] == ["moved in"]
        await bench.wallets.unload("w")
        own = tmp_path / "wallets" / "w"
        content = (own / "wallet.sqlite").read_bytes()
        assert not any(secret in content for secret in sealed)
        assert list(own.glob("*-wal")) == []
        copy = own / result["backup"].rpartition("/")[2]
        assert all(secret in copy.read_bytes() for secret in sealed)
        # the copy is a wallet as it was before
        restored, _ = await bench.wallets.restore("before", copy, None)
        assert not restored.keys.elsewhere
        assert await restored.keys.unlock(PASSPHRASE)
        # and the owner can have them back from the signer
        keys, secrets = await office.vault.export(result["keyset"], "another")
        assert {text for one in private for text in [one["desc"]]} == {
            row["desc"] for row in await office.exported(result["keyset"], "another")
        }
        assert len(keys.publics) == len(secrets.by_public) == 2

    with_keys(scenario)


def test_what_was_exported_makes_the_wallet_anew(with_keys):
    async def scenario(bench, office):
        result = await moved(bench)
        rows = await office.exported(result["keyset"], PASSPHRASE)
        again, _ = await bench.wallets.create("again", Recipe(blank=True), None)
        answers = await BackupCommands(bench.wallets).importdescriptors(bench.call("again"), rows)
        assert all(answer["success"] for answer in answers)
        assert {one.text for one in again.descriptors} == {one.text for one in bench.loaded().descriptors}
        for type in OutputType:
            assert again.descriptors.active(type, True) is not None

    with_keys(scenario)


def test_keys_of_all_kinds(with_keys):
    async def scenario(bench, office):
        wallet = bench.loaded()
        await unlock(bench)
        tpub = next(public for public in wallet.keys.publics if public.startswith("tpub"))
        texts = [
            f"wpkh({WIFS[0]})",
            f"pkh({WIFS[1]})",
            f"tr({tpub},pk({WIFS[2]}))",
            f"wsh(multi(1,{XPRV}/1/*,{tpub}/2/*))",
            f"sh(wsh(pk({XPRV}/3)))",
            f"combo({XPRV}/4)",
        ]
        requests = [{"desc": add_checksum(text), "timestamp": 0} for text in texts]
        answers = await BackupCommands(bench.wallets).importdescriptors(bench.call(), requests)
        assert all(answer["success"] for answer in answers), answers
        scripts = []
        for number, text in enumerate(texts):
            found = list(wallet.descriptors)[-len(texts) + number]
            for index, script in enumerate(found.scripts(0)):
                if text.startswith("combo") and script[:1] != b"\x00":
                    continue
                scripts.append(script)
                pay(bench, 100 + 10 * number + index, script)
        await bench.chain.deliver()
        assert wallet.balance().trusted >= (4 + len(texts)) * COIN
        await moved(bench)
        await unlock(bench)
        address = encode_address(scripts[1], "regtest")
        assert address is not None
        assert await MessageCommands(bench.wallets).signmessage(bench.call(), address, "hello")
        error = await bench.refused(
            MessageCommands(bench.wallets).signmessage(bench.call(), encode_address(scripts[0], "regtest"), "x")
        )
        assert error.code == RpcCode.TYPE_ERROR
        await spend_all(bench)
        await bench.restart()
        assert bench.loaded().keys.elsewhere

    with_keys(scenario)


def test_what_is_refused(with_keys, tmp_path):
    async def scenario(bench, office):
        commands = MigrationCommands(bench.wallets)
        assert (await bench.refused(moved(bench, "wrong"))).code == RpcCode.WALLET_PASSPHRASE_INCORRECT
        await bench.wallets.create("open", Recipe(), None)
        error = await bench.refused(commands.migratetosigner(bench.call("open"), PASSPHRASE))
        assert error.code == RpcCode.WALLET_WRONG_ENC_STATE
        assert "Encrypt it first" in error.message
        await bench.wallets.create("watching", Recipe(disable_private_keys=True), None)
        error = await bench.refused(commands.migratetosigner(bench.call("watching"), PASSPHRASE))
        assert "nothing to move" in error.message
        await bench.wallets.create("hard", Recipe(blank=True, passphrase=PASSPHRASE), None)
        call = bench.call("hard")
        await EncryptCommands(bench.wallets).walletpassphrase(call, PASSPHRASE, 60)
        request = {"desc": add_checksum(f"wpkh({XPRV}/*h)"), "timestamp": "now", "range": [0, 3]}
        assert (await BackupCommands(bench.wallets).importdescriptors(call, [request]))[0]["success"]
        assert "hardened wildcard" in (await bench.refused(commands.migratetosigner(call, PASSPHRASE))).message
        office.go()
        assert (await bench.refused(moved(bench))).code == RpcCode.CLIENT_NOT_CONNECTED
        assert not bench.loaded().keys.elsewhere
        office.come()
        await moved(bench)
        assert "already" in (await bench.refused(moved(bench))).message

    with_keys(scenario)


class Liar(Signer):
    """A signer that answers ``take`` with what the test makes of it."""

    def __init__(self, office: Office, change) -> None:
        self._office = office
        self._change = change

    def __getattribute__(self, name: str):
        if name in ("take", "_office", "_change"):
            return object.__getattribute__(self, name)
        return getattr(self._office.signer, name)

    async def take(self, keys, label, secrets, passphrase, challenge) -> Receipt:
        return self._change(await self._office.signer.take(keys, label, secrets, passphrase, challenge))

    async def make(self, label, passphrase): ...
    async def describe(self, id): ...
    async def introduce(self, id, wallet): ...
    async def unlock(self, id, passphrase, seconds): ...
    async def lock(self, id): ...
    async def change_passphrase(self, id, old, new): ...
    async def sign(self, id, psbt): ...
    async def sign_message(self, id, descriptor, index, message): ...


@pytest.mark.parametrize("lie", ["proof", "proofs", "descriptor", "id", "garbage"])
def test_nothing_is_given_up_to_a_signer_that_can_t_show_it(with_keys, lie):
    from dataclasses import replace

    changes = {
        "proof": lambda receipt: Receipt(receipt.keys, [receipt.proofs[1], receipt.proofs[0]]),
        "proofs": lambda receipt: Receipt(receipt.keys, []),
        "garbage": lambda receipt: Receipt(receipt.keys, ["00", "zz"]),
        "id": lambda receipt: Receipt(replace(receipt.keys, id="00" * 16), receipt.proofs),
        "descriptor": lambda receipt: Receipt(
            replace(receipt.keys, descriptors=receipt.keys.descriptors[1:]), receipt.proofs
        ),
    }

    async def scenario(bench, office):
        bench.wallets._signer = Liar(office, changes[lie])
        assert "could not show" in (await bench.refused(moved(bench))).message
        wallet = bench.loaded()
        assert not wallet.keys.elsewhere
        await unlock(bench)
        await spend_all(bench)

    with_keys(scenario)


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("last", list(Step))
def test_cut_short_after_each_step_it_can_be_repeated(with_keys, last):
    """What was on disk at that moment is all that there is afterwards, on both sides. (By a real kill:
    tests/process/test_signer_moving.py.)"""

    async def scenario(bench, office):
        def reached(step: Step) -> None:
            if step is last:
                raise Killed

        bench.wallets.on_step = reached
        with pytest.raises(Killed):
            await moved(bench)
        office.go()
        office.come()
        await bench.restart()
        given_up = last in (Step.GIVEN_UP, Step.WIPED)
        assert bench.loaded().keys.elsewhere is given_up
        if not given_up:
            await moved(bench)
        assert bench.loaded().ledger.fact("signer_wipe_due") is None
        assert len(office.vault.keysets()) == 1
        await unlock(bench)
        await spend_all(bench)

    with_keys(scenario)


def test_which_process_is_to_be_started_anew():
    assert [unit_of(only) for only in ("", "own", "cold storage")] == [
        "wallet",
        "wallet@own",
        "wallet@cold\\x20storage",
    ]
