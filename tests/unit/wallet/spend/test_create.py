"""Transactions made by a real wallet on a fake node: what they pay, whom, and what they leave."""

import random
from dataclasses import replace

import pytest
from btclib.script.witness import Witness
from btclib.tx import OutPoint as TxOutPoint
from btclib.tx import Tx, TxIn, TxOut

from bitcoind_mp.render.address import decode_destination
from bitcoind_mp.wallet.coins import OutPoint, OutputType
from bitcoind_mp.wallet.spend.control import CoinControl, Recipient
from bitcoind_mp.wallet.spend.create import create_transaction
from bitcoind_mp.wallet.spend.errors import RateTooLow, SpendError
from bitcoind_mp.wallet.spend.rates import dust_limit, fee_for

COIN = 100_000_000
P2WPKH = b"\x00\x14" + bytes(20)
SCRIPTS = {
    OutputType.LEGACY: b"\x76\xa9\x14" + bytes(20) + b"\x88\xac",
    OutputType.P2SH_SEGWIT: b"\xa9\x14" + bytes(20) + b"\x87",
    OutputType.BECH32: P2WPKH,
    OutputType.BECH32M: b"\x51\x20" + b"\x02" * 32,
}


def make(run, purse, *payments, control=None, seed=0, **options):
    recipients = [Recipient(*payment) if isinstance(payment, tuple) else payment for payment in payments]
    control = control or CoinControl(**options.pop("choices", {}))
    return run(create_transaction(purse.wallet, recipients, control, rng=random.Random(seed), **options))


def kind_of_change(created) -> OutputType:
    script = created.tx.vout[created.change].script_pub_key.script
    return next(kind for kind, like in SCRIPTS.items() if len(like) == len(script))


