"""`fundrawtransaction` and `walletcreatefundedpsbt`."""

from decimal import Decimal

import pytest
from btclib.tx import Tx

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.render.construct import construct_transaction
from bitcoind_mp.signing.psbt_reader import decode_psbt
from bitcoind_mp.wallet.coins import OutPoint, OutputType
from bitcoind_mp.wallet.rpc.fund import FundCommands
from bitcoind_mp.wallet.rpc.psbt import PsbtCommands
from bitcoind_mp.wallet.spend.rates import fee_for
from bitcoind_mp.wallet.storage.flags import DISABLE_PRIVATE_KEYS

COIN = 100_000_000


@pytest.fixture
def fund(run, purse, call):
    return lambda raw, options=None, **named: run(FundCommands(purse).fundrawtransaction(call, raw, options, **named))


@pytest.fixture
def create_psbt(run, purse, call):
    commands = FundCommands(purse)
    return lambda inputs, outputs, locktime=0, options=None, **named: run(
        commands.walletcreatefundedpsbt(call, inputs, outputs, locktime, options, **named)
    )


def raw(inputs, outputs, locktime=0) -> str:
    tx = construct_transaction(inputs, outputs, locktime, True, 2, "regtest")
    return tx.serialize(include_witness=False, check_validity=False).hex()


def refusal(action) -> tuple[int, str]:
    with pytest.raises(RpcError) as caught:
        action()
    return caught.value.code, caught.value.message


def test_coins_and_change_are_added(fund, purse, payee) -> None:
    purse.fund(COIN)
    result = fund(raw([], {payee: Decimal("0.3")}), {"fee_rate": 7})
    assert list(result) == ["hex", "fee", "changepos"]
    tx = Tx.parse(bytes.fromhex(result["hex"]))
    assert int(result["fee"] * COIN) == purse.fee(tx)
    assert len(tx.vout) == 2
    assert purse.wallet.owner(tx.vout[result["changepos"]].script_pub_key.script)
    assert tx.vout[1 - result["changepos"]].value == 30_000_000
    assert [tx_in.script_sig + b"".join(tx_in.script_witness.stack) for tx_in in tx.vin] == [b""]
    assert tx.lock_time == 0


def test_a_watch_only_wallet_leaves_room_for_signatures_that_are_not_ground(fund, purse, payee) -> None:
    """Who signs for it may not grind: a byte more for each, or the rate falls below what was asked for."""
    purse.fund(COIN, type=OutputType.LEGACY)
    asked = raw([], {payee: Decimal("0.3")})
    ours = fund(asked, {"fee_rate": 10})["fee"]
    with purse.wallet.ledger.transaction():
        purse.wallet.flags.set(DISABLE_PRIVATE_KEYS)
    assert fund(asked, {"fee_rate": 10})["fee"] - ours == Decimal("0.0000001")


def test_the_inputs_that_are_there_are_kept_in_front(fund, purse, payee) -> None:
    funding = purse.fund(*[COIN] * 3)
    given = [{"txid": funding.id.hex(), "vout": 2, "sequence": 9}]
    tx = Tx.parse(bytes.fromhex(fund(raw(given, {payee: Decimal("1.5")}, 5))["hex"]))
    assert (tx.vin[0].prev_out.vout, tx.vin[0].sequence) == (2, 9)
    assert (len(tx.vin), tx.lock_time) == (2, 5)


def test_without_change_there_is_no_position(fund, purse, payee) -> None:
    purse.fund(COIN)
    result = fund(raw([], {payee: 1}), {"subtractFeeFromOutputs": [0]})
    assert result["changepos"] == -1


def test_an_explicit_rate_may_be_below_what_is_relayed(fund, purse, payee) -> None:
    purse.fund(COIN)
    tx = Tx.parse(bytes.fromhex(fund(raw([], {payee: Decimal("0.5")}), {"fee_rate": "0.1"})["hex"]))
    assert purse.fee(tx) < tx.vsize
    tx = Tx.parse(bytes.fromhex(fund(raw([], {payee: Decimal("0.5")}), {"feeRate": "0.00000100"})["hex"]))
    assert purse.fee(tx) < tx.vsize


def test_an_input_of_anothers_needs_solving_data_or_a_weight(fund, purse, payee) -> None:
    purse.fund(COIN)
    sec = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
    script = bytes.fromhex("0014751e76e8199196d454941c45d1b3a323f1433bd6")
    stranger = purse.fund(COIN, script=script)
    given = raw([{"txid": stranger.id.hex(), "vout": 0}], {payee: Decimal("0.5")})
    assert refusal(lambda: fund(given)) == (
        -4,
        f"Not solvable pre-selected input COutPoint({stranger.id.hex()[:10]}, 0)",
    )
    solved = fund(given, {"solving_data": {"pubkeys": [sec.hex()]}, "fee_rate": 10, "add_inputs": False})
    weight = {"txid": stranger.id.hex(), "vout": 0, "weight": 273}
    weighed = fund(given, {"input_weights": [weight], "fee_rate": 10, "add_inputs": False})
    described = fund(
        given,
        {"solving_data": {"descriptors": [f"wpkh({sec.hex()})#ucxz0gak"]}, "fee_rate": 10, "add_inputs": False},
    )
    # another's signer may not grind: 72 bytes of signature, 273 weight units in all
    assert solved["fee"] == weighed["fee"] == described["fee"]
    missing = raw([{"txid": "22" * 32, "vout": 0}], {payee: Decimal("0.5")})
    assert refusal(lambda: fund(missing)) == (-4, "Unable to find UTXO for external input")


