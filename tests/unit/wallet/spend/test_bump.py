"""`bumpfee` and `psbtbumpfee`."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.render.address import decode_destination, encode_address
from bitcoind_mp.signing.psbt_reader import decode_psbt
from bitcoind_mp.wallet.rpc.bump import BumpCommands
from bitcoind_mp.wallet.rpc.spend import PaymentCommands
from bitcoind_mp.wallet.spend.rates import fee_for, money
from bitcoind_mp.wallet.storage import flags

COIN = 100_000_000
OTHER = encode_address(b"\x00\x14" + bytes(20), "regtest")


@pytest.fixture
def sent(run, purse, call, payee):
    """A payment of a tenth of what the wallet has, at 2 sat/vB; its txid."""
    purse.fund(COIN)
    paid = PaymentCommands(purse).sendtoaddress(call, payee, Decimal("0.1"), "rent", fee_rate=2)
    return bytes.fromhex(run(paid))


@pytest.fixture
def bump(run, purse, call):
    return lambda txid, **options: run(BumpCommands(purse).bumpfee(call, txid, options or None))


@pytest.fixture
def bump_psbt(run, purse, call):
    return lambda txid, **options: run(BumpCommands(purse).psbtbumpfee(call, txid, options or None))


def refusal(action) -> tuple[int, str]:
    with pytest.raises(RpcError) as caught:
        action()
    return caught.value.code, caught.value.message


def sat(amount: Decimal) -> int:
    return int(amount * COIN)


def test_a_bumped_payment_pays_more_out_of_the_change(bump, purse, sent, payee) -> None:
    old = purse.transaction(sent)
    result = bump(sent)
    assert list(result) == ["txid", "origfee", "fee", "errors"]
    assert result["errors"] == []
    new = purse.transaction(result["txid"])
    assert sat(result["origfee"]) == purse.fee(old)
    assert sat(result["fee"]) == purse.fee(new)
    # the old rate rounded down, one more, and 5 sat/vB; or the estimate, here the fallback of 20 sat/vB
    assert sat(result["fee"]) >= fee_for(20_000, new.vsize)
    assert {tx_in.prev_out for tx_in in old.vin} == {tx_in.prev_out for tx_in in new.vin}
    scripts = [sorted(output.script_pub_key.script for output in tx.vout) for tx in (old, new)]
    assert scripts[0] == scripts[1]
    script = decode_destination(payee, "regtest").script
    assert [output.value for output in new.vout if output.script_pub_key.script == script] == [10_000_000]


def test_both_transactions_know_of_each_other(bump, purse, sent) -> None:
    result = bump(sent)
    new, old = purse.wallet.transaction(bytes.fromhex(result["txid"])), purse.wallet.transaction(sent)
    assert (new.replaces, old.replaced_by) == (sent, new.txid)
    assert new.comment == "rent"
    assert list(purse.node.mempool) == [result["txid"]]
    assert refusal(lambda: bump(sent)) == (
        -4,
        f"Cannot bump transaction {sent.hex()} which was already bumped by transaction {result['txid']}",
    )
    assert bump(new.txid)["txid"] in purse.node.mempool


def test_the_lowest_automatic_rate_is_a_little_more_than_before(bump, purse, sent) -> None:
    purse.node.estimate = 100
    old = purse.transaction(sent)
    new = purse.transaction(bump(sent)["txid"])
    rate = purse.fee(old) * 1000 // old.vsize + 1 + 5000
    assert fee_for(rate, new.vsize) <= purse.fee(new) <= fee_for(rate, new.vsize + 2)


@pytest.mark.parametrize(("replaceable", "sequence"), [(True, 0xFFFFFFFD), (False, 0xFFFFFFFE)])
def test_the_replacement_says_whether_it_is_replaceable(bump, purse, sent, replaceable, sequence) -> None:
    new = purse.transaction(bump(sent, replaceable=replaceable)["txid"])
    assert {tx_in.sequence for tx_in in new.vin} == {sequence}


def test_a_rate_can_be_given(bump, purse, sent) -> None:
    new = purse.transaction(bump(sent, fee_rate=Decimal("33.5"))["txid"])
    assert fee_for(33_500, new.vsize) <= purse.fee(new) <= fee_for(33_500, new.vsize + 2)


def test_inputs_are_added_where_the_change_does_not_suffice(run, bump, purse, call, payee) -> None:
    purse.fund(10_000_000)
    txid = run(PaymentCommands(purse).sendtoaddress(call, payee, Decimal("0.0999"), fee_rate=2))
    assert refusal(lambda: bump(bytes.fromhex(txid), fee_rate=300)) == (
        -4,
        "Unable to create transaction. The total exceeds your balance when the 0.000126 transaction fee is included.",
    )
    purse.fund(COIN)
    new = purse.transaction(bump(bytes.fromhex(txid), fee_rate=300)["txid"])
    assert len(new.vin) == 2


def test_a_payment_without_recipients_shrinks(run, bump, purse, call) -> None:
    """All that was paid was change: the fee comes out of it."""
    purse.fund(COIN)
    own = purse.wallet.addresses.change(purse.wallet.options.address_type)
    purse.wallet.addresses.keep(own)
    pay = PaymentCommands(purse).sendtoaddress(call, own.address, 1, subtractfeefromamount=True, fee_rate=2)
    old = bytes.fromhex(run(pay))
    new = purse.transaction(bump(old, fee_rate=10)["txid"])
    assert [output.script_pub_key.script for output in new.vout] == [own.script]
    assert new.vout[0].value == COIN - purse.fee(new)


def test_outputs_can_be_replaced(bump, purse, sent) -> None:
    new = purse.transaction(bump(sent, outputs=[{OTHER: Decimal("0.2")}])["txid"])
    paid = {encode_address(output.script_pub_key.script, "regtest"): output.value for output in new.vout}
    assert paid[OTHER] == 20_000_000
    assert len(paid) == 2


def test_a_person_can_say_which_output_is_change(bump, purse, sent, payee) -> None:
    old = purse.transaction(sent)
    script = decode_destination(payee, "regtest").script
    place = [output.script_pub_key.script for output in old.vout].index(script)
    new = purse.transaction(bump(sent, original_change_index=place)["txid"])
    assert purse.fee(new) > purse.fee(old)
    shrunk = next(output.value for output in new.vout if output.script_pub_key.script == script)
    assert shrunk < 10_000_000


def test_a_psbt_of_the_replacement_is_told_and_nothing_sent(bump_psbt, purse, sent) -> None:
    before = len(purse.node.received)
    result = bump_psbt(sent, fee_rate=40)
    assert list(result) == ["psbt", "origfee", "fee", "errors"]
    psbt = decode_psbt(result["psbt"])
    assert not psbt.inputs[0].partial_sigs
    assert psbt.inputs[0].hd_key_paths
    assert {tx_in.prev_out for tx_in in psbt.tx.vin} == {tx_in.prev_out for tx_in in purse.transaction(sent).vin}
    assert len(purse.node.received) == before
    assert purse.wallet.transaction(sent).replaced_by is None


def test_refusals_are_cores(run, bump, bump_psbt, purse, sent, call, payee) -> None:
    old = purse.transaction(sent)
    assert refusal(lambda: bump(b"\x11" * 32)) == (-5, "Invalid or non-wallet transaction id")
    assert refusal(lambda: bump(sent, original_change_index=5)) == (-8, "Change position is out of range")
    assert refusal(lambda: bump(sent, original_change_index=0, outputs=[{OTHER: 1}])) == (
        -8,
        "The options 'outputs' and 'original_change_index' are incompatible. You can only either specify "
        "a new set of outputs, or designate a change output to be recycled.",
    )
    assert refusal(lambda: bump(sent, outputs=[])) == (
        -8,
        "Invalid parameter, output argument cannot be an empty array",
    )
    assert refusal(lambda: bump(sent, confTarget=1, conf_target=1)) == (
        -8,
        "confTarget and conf_target options should not both be set. Use conf_target (confTarget is deprecated).",
    )
    assert refusal(lambda: bump(sent, unheard=1)) == (-3, "Unexpected key unheard")
    size = old.vsize
    fee, least = purse.fee(old), fee_for(100, size)
    words = refusal(lambda: bump(sent, fee_rate=2))[1]
    assert words.startswith("Insufficient total fee 0.00000")
    assert f"(oldFee 0.00000{fee} + incrementalFee 0.000000{least})" in words
    assert refusal(lambda: bump(sent, fee_rate=100_000)) == (
        -4,
        f"Specified or calculated fee {money(size * 100_000)} is too high (cannot be higher than -maxtxfee 0.10)",
    )
    purse.node.policy = replace(purse.node.policy, mempool_min=50_000)
    assert refusal(lambda: bump(sent, fee_rate=30)) == (
        -4,
        "New fee rate (0.0003) is lower than the minimum fee rate (0.0005) to get into the mempool -- ",
    )
    with purse.wallet.ledger.transaction():
        purse.wallet.flags.set(flags.DISABLE_PRIVATE_KEYS)
    assert refusal(lambda: bump(sent)) == (
        -4,
        "bumpfee is not available with wallets that have private keys disabled. Use psbtbumpfee instead.",
    )


def test_a_spender_that_was_given_up_is_none(run, bump, purse, sent, call, payee) -> None:
    paid = PaymentCommands(purse).sendtoaddress(call, payee, Decimal("0.85"), fee_rate=2)
    child = bytes.fromhex(run(paid))
    del purse.node.mempool[child.hex()]
    purse.wallet.mempool_removed(child, "sizelimit")
    assert refusal(lambda: bump(sent)) == (-8, "Transaction has descendants in the wallet")
    purse.wallet.abandon(purse.wallet.transaction(child))
    assert bump(sent)["txid"] in purse.node.mempool


def test_a_rate_of_nothing_is_told_what_it_lacks(bump, purse, sent) -> None:
    """The mempool, which isn't full, asks for nothing; the replacement must pay more than the original all the same."""
    purse.node.policy = replace(purse.node.policy, mempool_min=0)
    code, words = refusal(lambda: bump(sent, fee_rate=0))
    assert code == -8
    assert words.startswith("Insufficient total fee 0.00, must be at least ")


def test_what_was_spent_from_or_mined_stays(run, bump, purse, sent, call, payee) -> None:
    child = run(PaymentCommands(purse).sendtoaddress(call, payee, Decimal("0.2")))
    assert {tx_in.prev_out.tx_id for tx_in in purse.transaction(child).vin} == {sent}
    assert refusal(lambda: bump(sent)) == (-8, "Transaction has descendants in the wallet")
    purse.confirm()
    assert refusal(lambda: bump(bytes.fromhex(child))) == (
        -4,
        "Transaction has been mined, or is conflicted with a mined transaction",
    )