@pytest.mark.parametrize("seed", range(25))
def test_what_holds_of_every_payment(run, make_purse, seed) -> None:
    """Value is conserved, the fee is what the rate asks and no more than change can settle, change is never dust."""
    rng = random.Random(seed)
    purse = make_purse(max_tx_fee=COIN)
    for type in OutputType:
        purse.fund(*(rng.randrange(2_000, COIN // 10) for _ in range(3)), type=type)
    rate = rng.choice([100, 1000, 5_500, 20_000, 45_000, 120_000])
    total = sum(coin.amount for coin in purse.wallet.coins())
    payments = [
        (SCRIPTS[rng.choice(list(OutputType))], rng.randrange(1_000, total // 3), rng.random() < 0.3) for _ in range(2)
    ]
    control = CoinControl(rate=rate, override_min_rate=True)
    try:
        created = make(run, purse, *payments, control=control, seed=seed)
    except SpendError as error:
        assert str(error) in (
            "Insufficient funds",
            "The transaction amount is too small to pay the fee",
            "The transaction amount is too small to send after the fee has been deducted",
        ) or str(error).startswith("The total exceeds your balance when the ")
        return
    tx = created.tx
    assert purse.fee(tx) == created.fee
    outputs = [output for place, output in enumerate(tx.vout) if place != created.change]
    assert [output.script_pub_key.script for output in outputs] == [payment[0] for payment in payments]
    for output, (_, amount, bears) in zip(outputs, payments, strict=True):
        assert output.value < amount if bears and created.change is None else output.value <= amount
        assert bears or output.value == amount
    assert created.fee >= fee_for(rate, tx.vsize)
    if created.change is not None:
        assert created.fee <= fee_for(rate, tx.vsize + len(tx.vin))
        change = tx.vout[created.change]
        assert change.value >= dust_limit(change.script_pub_key.script, 3000)
        assert purse.wallet.owner(change.script_pub_key.script)
    run(purse.node.broadcast(tx.serialize(include_witness=True).hex(), None))
    assert tx.id.hex() in purse.node.mempool


@pytest.mark.parametrize("type", list(OutputType))
def test_the_size_foretold_is_the_size_signed(run, purse, type) -> None:
    """Signatures are ground to at most 71 bytes, and rarely to less."""
    purse.fund(*[COIN] * 4, type=type)
    created = make(run, purse, (P2WPKH, 3 * COIN + COIN // 2), choices={"rate": 1000})
    assert len(created.tx.vin) == 4
    assert 0 <= created.fee - created.tx.vsize <= 4


@pytest.mark.parametrize("type", list(OutputType))
def test_change_is_of_the_payees_type(run, purse, type) -> None:
    purse.fund(COIN, type=OutputType.BECH32)
    assert kind_of_change(make(run, purse, (SCRIPTS[type], COIN // 2))) is type


def test_of_several_payees_types_change_takes_the_newest(run, purse) -> None:
    purse.fund(COIN)
    payments = [(SCRIPTS[type], COIN // 10) for type in OutputType]
    assert kind_of_change(make(run, purse, *payments)) is OutputType.BECH32M
    assert kind_of_change(make(run, purse, *payments[:3])) is OutputType.BECH32
    assert kind_of_change(make(run, purse, (b"\x6a\x01x", 0))) is OutputType.BECH32M


def test_the_options_say_what_change_is(run, make_purse) -> None:
    said = make_purse("said", change_type=OutputType.P2SH_SEGWIT)
    said.fund(COIN)
    assert kind_of_change(make(run, said, (P2WPKH, COIN // 2))) is OutputType.P2SH_SEGWIT
    asked = make(run, said, (P2WPKH, COIN // 2), choices={"change_type": OutputType.LEGACY})
    assert kind_of_change(asked) is OutputType.LEGACY
    old = make_purse("old", address_type=OutputType.LEGACY)
    old.fund(COIN)
    assert kind_of_change(make(run, old, (P2WPKH, COIN // 2))) is OutputType.LEGACY


def test_change_goes_where_it_is_sent(run, purse) -> None:
    purse.fund(COIN)
    there = b"\x00\x14" + b"\x07" * 20
    created = make(run, purse, (P2WPKH, COIN // 2), choices={"change_script": there}, change_position=0)
    assert created.change == 0
    assert created.tx.vout[0].script_pub_key.script == there
    assert created.reserved == []
    with pytest.raises(SpendError, match="Transaction change output index out of range"):
        make(run, purse, (P2WPKH, COIN // 2), change_position=2)


def test_change_is_in_no_particular_place(run, purse) -> None:
    purse.fund(COIN)
    places = {make(run, purse, (P2WPKH, COIN // 2), seed=seed).change for seed in range(20)}
    assert places == {0, 1}


def test_what_would_be_dust_goes_to_the_fee(run, purse) -> None:
    purse.fund(COIN)
    # 110 virtual bytes without change; 100 satoshis more are less than change would cost
    created = make(run, purse, (P2WPKH, COIN - 110 * 10 - 100), choices={"rate": 10_000})
    assert created.change is None
    assert created.fee == 110 * 10 + 100


def test_a_failure_gives_the_change_address_back(run, purse) -> None:
    purse.fund(COIN)
    before = purse.wallet.addresses.change(OutputType.BECH32)
    purse.wallet.addresses.release(before)
    with pytest.raises(SpendError, match="Insufficient funds"):
        make(run, purse, (P2WPKH, 2 * COIN))
    assert purse.wallet.addresses.change(OutputType.BECH32).script == before.script


def test_recipients_share_the_fee_and_the_first_takes_the_rest(run, purse) -> None:
    purse.fund(COIN)
    amounts = [10_000_000, 20_000_000, 30_000_000]
    payments = [(bytes([0, 20]) + bytes([n]) * 20, amount, n != 2) for n, amount in enumerate(amounts, 1)]
    created = make(run, purse, *payments, choices={"rate": 3_333})
    paid = [output.value for place, output in enumerate(created.tx.vout) if place != created.change]
    share, rest = divmod(created.fee, 2)
    assert paid == [amounts[0] - share - rest, amounts[1], amounts[2] - share]
    assert created.fee == purse.fee(created.tx)


def test_a_recipient_can_be_too_small_for_the_fee(run, purse) -> None:
    purse.fund(COIN)
    with pytest.raises(SpendError, match="The transaction amount is too small to pay the fee"):
        make(run, purse, (P2WPKH, 1_000, True), choices={"rate": 20_000})
    with pytest.raises(SpendError, match="The transaction amount is too small to send after the fee has been deducted"):
        make(run, purse, (P2WPKH, 3_000, True), choices={"rate": 20_000})


def test_refusals_are_cores(run, make_purse) -> None:
    purse = make_purse()
    purse.fund(COIN)
    node = purse.node

    def refused(*payments, match, control=None, **options) -> None:
        with pytest.raises(SpendError) as caught:
            make(run, purse, *payments, control=control, **options)
        assert str(caught.value) == match

    refused(match="Transaction must have at least one recipient")
    refused((P2WPKH, -1), match="Transaction amounts must not be negative")
    refused((P2WPKH, 293), match="Transaction amount too small")
    refused((P2WPKH, 2 * COIN), match="Insufficient funds")
    refused(
        (P2WPKH, COIN),
        choices={"rate": 10_000},
        match="The total exceeds your balance when the 0.0000042 transaction fee is included.",
    )
    refused(
        (P2WPKH, COIN // 2),
        choices={"rate": 100_000_000},
        match="Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)",
    )
    refused(
        (b"\x6a\x01x", 0),
        choices={"rate": 0, "override_min_rate": True},
        match="Transaction requires one destination of non-zero value, a non-zero feerate, or a pre-selected input",
    )
    refused(
        (P2WPKH, COIN // 2),
        choices={"max_weight": 259},
        match="Maximum transaction weight must be between 260 and 400000",
    )
    unknown = OutPoint(b"\x11" * 32, 3)
    control = CoinControl()
    control.select(unknown)
    refused((P2WPKH, COIN // 2), control=control, match="Not found pre-selected input COutPoint(1111111111, 3)")
    control.select(unknown, amount=COIN, script=P2WPKH)
    refused((P2WPKH, COIN // 2), control=control, match="Not solvable pre-selected input COutPoint(1111111111, 3)")
    node.policy = replace(node.policy, min_relay=3_000)
    refused(
        (P2WPKH, COIN // 2),
        choices={"rate": 2_500},
        match="Fee rate (2.500 sat/vB) is lower than the minimum fee rate setting (3.000 sat/vB)."
        "\nConsider modifying -mintxfee (1.000 sat/vB) or -minrelaytxfee (3.000 sat/vB).",
    )


def test_a_rate_too_low_is_told_apart(run, purse) -> None:
    purse.fund(COIN)
    with pytest.raises(RateTooLow):
        make(run, purse, (P2WPKH, COIN // 2), choices={"rate": 999})


def test_preselected_coins_must_suffice_where_no_others_may_be_added(run, purse) -> None:
    tx = purse.fund(COIN, COIN)
    control = CoinControl(allow_other_inputs=False)
    control.select(OutPoint(tx.id, 0))
    with pytest.raises(SpendError, match="The preselected coins total amount does not cover the transaction target"):
        make(run, purse, (P2WPKH, COIN + COIN // 2), control=control)
    control.allow_other_inputs = True
    created = make(run, purse, (P2WPKH, COIN + COIN // 2), control=control)
    assert [tx_in.prev_out.vout for tx_in in created.tx.vin] == [0, 1]


def test_chosen_inputs_keep_their_order_and_sequence(run, purse) -> None:
    tx = purse.fund(*[COIN] * 6)
    control = CoinControl()
    for place in (4, 1, 3):
        control.select(OutPoint(tx.id, place), sequence=place)
    created = make(run, purse, (P2WPKH, 4 * COIN), control=control)
    places = [(tx_in.prev_out.vout, tx_in.sequence) for tx_in in created.tx.vin]
    assert places[:3] == [(4, 4), (1, 1), (3, 3)]
    assert {sequence for _, sequence in places[3:]} == {0xFFFFFFFD}
    assert created.tx.lock_time == 0


@pytest.mark.parametrize(("signal", "sequence"), [(None, 0xFFFFFFFD), (True, 0xFFFFFFFD), (False, 0xFFFFFFFE)])
def test_replaceability_is_signalled(run, purse, signal, sequence) -> None:
    purse.fund(COIN)
    created = make(run, purse, (P2WPKH, COIN // 2), choices={"signal_rbf": signal})
    assert [tx_in.sequence for tx_in in created.tx.vin] == [sequence]


def test_the_lock_time_is_the_tips_and_now_and_then_less(run, purse) -> None:
    purse.fund(COIN, blocks=150)
    height = purse.wallet.height
    times = [make(run, purse, (P2WPKH, COIN // 2), seed=seed).tx.lock_time for seed in range(120)]
    back = [height - time for time in times if time != height]
    assert 0 < len(back) < 40
    assert all(0 < step < 100 for step in back)


def test_an_old_tip_gives_no_lock_time_away(run, purse) -> None:
    purse.fund(COIN)
    purse.node.behind = 8 * 60 * 60 + 1
    assert {make(run, purse, (P2WPKH, COIN // 2), seed=seed).tx.lock_time for seed in range(3)} == {0}


def test_an_address_is_emptied_at_once_where_that_costs_no_more(run, purse) -> None:
    """``-maxapsfee=0``: three coins of one address against one of another that would do."""
    script = purse.script(OutputType.BECH32)
    purse.fund(*[COIN // 2] * 3, script=script)
    purse.fund(COIN // 2, type=OutputType.BECH32)
    spent = set()
    for seed in range(12):
        tx = make(run, purse, (P2WPKH, COIN // 4), choices={"rate": 100_000}, seed=seed).tx
        spent.add(len(tx.vin))
    assert spent == {1}
    for seed in range(12):
        tx = make(run, purse, (P2WPKH, COIN // 4), choices={"avoid_partial_spends": True}, seed=seed).tx
        assert len(tx.vin) in (1, 3, 4)
        used = {purse.node.outputs[i.prev_out.tx_id.hex(), i.prev_out.vout].script_pub_key.script for i in tx.vin}
        if script in used:
            assert len(tx.vin) in (3, 4)


def test_types_are_mixed_only_where_one_does_not_suffice(run, purse) -> None:
    for type in OutputType:
        purse.fund(COIN, COIN, type=type)

    def kinds(amount: int, seed: int) -> set[bytes]:
        tx = make(run, purse, (P2WPKH, amount), seed=seed).tx
        spent = (purse.node.outputs[i.prev_out.tx_id.hex(), i.prev_out.vout] for i in tx.vin)
        return {output.script_pub_key.script[:2] for output in spent}

    for seed in range(6):
        assert len(kinds(COIN + COIN // 2, seed)) == 1
        assert len(kinds(5 * COIN, seed)) >= 3


def test_a_waiting_payment_of_anothers_is_not_spent_unless_asked(run, purse) -> None:
    purse.fund(COIN)
    incoming = _unconfirmed_payment(purse, 5 * COIN)
    with pytest.raises(SpendError, match="Insufficient funds"):
        make(run, purse, (P2WPKH, 2 * COIN))
    created = make(run, purse, (P2WPKH, 2 * COIN), choices={"include_unsafe": True})
    assert incoming.id in {tx_in.prev_out.tx_id for tx_in in created.tx.vin}


def _unconfirmed_payment(purse, amount: int):
    source = TxIn(TxOutPoint(b"\x77" * 32, 1), b"", 0, Witness([b"x"]))
    tx = Tx(2, 0, [source], [TxOut(amount, purse.script(OutputType.BECH32))])
    purse.node.mempool[tx.id.hex()], purse.node.fees[tx.id.hex()] = tx, 10_000
    purse.node.outputs[tx.id.hex(), 0] = tx.vout[0]
    purse.wallet.mempool_added(tx.serialize(include_witness=True), purse.wallet.now())
    return tx


def test_unconfirmed_change_is_spent_last_and_pays_for_its_parent(run, purse, payee) -> None:
    purse.fund(COIN)
    script = decode_destination(payee, "regtest").script
    parent = make(run, purse, (script, COIN // 10), choices={"rate": 1_000})
    txid = run(purse.wallet.commit(parent.tx.serialize(include_witness=True), change=parent.reserved))
    assert purse.wallet.transaction(txid).in_mempool
    child = make(run, purse, (P2WPKH, COIN // 2), choices={"rate": 50_000})
    assert [tx_in.prev_out.tx_id for tx_in in child.tx.vin] == [txid]
    package = parent.fee + child.fee
    assert package >= fee_for(50_000, parent.tx.vsize + child.tx.vsize)
    assert package <= fee_for(50_000, parent.tx.vsize + child.tx.vsize) + 200


def test_no_payment_makes_a_longer_row_of_unconfirmed_ones_than_the_owner_allows(run, make_purse) -> None:
    purse = make_purse(max_ancestors=3, max_cluster=3)
    purse.fund(COIN)
    for _ in range(3):
        payment = make(run, purse, (P2WPKH, COIN // 100))
        run(purse.wallet.commit(payment.tx.serialize(include_witness=True), change=payment.reserved))
    with pytest.raises(SpendError, match="spending them creates a chain of transactions that will be rejected"):
        make(run, purse, (P2WPKH, COIN // 100))
    purse.fund(COIN)
    assert [coin.outpoint.txid for coin in purse.wallet.coins() if coin.depth] == [
        tx_in.prev_out.tx_id for tx_in in make(run, purse, (P2WPKH, COIN // 100)).tx.vin
    ]