def test_a_weight_makes_an_input_as_heavy_as_it_says(fund, purse, payee) -> None:
    funding = purse.fund(COIN)
    given = raw([{"txid": funding.id.hex(), "vout": 0}], {payee: Decimal("0.5")})
    light = fund(given, {"fee_rate": 10})
    weights = [{"txid": funding.id.hex(), "vout": 0, "weight": 2_000}]
    heavy = fund(given, {"fee_rate": 10, "input_weights": weights})
    assert int((heavy["fee"] - light["fee"]) * COIN) == pytest.approx((2_000 - 272) / 4 * 10, abs=10)


def test_refusals_of_options_are_cores(fund, purse, payee) -> None:
    purse.fund(COIN)
    given = raw([], {payee: Decimal("0.5")})
    point = {"txid": "11" * 32, "vout": 0}
    for options, expected in (
        ({"feeRate": 1, "fee_rate": 1}, (-8, "Cannot specify both fee_rate (sat/vB) and feeRate (BTC/kvB)")),
        ({"feeRate": 1, "estimate_mode": "economical"}, (-8, "Cannot specify both estimate_mode and feeRate")),
        ({"solving_data": {"pubkeys": ["xy"]}}, (-5, 'Pubkey "xy" must be a hex string')),
        ({"solving_data": {"pubkeys": ["02"]}}, (-5, 'Pubkey "02" must have a length of either 33 or 65 bytes')),
        (
            {"solving_data": {"pubkeys": ["02" + "00" * 32]}},
            (-5, f'Pubkey "02{"00" * 32}" must be cryptographically valid.'),
        ),
        ({"solving_data": {"scripts": ["zz"]}}, (-5, "'zz' is not hex")),
        (
            {"solving_data": {"descriptors": ["pkh(02)"]}},
            (-8, "Unable to parse descriptor 'pkh(02)': Missing checksum"),
        ),
        ({"input_weights": [{"txid": "11" * 32}]}, (-8, "Invalid parameter, missing vout key")),
        ({"input_weights": [{**point, "vout": -1}]}, (-8, "Invalid parameter, vout cannot be negative")),
        ({"input_weights": [point]}, (-8, "Invalid parameter, missing weight key")),
        (
            {"input_weights": [{**point, "weight": 164}]},
            (-8, "Invalid parameter, weight cannot be less than 165 (41 bytes (size of outpoint + sequence + empty "
                "scriptSig) * 4 (witness scaling factor)) + 1 (empty witness)"),
        ),
        (
            {"input_weights": [{**point, "weight": 400_001}]},
            (-8, "Invalid parameter, weight cannot be greater than the maximum standard tx weight of 400000"),
        ),
        ({"subtractFeeFromOutputs": ["dummy", 0]}, (-8,
            "Invalid parameter 'subtract fee from output', duplicated position: 0")),
    ):  # fmt: skip
        assert refusal(lambda o=options: fund(given, o)) == expected
    assert refusal(lambda: fund("zz")) == (-22, "TX decode failed")
    assert refusal(lambda: fund(raw([], []))) == (-8, "TX must have at least one output")
    assert fund(given, True)["changepos"] in (0, 1)


def test_a_psbt_is_created_funded_and_told_about(create_psbt, purse, payee) -> None:
    purse.fund(COIN, type=OutputType.P2SH_SEGWIT)
    result = create_psbt([], [{payee: Decimal("0.4")}], 0, {"fee_rate": 3, "lockUnspents": True})
    assert list(result) == ["psbt", "fee", "changepos"]
    psbt = decode_psbt(result["psbt"])
    tx = psbt.tx
    assert int(result["fee"] * COIN) == purse.fee(tx) >= fee_for(3_000, tx.vsize)
    spent = psbt.inputs[0]
    assert spent.redeem_script
    assert spent.hd_key_paths
    assert spent.non_witness_utxo is not None
    change = psbt.outputs[result["changepos"]]
    assert change.hd_key_paths or change.taproot_hd_key_paths
    assert purse.wallet.is_locked(OutPoint(tx.vin[0].prev_out.tx_id, 0))
    assert purse.node.received == []


def test_derivations_can_be_kept_back(create_psbt, purse, payee) -> None:
    purse.fund(COIN)
    psbt = decode_psbt(create_psbt([], [{payee: Decimal("0.4")}], bip32derivs=False)["psbt"])
    assert not psbt.inputs[0].hd_key_paths
    assert not any(output.hd_key_paths or output.taproot_hd_key_paths for output in psbt.outputs)


def test_a_created_psbt_can_be_signed_and_sent(run, create_psbt, purse, call, payee) -> None:
    for type in OutputType:
        purse.fund(COIN, type=type)
    result = create_psbt([], {payee: Decimal("3.5")}, 0, {"fee_rate": 5})
    done = run(PsbtCommands(purse).walletprocesspsbt(call, result["psbt"]))
    assert done["complete"] is True
    assert run(purse.node.broadcast(done["hex"], None)) in purse.node.mempool


def test_a_null_output_is_refused(create_psbt) -> None:
    words = "Invalid parameter, output argument must be non-null"
    assert refusal(lambda: create_psbt([], None)) == (-8, words)
