"""What the signer signs, what it refuses, what it keeps on record."""

import asyncio
import json
import sqlite3

import pytest
from btclib.ecc import bms
from spends import COIN, STRANGER, Address, Coin, changed, signed_inputs, spend

from bitcoind_mp.interfaces.errors import RpcCode
from bitcoind_mp.render.address import encode_address
from bitcoind_mp.signer.policy import Confirm
from bitcoind_mp.signer.store import Store, StoreError
from bitcoind_mp.signing.psbt import finalize
from bitcoind_mp.signing.psbt_reader import decode_psbt
from bitcoind_mp.signing.seeds import SHAPES

FEE = 1000


def test_every_type_of_address_is_signed_for(on_desk):
    async def scenario(desk):
        keys = await desk.keys()
        coins = [Coin.to(Address(keys, type, internal, 7)) for type in SHAPES for internal in (False, True)]
        signed = await desk.vault.sign(keys.id, spend(coins, [(STRANGER, 8 * COIN - FEE)]))
        psbt = decode_psbt(signed)
        assert signed_inputs(signed) == list(range(8))
        assert finalize(psbt)

    on_desk(scenario)


def test_others_inputs_are_left_alone(on_desk):
    async def scenario(desk):
        keys, theirs = await desk.keys(), await desk.keys("other")
        coins = [Coin.to(Address(theirs)), Coin.to(Address(keys))]
        text = spend(coins, [(STRANGER, 2 * COIN - FEE)])
        assert signed_inputs(await desk.vault.sign(keys.id, text)) == [1]
        assert await desk.vault.sign(keys.id, spend(coins[:1], [(STRANGER, COIN)])) == spend(
            coins[:1], [(STRANGER, COIN)]
        )
        signed = [event for event in desk.events() if event["event"] == "signed"]
        assert [(event["inputs"], event["spends"]) for event in signed] == [([1], "1.00000000")]

    on_desk(scenario)


def test_a_locked_set_signs_nothing(on_desk):
    async def scenario(desk):
        keys = await desk.vault.make("w", desk.PASSPHRASE)
        text = spend([Coin.to(Address(keys))], [(STRANGER, COIN - FEE)])
        assert (await desk.refused(desk.vault.sign(keys.id, text))).code == RpcCode.WALLET_UNLOCK_NEEDED
        assert (await desk.refused(desk.vault.sign_message(keys.id, keys.descriptors[0].text, 0, "x"))).code == -13
        assert not await desk.vault.unlock(keys.id, "wrong", 60)
        assert await desk.vault.unlock(keys.id, desk.PASSPHRASE, 60)
        await desk.vault.sign(keys.id, text)
        await desk.vault.lock(keys.id)
        assert (await desk.refused(desk.vault.sign(keys.id, text))).code == RpcCode.WALLET_UNLOCK_NEEDED
        await desk.vault.unlock(keys.id, desk.PASSPHRASE, 60)
        desk.restart()
        assert (await desk.refused(desk.vault.sign(keys.id, text))).code == RpcCode.WALLET_UNLOCK_NEEDED
        assert (await desk.refused(desk.vault.sign("00" * 16, text))).code == RpcCode.WALLET_ERROR

    on_desk(scenario)


def test_it_locks_itself(on_desk):
    async def scenario(desk):
        keys = await desk.vault.make("w", desk.PASSPHRASE)
        locked = asyncio.Event()
        await desk.vault.unlock(keys.id, desk.PASSPHRASE, 0)
        desk.vault.on_change = locked.set
        await asyncio.wait_for(locked.wait(), 10)
        assert [one["unlocked"] for one in desk.vault.keysets()] == [False]

    on_desk(scenario)


def test_no_secret_lies_open(on_desk):
    async def scenario(desk):
        keys = await desk.keys()
        xprv = (await desk.vault.export(keys.id, desk.PASSPHRASE))[1].secret(keys.publics[0])
        await desk.vault.sign(keys.id, spend([Coin.to(Address(keys))], [(STRANGER, COIN - FEE)]))
        for file in desk.directory.iterdir():
            content = file.read_bytes()
            assert xprv.encode() not in content
            assert desk.PASSPHRASE.encode() not in content
            assert file.stat().st_mode & 0o077 == 0

    on_desk(scenario)


