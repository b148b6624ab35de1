"""`send` and `sendall`."""

from decimal import Decimal

import pytest
from btclib.tx import Tx

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.render.address import encode_address
from bitcoind_mp.signing.psbt_reader import decode_psbt
from bitcoind_mp.signing.sealing import Cost, new_master_key, seal_master_key
from bitcoind_mp.wallet.coins import OutPoint, OutputType
from bitcoind_mp.wallet.rpc.send import SendCommands
from bitcoind_mp.wallet.rpc.sendall import SendAllCommands

COIN = 100_000_000
OTHER = encode_address(b"\x00\x14" + bytes(20), "regtest")


@pytest.fixture
def send(run, purse, call):
    return lambda *args, **options: run(SendCommands(purse).send(call, *args, **options))


@pytest.fixture
def send_all(run, purse, call):
    return lambda *args, **options: run(SendAllCommands(purse).sendall(call, *args, **options))


def refusal(action) -> tuple[int, str]:
    with pytest.raises(RpcError) as caught:
        action()
    return caught.value.code, caught.value.message


def lock(wallet) -> None:
    master = new_master_key()
    with wallet.ledger.transaction():
        wallet.keys.encrypt(seal_master_key("open", master, Cost(1, 1, 64)), master)
    wallet.keys.lock()


def test_a_payment_is_sent(send, purse, payee) -> None:
    purse.fund(COIN)
    result = send({payee: Decimal("0.1")})
    assert list(result) == ["txid", "complete"]
    assert result["complete"] is True
    tx = purse.transaction(result["txid"])
    assert tx.lock_time in range(purse.wallet.height - 100, purse.wallet.height + 1)
    assert result["txid"] in purse.node.mempool


def test_data_is_carried(send, purse) -> None:
    purse.fund(COIN)
    tx = purse.transaction(send([{"data": "c0ffee"}])["txid"])
    assert b"\x6a\x03\xc0\xff\xee" in [output.script_pub_key.script for output in tx.vout]


def test_what_is_not_to_be_added_is_told(send, purse, payee) -> None:
    purse.fund(COIN)
    result = send({payee: Decimal("0.1")}, options={"add_to_wallet": False})
    assert list(result) == ["psbt", "txid", "hex", "complete"]
    tx = Tx.parse(bytes.fromhex(result["hex"]))
    assert tx.id.hex() == result["txid"]
    assert purse.node.received == []
    assert purse.wallet.balance().trusted == COIN
    result = send({payee: Decimal("0.1")}, options={"psbt": True})
    assert list(result) == ["psbt", "txid", "hex", "complete"]
    assert purse.node.received == []


def test_a_locked_wallet_hands_out_what_is_to_be_signed(send, purse, payee) -> None:
    purse.fund(COIN)
    lock(purse.wallet)
    result = send({payee: Decimal("0.1")})
    assert list(result) == ["psbt", "complete"]
    assert result["complete"] is False
    psbt = decode_psbt(result["psbt"])
    assert psbt.inputs[0].hd_key_paths
    assert not psbt.inputs[0].partial_sigs


def test_a_used_change_address_is_not_given_again(send, purse, payee) -> None:
    purse.fund(COIN)
    scripts = set()
    for options in ({"add_to_wallet": False}, {"psbt": True}, {}):
        result = send({payee: Decimal("0.1")}, options={**options, "change_type": "bech32"})
        tx = Tx.parse(bytes.fromhex(result["hex"])) if "hex" in result else purse.transaction(result["txid"])
        scripts |= {o.script_pub_key.script for o in tx.vout if purse.wallet.owner(o.script_pub_key.script)}
    assert len(scripts) == 3


def test_inputs_are_the_ones_named(send, purse, payee) -> None:
    funding = purse.fund(COIN, COIN, COIN)
    inputs = [{"txid": funding.id.hex(), "vout": 2, "sequence": 7}]
    tx = purse.transaction(send({payee: Decimal("0.1")}, options={"inputs": inputs})["txid"])
    assert [(tx_in.prev_out.vout, tx_in.sequence) for tx_in in tx.vin] == [(2, 7)]
    assert tx.lock_time == 0
    assert refusal(lambda: send({payee: 2}, options={"inputs": [{"txid": funding.id.hex(), "vout": 0}]})) == (
        -4,
        "The preselected coins total amount does not cover the transaction target. "
        "Please allow other inputs to be automatically selected or include more coins manually",
    )
    added = {"inputs": [{"txid": funding.id.hex(), "vout": 0}], "add_inputs": True}
    tx = purse.transaction(send({payee: Decimal("1.5")}, options=added)["txid"])
    assert {tx_in.prev_out.vout for tx_in in tx.vin} == {0, 1}


