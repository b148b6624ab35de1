"""What no chain could make valid, in Core's words."""

import json
from pathlib import Path
from typing import Any

import pytest
from btclib.tx import OutPoint, Tx, TxIn, TxOut
from btclib.tx.coin import Coin

from bitcoind_mp.node.mempool.rejected import Kind, Rejected
from bitcoind_mp.node.mempool.transaction import check_transaction, fee_of

COIN = 100_000_000
MAX_MONEY = 21_000_000 * COIN
POINT = OutPoint(b"\x01" * 32, 0)


def tx(vin: list[TxIn] | None = None, vout: list[TxOut] | None = None) -> Tx:
    vin = [TxIn(POINT)] if vin is None else vin
    vout = [out(COIN)] if vout is None else vout
    return Tx(2, 0, vin, vout, check_validity=False)


def out(value: int, script: bytes = b"\x51") -> TxOut:
    return TxOut(value, script, check_validity=False)


def check(transaction: Tx) -> None:
    size = len(transaction.serialize(include_witness=False, check_validity=False))
    check_transaction(transaction, size)


CASES = {
    "bad-txns-vin-empty": tx(vin=[]),
    "bad-txns-vout-empty": tx(vout=[]),
    "bad-txns-oversize": tx(vout=[out(0, b"\x6a" + b"\x00" * 1_000_000)]),
    "bad-txns-vout-negative": tx(vout=[out(-1)]),
    "bad-txns-vout-toolarge": tx(vout=[out(MAX_MONEY + 1)]),
    "bad-txns-txouttotal-toolarge": tx(vout=[out(MAX_MONEY), out(1)]),
    "bad-txns-inputs-duplicate": tx(vin=[TxIn(POINT), TxIn(POINT)]),
    "bad-cb-length": tx(vin=[TxIn(OutPoint(), b"\x00")]),
    "bad-txns-prevout-null": tx(vin=[TxIn(POINT), TxIn(OutPoint())]),
}


@pytest.mark.parametrize("reason", CASES)
def test_each_rule_has_its_word(reason: str) -> None:
    with pytest.raises(Rejected) as refused:
        check(CASES[reason])
    assert (refused.value.reason, refused.value.kind) == (reason, Kind.CONSENSUS)


def test_an_ordinary_transaction_passes() -> None:
    check(tx())


def test_cores_bad_transactions_are_refused(vectors: Path) -> None:
    bad = [row for row in json.loads((vectors / "core-data" / "tx_invalid.json").read_text()) if row[-1] == "BADTX"]
    reasons = set()
    for row in bad:
        with pytest.raises(Rejected) as refused:
            check(Tx.parse(bytes.fromhex(row[1]), check_validity=False))
        reasons.add(refused.value.reason)
    assert len(bad) == 9
    assert reasons >= {"bad-txns-vout-negative", "bad-txns-inputs-duplicate", "bad-txns-vout-empty", "bad-cb-length"}


def test_cores_good_transactions_pass(vectors: Path) -> None:
    good = [row for row in json.loads((vectors / "core-data" / "tx_valid.json").read_text()) if len(row) == 3]
    for row in good:
        check(Tx.parse(bytes.fromhex(row[1]), check_validity=False))
    assert len(good) > 100


def coin(value: int, *, height: int = 1, coinbase: bool = False) -> Coin:
    return Coin(out(value), height, coinbase, check_validity=False)


@pytest.mark.parametrize(
    ("coins", "words"),
    [
        (
            [coin(COIN, height=2, coinbase=True)],
            "bad-txns-premature-spend-of-coinbase, tried to spend coinbase at depth 99",
        ),
        ([coin(MAX_MONEY + 1)], "bad-txns-inputvalues-outofrange"),
        ([coin(MAX_MONEY), coin(1)], "bad-txns-inputvalues-outofrange"),
        ([coin(COIN - 1)], "bad-txns-in-belowout, value in (0.99999999) < value out (1.00)"),
    ],
)
def test_coins_must_be_ripe_and_enough(coins: list[Coin], words: str) -> None:
    with pytest.raises(Rejected) as refused:
        fee_of(tx(vin=[TxIn(POINT)] * len(coins)), coins, 101)
    assert str(refused.value) == words


@pytest.mark.parametrize(("height", "fee"), [(1, 500), (1000, 500)])
def test_the_fee_is_what_is_left(height: int, fee: int) -> None:
    coins: list[Any] = [coin(COIN + fee, height=1, coinbase=True)]
    assert fee_of(tx(), coins, height + 100) == fee