# --- amounts that are lied about ------------------------------------------------------------------------------


def test_an_amount_without_its_transaction_is_refused(on_desk):
    async def scenario(desk):
        keys = await desk.keys()
        coin = Coin.to(Address(keys))

        def lie(psbt):
            psbt.inputs[0].non_witness_utxo = None
            psbt.inputs[0].witness_utxo = coin.parent.vout[0]

        error = await desk.refused(desk.vault.sign(keys.id, changed(spend([coin], [(STRANGER, 5)]), lie)))
        assert error.code == RpcCode.VERIFY_ERROR
        assert "non_witness_utxo" in error.message

        def other(psbt):
            psbt.inputs[0].non_witness_utxo = Coin.to(Address(keys), 10).parent

        error = await desk.refused(desk.vault.sign(keys.id, changed(spend([coin], [(STRANGER, 5)]), other)))
        assert error.code in (RpcCode.VERIFY_ERROR, RpcCode.DESERIALIZATION_ERROR)
        assert not [event for event in desk.events() if event["event"] == "signed"]

    on_desk(scenario)


@pytest.mark.parametrize("hash_type", [0x02, 0x03, 0x81, 0x83])
@pytest.mark.parametrize("type", ["bech32", "bech32m"])
def test_a_signature_that_binds_less_than_the_whole_is_refused(on_desk, hash_type, type):
    async def scenario(desk):
        keys = await desk.keys()

        def ask(psbt):
            psbt.inputs[0].sig_hash_type = hash_type

        text = changed(spend([Coin.to(Address(keys, type))], [(STRANGER, 5)]), ask)
        error = await desk.refused(desk.vault.sign(keys.id, text))
        assert error.code == RpcCode.WALLET_ERROR
        assert "whole transactions only" in error.message

    on_desk(scenario)


