import json
from decimal import Decimal
from typing import Any

import pytest

from bitcoind_mp.interfaces.amounts import btc
from bitcoind_mp.interfaces.chain import BlockRef
from bitcoind_mp.interfaces.repeated import RepeatedMembers
from bitcoind_mp.ipc.wire.encoding import NO_JSON, NOT_JSON, decode, encode, with_repeats


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


def request(params: str) -> bytes:
    return b'{"method":"m","params":' + params.encode() + b"}"


def test_members_that_come_twice_are_seen() -> None:
    text = request('[{"a":0.10,"b":{"c":1},"a":2}]')
    (given,) = with_repeats(text, decode(text))["params"]
    assert isinstance(given, RepeatedMembers)
    assert (given, given.repeated) == ({"a": 2, "b": {"c": 1}}, "a")
    assert [(name, str(value)) for name, value in given.pairs if name == "a"] == [("a", "0.10"), ("a", "2")]
    assert type(given["b"]) is dict
    batch = b"[1," + text + b',{"id":3}]'
    first, second, third = with_repeats(batch, decode(batch))
    assert (first, third) == (1, {"id": 3})
    assert second["params"][0].repeated == "a"


@pytest.mark.parametrize(
    "text",
    [
        request('[{"a":1,"b":{"a":2}}]'),
        request('"text"'),
        b'{"id":1,"id":1,"method":"m"}',
        b'{"method":"chain.m","params":[{"a":1,"a":2}]}',
        b'{"method":"m","params":[{"a":1,"a":%s}]}' % (b"1" * 4400),
    ],
)
def test_what_repeats_nothing_or_is_between_processes_stays_as_it_is(text: bytes) -> None:
    message = json.loads(text, parse_int=str)
    assert with_repeats(text, message) is message
