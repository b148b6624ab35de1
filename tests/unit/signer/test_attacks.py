"""What somebody tries who has the wallet's process: to spend more than the policy allows, or off the record."""

import asyncio
import base64
from dataclasses import replace

import pytest
from spends import COIN, STRANGER, Address, Coin, changed, signed_inputs, spend

from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.sandbox.confinement import Protections
from bitcoind_mp.signer.service import SignerHealth
from bitcoind_mp.signing.psbt_reader import decode_psbt

FEE = 1000
DAY = 86_400


def pay(keys, *coins, amount=None, told=None):
    """A PSBT that pays a stranger, change to us."""
    total = sum(coin.amount for coin in coins)
    change = [] if amount is None else [(Address(keys, "bech32", True, 0), total - amount)]
    return spend(list(coins), [(STRANGER, (total if amount is None else amount) - FEE), *change], told=told)


def coins(keys, count, amount=COIN):
    return [Coin.to(Address(keys, index=index), amount) for index in range(count)]


# --- the day's limit -------------------------------------------------------------------------------------------


def test_many_small_payments_are_one_day_s(on_desk):
    async def scenario(desk):
        keys = await desk.keys()
        for coin in coins(keys, 20, COIN // 20):
            await desk.vault.sign(keys.id, pay(keys, coin))
        assert desk.vault.spent_today() == COIN
        error = await desk.refused(desk.vault.sign(keys.id, pay(keys, Coin.to(Address(keys), 2000))))
        assert "with it 1.00002000 would be spent in 24 hours" in error.message

    on_desk(scenario, max_day=COIN)


def test_a_raised_fee_is_no_second_payment(on_desk):
    async def scenario(desk):
        keys = await desk.keys()
        one, two = coins(keys, 2)
        await desk.vault.sign(keys.id, pay(keys, one, amount=COIN // 2))
        await desk.vault.sign(keys.id, pay(keys, one, amount=COIN // 2 + 5000))
        assert desk.vault.spent_today() == COIN // 2 + 5000
        await desk.vault.sign(keys.id, pay(keys, one, two, amount=COIN // 2 + 9000))
        assert desk.vault.spent_today() == COIN // 2 + 9000
        await desk.vault.sign(keys.id, pay(keys, one, two, amount=1000 + FEE))  # to pay less undoes nothing
        assert desk.vault.spent_today() == COIN // 2 + 9000
        desk.restart()
        assert desk.vault.spent_today() == COIN // 2 + 9000

    on_desk(scenario, max_day=COIN * 6 // 10)


def test_replacements_are_no_way_round_the_limit(on_desk):
    """S spends a, T a and b, U b alone: S and U confirm together, whatever T would have replaced."""

    async def scenario(desk):
        keys = await desk.keys()
        a, b = coins(keys, 2)
        await desk.vault.sign(keys.id, pay(keys, a))
        await desk.vault.sign(keys.id, pay(keys, a, b, amount=COIN))
        assert desk.vault.spent_today() == COIN
        error = await desk.refused(desk.vault.sign(keys.id, pay(keys, b)))
        assert "with it 2.00000000 would be spent" in error.message
        # the other way round: T takes the place of both, and counts for both
        c, d = coins(keys, 2, COIN // 4)
        await desk.vault.sign(keys.id, pay(keys, c))
        await desk.vault.sign(keys.id, pay(keys, d))
        assert desk.vault.spent_today() == COIN * 3 // 2
        await desk.vault.sign(keys.id, pay(keys, c, d, amount=COIN // 4))
        assert desk.vault.spent_today() == COIN * 3 // 2
        # what was replaced can be asked for again, and counts again: never less
        await desk.vault.sign(keys.id, pay(keys, c))
        assert desk.vault.spent_today() >= COIN * 3 // 2

    on_desk(scenario, max_day=COIN * 7 // 4)


def test_a_replacement_counts_from_when_it_was_signed(on_desk):
    """Else what it replaced would drop out of the day, and with it what can still be sent today."""

    async def scenario(desk):
        keys = await desk.keys()
        one, two = coins(keys, 2)
        await desk.vault.sign(keys.id, pay(keys, one))
        desk.reading = replace(desk.reading, since_boot=desk.reading.since_boot + DAY - 60)
        await desk.vault.sign(keys.id, pay(keys, one, amount=COIN - 5000))
        desk.reading = replace(desk.reading, since_boot=desk.reading.since_boot + 120)
        assert desk.vault.spent_today() == COIN
        assert (await desk.refused(desk.vault.sign(keys.id, pay(keys, two)))).code == RpcCode.WALLET_ERROR
        desk.reading = replace(desk.reading, since_boot=desk.reading.since_boot + DAY)
        await desk.vault.sign(keys.id, pay(keys, two))

    on_desk(scenario, max_day=COIN)


def test_another_wallet_s_payment_is_never_taken_for_a_replacement(on_desk):
    async def scenario(desk):
        keys, other = await desk.keys(), await desk.keys("other")
        mine, theirs = Coin.to(Address(keys)), Coin.to(Address(other))
        both = spend([mine, theirs], [(STRANGER, 2 * COIN - FEE)])
        await desk.vault.sign(keys.id, both)
        await desk.vault.sign(other.id, both)
        assert desk.vault.spent_today() == 2 * COIN
        await desk.vault.sign(other.id, spend([theirs], [(STRANGER, COIN - FEE)]))
        assert desk.vault.spent_today() == 2 * COIN

    on_desk(scenario)


@pytest.mark.parametrize("step", [-10 * DAY, -1, 0])
def test_a_clock_that_is_set_back_makes_no_day(on_desk, step):
    async def scenario(desk):
        keys = await desk.keys()
        one, two = coins(keys, 2)
        await desk.vault.sign(keys.id, pay(keys, one))
        for boot in ("boot", "another boot"):
            since_boot = desk.reading.since_boot if boot == "boot" else 5
            desk.reading = replace(desk.reading, wall=desk.reading.wall + step, boot=boot, since_boot=since_boot)
            assert (await desk.refused(desk.vault.sign(keys.id, pay(keys, two)))).code == RpcCode.WALLET_ERROR
            desk.restart()
            await desk.vault.unlock(keys.id, desk.PASSPHRASE, 600)
            assert (await desk.refused(desk.vault.sign(keys.id, pay(keys, two)))).code == RpcCode.WALLET_ERROR

    on_desk(scenario, max_day=COIN)


# --- odd transactions ------------------------------------------------------------------------------------------


def test_a_coin_that_is_named_twice(on_desk):
    async def scenario(desk):
        keys = await desk.keys()
        coin = Coin.to(Address(keys))
        outputs = [(STRANGER, COIN // 2), (Address(keys, "bech32", True, 0), COIN // 2 - FEE)]
        try:
            text = spend([coin, coin], outputs)
            await desk.vault.sign(keys.id, text)
        except Exception as error:  # noqa: BLE001 (refused by whom doesn't matter)
            assert "duplicate" in str(error).lower() or getattr(error, "code", 0) < 0
        assert desk.vault.spent_today() <= COIN, "a coin is no more than itself"
        assert desk.vault.spent_today() in (0, COIN // 2 + FEE)

    on_desk(scenario)


def test_amounts_beyond_all_money_set_off_nothing_that_confirms(on_desk):
    """Change of more than was spent: no such transaction is valid, and a payment beside it still has its place."""

    async def scenario(desk):
        keys = await desk.keys()
        huge = [(STRANGER, COIN // 2), (Address(keys, "bech32", True, 0), 20_000_000 * COIN)]
        elsewhere = b"\x00\x14" + b"\x22" * 20
        error = await desk.refused(desk.vault.sign(keys.id, spend(coins(keys, 1), [*huge, (elsewhere, 1)])))
        assert "which no -signerallow names" in error.message
        signed = decode_psbt(await desk.vault.sign(keys.id, spend(coins(keys, 1), huge)))
        assert sum(out.value for out in signed.tx.vout) > COIN, "every signature binds these very outputs"

    on_desk(scenario, allowed={STRANGER: "stranger"})


NOBODY_S_KEY = bytes.fromhex("50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0")


def test_taproot_leaves_that_are_not_the_address_s_own_are_not_signed_for(on_desk):
    """A leaf with our own key in it, under another key and root: what is signed is the address's own key path, or
    nothing."""

    async def scenario(desk):
        keys = await desk.keys()
        coin = Coin.to(Address(keys, "bech32m"))

        def lie(psbt):
            psbt_in = psbt.inputs[0]
            own = next(iter(psbt_in.taproot_hd_key_paths))
            psbt_in.taproot_leaf_scripts = {b"\xc0" + NOBODY_S_KEY: (b"\x20" + own + b"\xac", 0xC0)}
            psbt_in.taproot_internal_key = NOBODY_S_KEY
            psbt_in.taproot_merkle_root = b"\x33" * 32

        psbt = decode_psbt(await desk.vault.sign(keys.id, changed(pay(keys, coin), lie)))
        assert not psbt.inputs[0].taproot_script_spend_signatures
        assert desk.events()[-1]["spends"] == "1.00000000"
        honest = decode_psbt(await desk.vault.sign(keys.id, pay(keys, coin)))
        assert psbt.inputs[0].taproot_key_spend_signature in (b"", honest.inputs[0].taproot_key_spend_signature)

    on_desk(scenario)


def test_a_witness_script_that_a_wallet_makes_up_changes_nothing(on_desk):
    async def scenario(desk):
        keys = await desk.keys()
        coin = Coin.to(Address(keys))

        def lie(psbt):
            psbt.inputs[0].witness_script = b"\x51"
            psbt.inputs[0].redeem_script = coin.address.script

        psbt = decode_psbt(await desk.vault.sign(keys.id, changed(pay(keys, coin), lie)))
        honest = decode_psbt(await desk.vault.sign(keys.id, pay(keys, coin)))
        assert psbt.inputs[0].partial_sigs == honest.inputs[0].partial_sigs

    on_desk(scenario)


def test_a_coin_that_is_called_signed_is_not_signed(on_desk):
    """To have it left out of the sum: then it is left out of the signing too, and counted when it is signed."""

    async def scenario(desk):
        keys = await desk.keys()
        a, b = coins(keys, 2)
        outputs = [(STRANGER, COIN - FEE), (Address(keys, "bech32", True, 0), COIN)]

        def lie(psbt):
            psbt.inputs[1].final_script_witness = decode_witness()

        def decode_witness():
            from btclib.script import Witness

            return Witness([b"\x01"])

        signed = await desk.vault.sign(keys.id, changed(spend([a, b], outputs), lie))
        assert signed_inputs(signed) == [0]
        error = await desk.refused(desk.vault.sign(keys.id, spend([a, b], outputs)))
        assert "it spends 1.00000000" in error.message

    on_desk(scenario, max_tx=COIN // 2)


# --- off the record --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["cut", "emptied", "moved", "replaced", "longer"])
def test_nothing_is_signed_beside_a_log_that_isn_t_as_it_was(on_desk, how):
    async def scenario(desk):
        keys = await desk.keys()
        log = desk.directory / "audit.log"
        whole = log.read_bytes()
        health = SignerHealth(desk.vault, dict, Protections())
        assert (await health.check()).problems == []
        aside = log.with_name("audit.log.1")
        if how == "moved":
            log.rename(aside)
        elif how == "replaced":
            log.rename(aside)
            log.write_bytes(whole)
        else:
            changed_to = {"cut": whole[:-30], "emptied": b"", "longer": whole + b"{}\n"}[how]
            with log.open("r+b") as file:
                file.truncate(0)
                file.write(changed_to)
        error = await desk.refused(desk.vault.sign(keys.id, pay(keys, *coins(keys, 1))))
        assert error.code == RpcCode.DATABASE_ERROR
        assert "audit.log" in error.message
        assert "put the log back as it was and try again" in error.message
        (problem,) = (await health.check()).problems
        assert problem.startswith(
            f"nothing is signed: {log} was " if how != "replaced" else f"nothing is signed: {log} is "
        )
        assert desk.vault.spent_today() == 0
        if aside.exists():
            aside.rename(log)
        else:
            with log.open("r+b") as file:
                file.truncate(0)
                file.write(whole)
        assert (await health.check()).problems == []
        await desk.vault.sign(keys.id, pay(keys, *coins(keys, 1)))
        desk.restart()

    on_desk(scenario)


@pytest.mark.parametrize("how", ["moved", "replaced"])
def test_no_key_goes_to_a_store_that_has_lost_its_name(on_desk, how):
    """A restore by hand while the signer runs: what it was told from then on was gone at its next start."""

    async def scenario(desk):
        keys = await desk.keys()
        store = desk.directory / "keys.sqlite"
        whole = store.read_bytes()
        store.rename(store.with_name("before"))
        if how == "replaced":
            store.write_bytes(whole)
        for work in (desk.keys("other"), desk.vault.sign(keys.id, pay(keys, *coins(keys, 1)))):
            error = await desk.refused(work)
            assert error.code == RpcCode.DATABASE_ERROR
            assert "keys.sqlite was removed or replaced" in error.message
        (problem,) = (await SignerHealth(desk.vault, dict, Protections()).check()).problems
        assert problem.startswith(f"nothing is signed: {store} was removed or replaced")
        store.with_name("before").rename(store)
        await desk.vault.sign(keys.id, pay(keys, *coins(keys, 1)))
        await desk.keys("other")
        desk.restart()
        assert len(desk.vault.keysets()) == 2

    on_desk(scenario)


def test_the_others_are_answered_while_a_large_transaction_is_read(on_desk):
    """Whoever has broken into a wallet may show as many as he likes; the signer's loop must feed its watchdog."""
    count = 4000
    inputs = b"".join(number.to_bytes(32, "big") + bytes(5) + b"\xff" * 4 for number in range(1, count + 1))
    tx = b"\2\0\0\0\xfd" + count.to_bytes(2, "little") + inputs + b"\1" + bytes(9) + bytes(4)
    text = base64.b64encode(b"psbt\xff\1\0\xfe" + len(tx).to_bytes(4, "little") + tx + bytes(1 + count)).decode()

    async def scenario(desk):
        keys = await desk.keys()
        reading = asyncio.ensure_future(desk.vault.sign(keys.id, text[:-8]))
        turns = 0
        while not reading.done():
            await asyncio.sleep(0)
            turns += 1
        with pytest.raises(RpcError, match="TX decode failed"):
            await reading
        assert turns > 20

    on_desk(scenario)