def test_options_go_into_the_transaction(send, purse, payee) -> None:
    purse.fund(COIN)
    there = encode_address(b"\x00\x14" + b"\x05" * 20, "regtest")
    options = {
        "add_to_wallet": False,
        "change_address": there,
        "change_position": 1,
        "locktime": 77,
        "replaceable": False,
        "fee_rate": Decimal("12.5"),
        "lock_unspents": True,
        "subtract_fee_from_outputs": [0],
    }
    tx = Tx.parse(bytes.fromhex(send([{payee: Decimal("0.5")}], options=options)["hex"]))
    assert tx.lock_time == 77
    assert [encode_address(output.script_pub_key.script, "regtest") for output in tx.vout] == [payee, there]
    assert [tx_in.sequence for tx_in in tx.vin] == [0xFFFFFFFE]
    assert tx.vout[0].value == COIN // 2 - purse.fee(tx)
    assert 0 <= purse.fee(tx) * 2 - tx.vsize * 25 <= 60
    assert purse.wallet.is_locked(OutPoint(tx.vin[0].prev_out.tx_id, tx.vin[0].prev_out.vout))


def test_refusals_of_send_are_cores(send, purse, payee) -> None:
    purse.fund(COIN)
    outputs = {payee: Decimal("0.1")}
    both = "Pass conf_target and estimate_mode either as arguments or in the options object, but not both"
    rate = "Pass the fee_rate either as an argument, or in the options object, but not both"
    for positional, options, expected in (
        ([6, "economical"], {"conf_target": 6}, (-8, both)),
        ([6], {}, (-8, "Specify estimate_mode")),
        ([None, None, 5], {"fee_rate": 5}, (-8, rate)),
        ([], {"feeRate": 1}, (-8, "Use fee_rate (sat/vB) instead of feeRate")),
        ([], {"changeAddress": payee}, (-8, "Use change_address instead of changeAddress")),
        ([], {"changePosition": 0}, (-8, "Use change_position instead of changePosition")),
        ([], {"lockUnspents": True}, (-8, "Use lock_unspents instead of lockUnspents")),
        ([], {"subtractFeeFromOutputs": [0]}, (-8, "Use subtract_fee_from_outputs instead of subtractFeeFromOutputs")),
        ([], {"input_weights": []}, (-8, "Input weights should be specified in inputs rather than in options.")),
        ([], {"change_address": "xyz"}, (-5, "Change address must be a valid bitcoin address")),
        ([], {"change_position": 2}, (-8, "changePosition out of bounds")),
        ([], {"change_type": "odd"}, (-5, "Unknown change type 'odd'")),
        (
            [],
            {"change_type": "bech32", "change_address": payee},
            (-8, "Cannot specify both change address and address type options"),
        ),
        ([], {"minconf": -1}, (-8, "Negative minconf")),
        ([], {"minconf": 3, "maxconf": 2}, (-8, "maxconf can't be lower than minconf: 2 < 3")),
        ([], {"unheard": 1}, (-3, "Unexpected key unheard")),
        ([], {"add_inputs": 1}, (-3, "JSON value of type number for field add_inputs is not of expected type bool")),
        ([], {"max_tx_weight": 200}, (-4, "Maximum transaction weight must be between 260 and 400000")),
        ([], {"locktime": -1}, (-8, "Invalid parameter, locktime out of range")),
        ([], {"minconf": 100}, (-4, "Insufficient funds")),
    ):  # fmt: skip
        assert refusal(lambda p=positional, o=options: send(outputs, *p, options=o)) == expected
    assert refusal(lambda: send({}, options={})) == (-8, "TX must have at least one output")
    assert refusal(lambda: send(outputs, version=4)) == (-8, "Invalid parameter, version out of range(1~3)")
    assert purse.wallet.balance().trusted == COIN


