"""`sendtoaddress` and `sendmany`: what is answered, what is kept, and in which order."""

import asyncio
from decimal import Decimal

import pytest

from bitcoind_mp.interfaces.errors import Disconnected, RpcCode, RpcError
from bitcoind_mp.render.address import decode_destination, encode_address
from bitcoind_mp.signing.sealing import Cost, new_master_key, seal_master_key
from bitcoind_mp.wallet.coins import OutputType
from bitcoind_mp.wallet.rpc.spend import PaymentCommands
from bitcoind_mp.wallet.storage import flags

COIN = 100_000_000


@pytest.fixture
def pay(run, purse, call):
    """`sendtoaddress`, with the wallet's view of the call left out."""
    commands = PaymentCommands(purse)
    return lambda *args, **options: run(commands.sendtoaddress(call, *args, **options))


@pytest.fixture
def pay_many(run, purse, call):
    commands = PaymentCommands(purse)
    return lambda *args, **options: run(commands.sendmany(call, "", *args, **options))


def refusal(action) -> tuple[int, str]:
    with pytest.raises(RpcError) as caught:
        action()
    return caught.value.code, caught.value.message


def encrypt(wallet) -> None:
    master = new_master_key()
    with wallet.ledger.transaction():
        wallet.keys.encrypt(seal_master_key("open", master, Cost(1, 1, 64)), master)


def test_a_payment_is_made_and_told(pay, purse, payee) -> None:
    purse.fund(COIN)
    txid = pay(payee, Decimal("0.4"), "rent", "landlord")
    tx = purse.transaction(txid)
    assert txid in purse.node.mempool
    script = decode_destination(payee, "regtest").script
    assert [output.value for output in tx.vout if output.script_pub_key.script == script] == [40_000_000]
    kept = purse.wallet.transaction(bytes.fromhex(txid))
    assert (kept.comment, kept.comment_to, kept.in_mempool) == ("rent", "landlord", True)
    assert purse.wallet.balance().trusted == COIN - 40_000_000 - purse.fee(tx)


def test_verbose_tells_why_the_fee_is_what_it_is(pay, purse, payee) -> None:
    purse.fund(*[COIN] * 5)
    assert pay(payee, 1, verbose=True)["fee_reason"] == "Fallback fee"
    purse.node.estimate = 12_345
    told = pay(payee, "0.5", verbose=True)
    assert told["fee_reason"] == "Half Target 60% Threshold"
    tx = purse.transaction(told["txid"])
    assert purse.fee(tx) * 1000 // tx.vsize >= 12_345
    assert pay(payee, Decimal("0.5"), fee_rate=3, verbose=True)["fee_reason"] == "None"
    purse.node.estimate = 50
    assert pay(payee, Decimal("0.5"), verbose=True)["fee_reason"] == "Minimum Required Fee"


def test_the_amount_can_bear_the_fee(pay, purse, payee) -> None:
    purse.fund(COIN)
    tx = purse.transaction(pay(payee, 1, subtractfeefromamount=True))
    assert len(tx.vout) == 1
    assert tx.vout[0].value == COIN - purse.fee(tx)


def test_many_are_paid_at_once(pay_many, purse, payee) -> None:
    purse.fund(COIN)
    other = encode_address(b"\x00\x14" + bytes(20), "regtest")
    tx = purse.transaction(pay_many({payee: Decimal("0.1"), other: Decimal("0.2")}, subtractfeefrom=[other]))
    paid = {encode_address(output.script_pub_key.script, "regtest"): output.value for output in tx.vout}
    assert paid[payee] == 10_000_000
    assert paid[other] == 20_000_000 - purse.fee(tx)


def test_no_coin_is_spent_twice_by_payments_at_once(run, purse, call, payee) -> None:
    purse.fund(*[COIN] * 8)
    commands = PaymentCommands(purse)

    async def all_at_once() -> list[str]:
        return await asyncio.gather(*(commands.sendtoaddress(call, payee, Decimal("0.7")) for _ in range(8)))

    txids = run(all_at_once())
    spent = [tx_in.prev_out for txid in txids for tx_in in purse.transaction(txid).vin]
    assert len(spent) == len(set(spent))
    assert set(txids) <= set(purse.node.mempool)


