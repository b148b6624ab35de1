from decimal import Decimal
from typing import Any

import pytest

from bitcoind_mp.interfaces.amounts import btc
from bitcoind_mp.interfaces.chain import BlockRef
from bitcoind_mp.ipc.encoding import NO_JSON, NOT_JSON, decode, encode


@pytest.mark.parametrize(
    "satoshis, text", [(0, b"0.00000000"), (1, b"0.00000001"), (5_000_000_000, b"50.00000000"), (-150, b"-0.00000150")]
)
def test_amounts_keep_their_eight_digits(satoshis: int, text: bytes) -> None:
    assert encode(btc(satoshis)) == text
    assert encode({"a": [btc(satoshis), ("E-", None)]}) == b'{"a":[' + text + b',["E-",null]]}'
    assert decode(text) == btc(satoshis)
    assert str(decode(b"1.50")) == "1.50"


def test_whole_numbers_stay_whole() -> None:
    assert type(decode(b"1")) is int
    assert encode(2**70) == str(2**70).encode()


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"nonsense", b'"\xff"', b"\xff\xfe{}", b"[" * 100_000, b"NaN", b'"\\ud800"', b"1" * 5000, b"{1:2}"],
)
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(NOT_JSON):
        decode(text)


def _deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [object(), {"x": {1: object()}}, "\ud800", _deep(), Decimal("NaN"), [Decimal("Infinity")]]
)
def test_what_has_no_json_is_refused(value: Any) -> None:
    with pytest.raises(NO_JSON):
        encode(value)


def test_dataclasses_and_tuples_are_written() -> None:
    assert encode((BlockRef("00", 1, 2, 3),)) == b'[{"hash":"00","height":1,"time":2,"median_time":3}]'