def test_everything_is_sent(send_all, purse, payee) -> None:
    for type in OutputType:
        purse.fund(COIN // 4, COIN // 7, type=type)
    result = send_all([payee], fee_rate=3)
    tx = purse.transaction(result["txid"])
    assert len(tx.vin) == 8
    assert len(tx.vout) == 1
    assert 0 <= purse.fee(tx) - 3 * tx.vsize <= 3 * 8
    assert purse.wallet.balance().trusted == 0
    assert result["txid"] in purse.node.mempool


def test_what_is_left_is_shared(send_all, purse, payee) -> None:
    purse.fund(COIN)
    third = encode_address(b"\x00\x14" + b"\x03" * 20, "regtest")
    tx = purse.transaction(send_all([payee, {OTHER: Decimal("0.25")}, third], fee_rate=1)["txid"])
    paid = {encode_address(output.script_pub_key.script, "regtest"): output.value for output in tx.vout}
    assert paid[OTHER] == 25_000_000
    rest = COIN - 25_000_000 - purse.fee(tx)
    assert (paid[payee], paid[third]) == (rest // 2 + rest % 2, rest // 2)


def test_coins_that_cost_more_than_they_are_worth_can_stay(send_all, purse, payee) -> None:
    purse.fund(COIN, 1_000, 500)
    options = {"add_to_wallet": False}
    every = Tx.parse(bytes.fromhex(send_all([payee], fee_rate=50, options=options)["hex"]))
    worthy = Tx.parse(bytes.fromhex(send_all([payee], fee_rate=50, options={**options, "send_max": True})["hex"]))
    assert (len(every.vin), len(worthy.vin)) == (3, 1)
    assert worthy.vout[0].value > every.vout[0].value


def test_a_waiting_payment_and_a_locked_coin_stay(send_all, purse, payee) -> None:
    funding = purse.fund(COIN, COIN)
    purse.wallet.lock_coins([OutPoint(funding.id, 1)])
    tx = purse.transaction(send_all([payee])["txid"])
    assert [tx_in.prev_out.vout for tx_in in tx.vin] == [0]


def test_named_inputs_alone_are_sent(send_all, purse, payee) -> None:
    funding = purse.fund(COIN, COIN, COIN)
    inputs = [{"txid": funding.id.hex(), "vout": 1}]
    tx = purse.transaction(send_all([payee], options={"inputs": inputs})["txid"])
    assert [tx_in.prev_out.vout for tx_in in tx.vin] == [1]
    utxo = f"UTXO ({funding.id.hex()}:1)"
    assert refusal(lambda: send_all([payee], options={"inputs": inputs})) == (
        -8,
        f"Input not available. {utxo} was already spent.",
    )
    unknown = [{"txid": "11" * 32, "vout": 0}]
    assert refusal(lambda: send_all([payee], options={"inputs": unknown})) == (
        -8,
        f"Input not found. UTXO ({'11' * 32}:0) is not part of wallet.",
    )
    for extra, words in (
        ({"send_max": True}, "Cannot combine send_max with specific inputs."),
        ({"minconf": 1}, "Cannot combine minconf or maxconf with specific inputs."),
    ):
        again = [{"txid": funding.id.hex(), "vout": 0}]
        assert refusal(lambda o={"inputs": again, **extra}: send_all([payee], options=o)) == (-8, words)


def test_refusals_of_sendall_are_cores(send_all, purse, payee) -> None:
    purse.fund(100_000)
    poor = "Total value of UTXO pool too low to pay for transaction"
    advice = ". Try using lower feerate or excluding uneconomic UTXOs with 'send_max' option."
    no_fee = "Insufficient funds for fees after creating specified outputs."
    dust = "Dynamically assigned remainder results in dust output."
    claimed = "Assigned more value to outputs than available funds."
    below = f"Specified output amount to {OTHER} is below dust threshold."
    for recipients, fee_rate, options, expected in (
        ([{payee: Decimal("0.1")}], None, {}, (-8, "Must provide at least one address without a specified amount")),
        ([payee, payee], None, {}, (-8, f"Invalid parameter, duplicated address: {payee}")),
        ([payee], None, {"minconf": -2}, (-8, "Invalid minconf (minconf cannot be negative): -2")),
        ([payee], 1_000, {}, (-6, poor + advice)),
        ([payee], 1_000, {"send_max": True}, (-6, f"{poor}, try using lower feerate.")),
        ([payee, {OTHER: 1}], None, {}, (-6, claimed)),
        ([payee, {OTHER: Decimal("0.001")}], 1, {}, (-6, no_fee)),
        ([payee, {OTHER: Decimal("0.00099700")}], 1, {}, (-6, dust)),
        ([payee, {OTHER: Decimal("0.00000100")}], 1, {}, (-8, below)),
        ([payee], "0.5", {}, (-8, "Fee rate (0.500 sat/vB) is lower than the minimum fee rate setting (1.000 sat/vB)."
            "\nConsider modifying -mintxfee (1.000 sat/vB) or -minrelaytxfee (0.100 sat/vB).")),
    ):  # fmt: skip
        assert refusal(lambda r=recipients, f=fee_rate, o=options: send_all(r, fee_rate=f, options=o)) == expected


def test_a_fee_above_the_persons_limit_is_refused(run, make_purse, call, payee) -> None:
    purse = make_purse(max_tx_fee=1_000)
    purse.fund(COIN)
    words = "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)"
    assert refusal(lambda: run(SendAllCommands(purse).sendall(call, [payee], fee_rate=20))) == (-4, words)
    assert refusal(lambda: run(SendCommands(purse).send(call, {payee: 0.5}, fee_rate=20))) == (-4, words)