def test_the_ledger_has_it_before_the_node(pay, make_purse, purse, payee) -> None:
    purse.fund(COIN)
    seen = []
    purse.node.before_broadcast = lambda: seen.append(len(purse.wallet.history.unconfirmed()))
    pay(payee, Decimal("0.1"))
    assert seen == [1]


@pytest.mark.parametrize("refused", [RpcError(-26, "min relay fee not met"), Disconnected("the node went away")])
def test_a_refused_payment_is_kept_and_sent_again(run, pay, purse, payee, refused) -> None:
    purse.fund(COIN)
    purse.node.refusal = refused
    txid = pay(payee, Decimal("0.4"))
    assert txid not in purse.node.mempool
    assert not purse.wallet.transaction(bytes.fromhex(txid)).in_mempool
    assert refusal(lambda: pay(payee, Decimal("0.4"))) == (-6, "Insufficient funds")
    purse.node.refusal = None
    run(purse.wallet.outbox.resubmit())
    assert list(purse.node.mempool) == [txid]
    assert purse.wallet.transaction(bytes.fromhex(txid)).in_mempool


def test_a_caller_who_leaves_before_the_commit_spends_nothing(run, purse, call, payee) -> None:
    purse.fund(COIN)

    async def leave() -> None:
        task = asyncio.get_running_loop().create_task(PaymentCommands(purse).sendtoaddress(call, payee, Decimal("0.4")))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    before = purse.wallet.addresses.change(OutputType.BECH32)
    purse.wallet.addresses.release(before)
    run(leave())
    assert purse.wallet.balance().trusted == COIN
    assert purse.node.received == []
    assert purse.wallet.addresses.change(OutputType.BECH32).script == before.script


def test_change_addresses_are_used_once(pay, purse, payee) -> None:
    purse.fund(*[COIN] * 6)
    change = set()
    for _ in range(6):
        tx = purse.transaction(pay(payee, Decimal("0.4")))
        change |= {o.script_pub_key.script for o in tx.vout if purse.wallet.owner(o.script_pub_key.script)}
    assert len(change) == 6


def test_a_locked_wallet_wants_its_passphrase(pay, pay_many, purse, payee) -> None:
    purse.fund(COIN)
    encrypt(purse.wallet)
    assert pay(payee, Decimal("0.1"))
    purse.wallet.keys.lock()
    words = "Error: Please enter the wallet passphrase with walletpassphrase first."
    assert refusal(lambda: pay(payee, 1)) == (RpcCode.WALLET_UNLOCK_NEEDED, words)
    assert refusal(lambda: pay_many({payee: 1})) == (RpcCode.WALLET_UNLOCK_NEEDED, words)
    assert refusal(lambda: pay_many({"xyz": 1})) == (RpcCode.INVALID_ADDRESS_OR_KEY, "Invalid Bitcoin address: xyz")


def test_a_wallet_without_private_keys_cannot_pay(pay, purse, payee) -> None:
    with purse.wallet.ledger.transaction():
        purse.wallet.flags.set(flags.DISABLE_PRIVATE_KEYS)
    assert refusal(lambda: pay(payee, 1)) == (-4, "Error: Private keys are disabled for this wallet")