def test_change_is_what_derives_from_our_own_descriptor(on_desk):
    async def scenario(desk):
        keys = await desk.keys()
        mine = Address(keys, "bech32", True, 3)

        async def sent(change) -> str:
            text = spend([Coin.to(Address(keys))], [(STRANGER, COIN // 10), (mine, 9 * COIN // 10 - FEE)])
            await desk.vault.sign(keys.id, changed(text, change) if change else text)
            return desk.events()[-1]["spends"]

        def claim_strangers(psbt):
            mine.tell(psbt.outputs[0])

        def untold(psbt):
            psbt.outputs[1].hd_key_paths = {}

        assert await sent(None) == "0.10001000"
        assert await sent(claim_strangers) == "0.10001000"
        assert await sent(untold) == "1.00000000"

    on_desk(scenario)


def test_change_that_nobody_would_find_is_spent(on_desk):
    async def scenario(desk):
        keys = await desk.keys()
        far = Address(keys, "bech32", True, 2_000_000_000)
        await desk.vault.sign(keys.id, spend([Coin.to(Address(keys))], [(far, COIN - FEE)]))
        assert desk.events()[-1]["spends"] == "1.00000000"

    on_desk(scenario)


def test_one_change_is_not_set_off_against_each_input(on_desk):
    """Sign input by input, showing the others as strangers': the same change would make each look like nothing."""

    async def scenario(desk):
        keys = await desk.keys()
        coins = [Coin.to(Address(keys, index=index)) for index in (0, 1)]
        outputs = [(STRANGER, COIN - FEE), (Address(keys, "bech32", True, 0), COIN)]
        first = await desk.vault.sign(keys.id, spend(coins, outputs, told=[0]))
        assert signed_inputs(first) == [0]
        error = await desk.refused(desk.vault.sign(keys.id, spend(coins, outputs, told=[1])))
        assert "it spends 1.00000000" in error.message
        desk.restart()
        await desk.vault.unlock(keys.id, desk.PASSPHRASE, 60)
        assert (
            "it spends 1.00000000"
            in (await desk.refused(desk.vault.sign(keys.id, spend(coins, outputs, told=[1])))).message
        )

    on_desk(scenario, max_tx=COIN // 2)


# --- the policy ----------------------------------------------------------------------------------------------


def test_what_a_transaction_may_spend(on_desk):
    async def scenario(desk):
        keys = await desk.keys()
        coin = Coin.to(Address(keys))
        change = Address(keys, "bech32m", True)
        error = await desk.refused(desk.vault.sign(keys.id, spend([coin], [(STRANGER, COIN // 2), (change, 1)])))
        assert error.code == RpcCode.WALLET_ERROR
        assert "it spends 0.99999999, more than -signermaxtx=0.50001000" in error.message
        await desk.vault.sign(keys.id, spend([coin], [(STRANGER, COIN // 2), (change, COIN // 2 - FEE)]))
        assert [event["event"] for event in desk.events()[-2:]] == ["refused", "signed"]

    on_desk(scenario, max_tx=COIN // 2 + FEE)


def test_what_may_be_spent_in_a_day(on_desk):
    async def scenario(desk):
        keys, other = await desk.keys(), await desk.keys("other")

        def pay(who=keys) -> str:
            return spend([Coin.to(Address(who))], [(STRANGER, COIN)])

        first = pay()
        await desk.vault.sign(keys.id, first)
        await desk.vault.sign(keys.id, first)  # the same transaction is counted once
        assert desk.vault.spent_today() == COIN
        await desk.vault.sign(other.id, pay(other))
        error = await desk.refused(desk.vault.sign(keys.id, pay()))
        assert "with it 3.00000000 would be spent in 24 hours, more than -signermaxday=2.50000000" in error.message
        from dataclasses import replace

        desk.reading = replace(desk.reading, wall=desk.reading.wall + 10 * 86_400)  # the clock was set on
        assert (await desk.refused(desk.vault.sign(keys.id, pay()))).code == RpcCode.WALLET_ERROR
        desk.restart()
        await desk.vault.unlock(keys.id, desk.PASSPHRASE, 60)
        assert (await desk.refused(desk.vault.sign(keys.id, pay()))).code == RpcCode.WALLET_ERROR
        desk.reading = replace(desk.reading, since_boot=desk.reading.since_boot + 86_400)
        assert desk.vault.spent_today() == 0
        await desk.vault.sign(keys.id, pay())

    on_desk(scenario, max_day=5 * COIN // 2)


def test_where_it_may_go(on_desk):
    async def scenario(desk):
        keys = await desk.keys()
        allowed = spend([Coin.to(Address(keys))], [(STRANGER, COIN // 2), (Address(keys, "bech32", True), COIN // 3)])
        await desk.vault.sign(keys.id, allowed)
        elsewhere = b"\x00\x14" + b"\x22" * 20
        text = spend([Coin.to(Address(keys))], [(STRANGER, 5), (elsewhere, 5), (b"\x6a\x01\x05", 0)])
        error = await desk.refused(desk.vault.sign(keys.id, text))
        address = encode_address(elsewhere, "regtest")
        assert f"it pays to {address}, 6a0105, which no -signerallow names" in error.message

    on_desk(scenario, allowed={STRANGER: "stranger"})


async def _until_asked(desk) -> str:
    await desk.until_asked(1)
    return next(iter(desk.requests)).id


@pytest.mark.parametrize("yes", [True, False])
def test_the_owner_has_the_last_word(on_desk, yes):
    async def scenario(desk):
        keys = await desk.keys()
        text = spend([Coin.to(Address(keys))], [(STRANGER, COIN - FEE)])
        signing = asyncio.ensure_future(desk.vault.sign(keys.id, text))
        id = await _until_asked(desk)
        (request,) = desk.requests
        assert request.facts["pays"] == [{"to": encode_address(STRANGER, "regtest"), "amount": "0.99999000"}]
        assert request.facts["because"] == ["it spends 1.00000000, more than -signermaxtx=0.50000000"]
        desk.vault.answer(id, yes)
        if yes:
            assert signed_inputs(await signing) == [0]
        else:
            assert "rejected" in (await desk.refused(signing)).message
        assert desk.events()[-1]["event"] == ("signed" if yes else "rejected")
        assert not len(desk.requests)
        with pytest.raises(Exception, match="No request"):
            desk.vault.answer(id, True)

    on_desk(scenario, max_tx=COIN // 2, confirm=Confirm.BEYOND)


def test_nobody_answers(on_desk):
    async def scenario(desk):
        keys = await desk.keys()
        error = await desk.refused(desk.vault.sign(keys.id, spend([Coin.to(Address(keys))], [(STRANGER, 5)])))
        assert "the owner did not confirm it" in error.message
        assert not len(desk.requests)

    on_desk(scenario, confirm=Confirm.ALWAYS, patience=0.01)


def test_two_halves_of_one_transaction_are_not_confirmed_as_nothing(on_desk):
    async def scenario(desk):
        keys = await desk.keys()
        coins = [Coin.to(Address(keys, index=index)) for index in (0, 1)]
        outputs = [(STRANGER, COIN - FEE), (Address(keys, "bech32", True, 0), COIN)]
        signing = [asyncio.ensure_future(desk.vault.sign(keys.id, spend(coins, outputs, told=[n]))) for n in (0, 1)]
        await desk.until_asked(2)
        asked = list(desk.requests)
        assert [request.facts["spends"] for request in asked] == ["0.00000000", "0.00000000"]
        for request in asked:
            desk.vault.answer(request.id, True)
        done, _ = await asyncio.wait(signing, return_when=asyncio.FIRST_COMPLETED)
        assert len(done) == 1
        await _until_asked(desk)
        (again,) = desk.requests
        assert again.facts["spends"] == "1.00000000"
        desk.vault.answer(again.id, False)
        (left,) = [task for task in signing if task not in done]
        assert "rejected" in (await desk.refused(left)).message

    on_desk(scenario, confirm=Confirm.ALWAYS)


def test_who_goes_away_asks_no_longer(on_desk):
    async def scenario(desk):
        keys = await desk.keys()
        text = spend([Coin.to(Address(keys))], [(STRANGER, 5)])
        signing = asyncio.ensure_future(desk.vault.sign(keys.id, text))
        await _until_asked(desk)
        signing.cancel()
        await asyncio.wait([signing])
        assert not len(desk.requests)
        assert [event["event"] for event in desk.events()] == ["made", "unlocked"]

    on_desk(scenario, confirm=Confirm.ALWAYS)


# --- on record ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fails", ["log", "store"])
def test_nothing_is_signed_that_is_not_on_record(on_desk, fails):
    async def scenario(desk):
        keys = await desk.keys()
        text = spend([Coin.to(Address(keys))], [(STRANGER, COIN - FEE)])
        with desk.out_of_room(fails):
            error = await desk.refused(desk.vault.sign(keys.id, text))
            assert error.code == RpcCode.DATABASE_ERROR
            assert "does nothing that isn't on record" in error.message
        assert desk.vault.spent_today() == 0
        last = desk.events()[-1]
        assert (last["event"], last.get("of")) == (("unlocked", None) if fails == "log" else ("failed", last["n"] - 1))
        assert signed_inputs(await desk.vault.sign(keys.id, text)) == [0]
        assert desk.vault.spent_today() == COIN
        desk.restart()

    on_desk(scenario)


def test_messages_are_signed_and_on_record(on_desk):
    async def scenario(desk):
        keys = await desk.keys()
        signature = await desk.vault.sign_message(keys.id, keys.descriptors[4].text, 5, "hello")
        address = encode_address(Address(keys, "legacy", True, 5).script, "regtest")
        assert bms.verify(b"hello", address, signature)
        assert desk.events()[-1]["event"] == "signed message"
        assert desk.events()[-1]["message"] == "hello"

    on_desk(scenario)


# --- keys in and out -----------------------------------------------------------------------------------------


def test_another_passphrase(on_desk):
    async def scenario(desk):
        keys = await desk.keys()
        assert not await desk.vault.change_passphrase(keys.id, "wrong", "new")
        assert await desk.vault.change_passphrase(keys.id, desk.PASSPHRASE, "new")
        desk.restart()
        assert not await desk.vault.unlock(keys.id, desk.PASSPHRASE, 60)
        assert await desk.vault.unlock(keys.id, "new", 60)
        for work in (desk.vault.change_passphrase(keys.id, "new", ""), desk.vault.make("x", "")):
            assert (await desk.refused(work)).message == "passphrase cannot be empty"

    on_desk(scenario)


def test_what_was_exported_comes_back(on_desk, tmp_path):
    async def scenario(desk):
        keys = await desk.keys()
        assert (await desk.refused(desk.vault.export(keys.id, "wrong"))).code == RpcCode.WALLET_PASSPHRASE_INCORRECT
        xprv = (await desk.vault.export(keys.id, desk.PASSPHRASE))[1].secret(keys.publics[0])
        others = await desk.vault.make("other", desk.PASSPHRASE)
        other = (await desk.vault.export(others.id, desk.PASSPHRASE))[1].secret(others.publics[0])
        assert await desk.vault.bring_back(keys.id, "w", xprv, "mistyped") == keys
        assert await desk.vault.bring_back(keys.id, "w", xprv, desk.PASSPHRASE) == keys
        assert not await desk.vault.unlock(keys.id, "mistyped", 60)
        # without a wallet's name no name changes its meaning, the empty one neither
        assert await desk.vault.bring_back(keys.id, "", xprv, desk.PASSPHRASE) == keys
        assert (desk.vault.names.of(""), desk.vault.names.of("w")) == (None, keys.id)
        assert [one["wallet"] for one in desk.vault.keysets()] == ["w", "other"]
        desk.close()
        for file in tmp_path.iterdir():
            file.unlink()
        desk.start()
        for id, secret in [
            (keys.id, "nonsense"),
            (keys.id, keys.publics[0]),
            ("short", xprv),
            (keys.id, "xprv" + xprv[4:]),
            (keys.id, other),
        ]:
            assert (await desk.refused(desk.vault.bring_back(id, "w", secret, "new"))).code in (-5, -8)
        assert await desk.vault.bring_back(keys.id, "", xprv, "new") == keys
        assert (desk.vault.names.of(""), desk.store.names()) == (None, {})
        assert await desk.vault.unlock(keys.id, "new", 60)
        text = spend([Coin.to(Address(keys))], [(STRANGER, 5)])
        assert signed_inputs(await desk.vault.sign(keys.id, text)) == [0]

    on_desk(scenario)


def test_a_store_with_an_index_that_lacks_rows_is_refused(tmp_path):
    """As where a copy was put over one in use: whole as a database, and payments of the day are missing."""
    path = tmp_path / "keys.sqlite"
    Store(path).close()
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO names VALUES ('w', 'id')")
    connection.execute("CREATE INDEX whole ON names (keyset)")
    connection.execute("CREATE INDEX empty ON names (keyset) WHERE keyset = ''")
    connection.execute("PRAGMA writable_schema=ON")
    (whole, empty) = (
        connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
        for name in ("whole", "empty")
    )
    for name, page in (("whole", empty), ("empty", whole)):
        connection.execute("UPDATE sqlite_master SET rootpage = ? WHERE name = ?", (*page, name))
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="is corrupt"):
        Store(path)


def test_what_is_no_store_is_refused(tmp_path):
    path = tmp_path / "keys.sqlite"
    path.write_bytes(b"nonsense" * 100)
    with pytest.raises(StoreError, match="can't be used"):
        Store(path)
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE other (x)")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="no key store"):
        Store(path)


def test_a_store_of_the_first_version_is_taken_over(on_desk, tmp_path):
    """It knew no names but those that the keys were made under, of which the newest counts."""

    async def scenario(desk):
        await desk.vault.make("w", desk.PASSPHRASE)
        newest = await desk.vault.make("other", desk.PASSPHRASE)
        desk.close()
        connection = sqlite3.connect(tmp_path / "keys.sqlite")
        connection.execute("DROP TABLE names")
        connection.execute("DROP INDEX inputs_outpoint")
        connection.execute("UPDATE keysets SET label = 'w', created = created + 1 WHERE label = 'other'")
        for id, text in connection.execute("SELECT id, public FROM keysets").fetchall():
            public = json.loads(text)
            old = {"id": id, "xpub": public["publics"][0], "descriptors": public["descriptors"]}
            for one in old["descriptors"]:
                del one["active"]
            connection.execute("UPDATE keysets SET public = ? WHERE id = ?", (json.dumps(old), id))
        connection.execute("PRAGMA user_version=1")
        connection.commit()
        connection.close()
        desk.start()
        assert desk.vault.names.of("w") == newest.id
        desk.restart()
        assert desk.vault.names.of("w") == newest.id
        assert await desk.vault.describe(newest.id) == newest

    on_desk(scenario)