def test_refusals_are_cores(pay, pay_many, purse, payee) -> None:
    purse.fund(COIN)
    assert refusal(lambda: pay("xyz", 1)) == (-5, "Invalid Bitcoin address: xyz")
    assert refusal(lambda: pay(payee, 1_000_000)) == (-6, "Insufficient funds")
    assert refusal(lambda: pay(payee, -1)) == (-3, "Amount out of range")
    assert refusal(lambda: pay(payee, "1.123456789")) == (-3, "Invalid amount")
    assert refusal(lambda: pay(payee, 0)) == (-6, "Transaction amount too small")
    assert refusal(lambda: pay(payee, 1, fee_rate="1.0001")) == (-3, "Invalid amount")
    assert refusal(lambda: pay(payee, 1, fee_rate=-1)) == (-3, "Amount out of range")
    assert refusal(lambda: pay(payee, 1, fee_rate=True)) == (-3, "Amount is not a number or string")
    assert refusal(lambda: pay(payee, Decimal("0.1"), fee_rate="0.05")) == (
        -6,
        "Fee rate (0.050 sat/vB) is lower than the minimum fee rate setting (1.000 sat/vB)."
        "\nConsider modifying -mintxfee (1.000 sat/vB) or -minrelaytxfee (0.100 sat/vB).",
    )
    assert refusal(lambda: pay(payee, 1, conf_target=0)) == (-8, "Invalid conf_target, must be between 1 and 1008")
    assert refusal(lambda: pay(payee, 1, conf_target=1009)) == (-8, "Invalid conf_target, must be between 1 and 1008")
    assert refusal(lambda: pay(payee, 1, estimate_mode="soon")) == (
        -8,
        'Invalid estimate_mode parameter, must be one of: "unset", "economical", "conservative"',
    )
    assert refusal(lambda: pay(payee, 1, fee_rate=1, estimate_mode="economical")) == (
        -8,
        "Cannot specify both estimate_mode and fee_rate",
    )
    assert refusal(lambda: pay(payee, 1, fee_rate=1, conf_target=6)) == (
        -8,
        "Cannot specify both conf_target and fee_rate. Please provide either a confirmation target in blocks for "
        "automatic fee estimation, or an explicit fee rate.",
    )
    assert refusal(lambda: pay(payee, 1, avoid_reuse=True)) == (
        -4,
        'wallet does not have the "avoid reuse" feature enabled',
    )
    wrong = "Invalid parameter 'subtract fee from output'"
    for given, why in (
        (["nobody"], "destination nobody not found in tx outputs"),
        ([payee, 0], "duplicated position: 0"),
        ([-1], "negative position: -1"),
        ([1], "position too large: 1"),
        ([None], "invalid value type: null"),
    ):
        assert refusal(lambda given=given: pay_many({payee: 1}, subtractfeefrom=given)) == (-8, f"{wrong}, {why}")


def test_without_an_estimate_or_a_fallback_nothing_is_sent(run, make_purse, call, payee) -> None:
    purse = make_purse(fallback_fee=0)
    purse.fund(COIN)
    commands = PaymentCommands(purse)
    assert refusal(lambda: run(commands.sendtoaddress(call, payee, Decimal("0.1")))) == (
        -6,
        "Fee estimation failed. Fallbackfee is disabled. Wait a few blocks or enable -fallbackfee.",
    )
    assert run(commands.sendtoaddress(call, payee, Decimal("0.1"), fee_rate=1))


def test_the_dummy_of_sendmany_must_be_empty(run, purse, call, payee) -> None:
    commands = PaymentCommands(purse)
    assert refusal(lambda: run(commands.sendmany(call, "x", {payee: 1}))) == (-8, 'Dummy value must be set to ""')


def test_dirty_addresses_are_left_alone_where_the_wallet_counts(run, make_purse, call, payee) -> None:
    purse = make_purse()
    with purse.wallet.ledger.transaction():
        purse.wallet.flags.set(flags.AVOID_REUSE)
    script = purse.script(OutputType.BECH32)
    purse.fund(COIN, script=script)
    commands = PaymentCommands(purse)
    run(commands.sendtoaddress(call, payee, Decimal("0.999"), subtractfeefromamount=True))
    purse.confirm()
    purse.fund(2 * COIN, script=script)
    assert refusal(lambda: run(commands.sendtoaddress(call, payee, 1))) == (-6, "Insufficient funds")
    assert run(commands.sendtoaddress(call, payee, 1, avoid_reuse=False))
