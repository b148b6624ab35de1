"""Numbers as Core prints and reads them, and its words for values of the wrong type."""

from decimal import Decimal
from typing import Any

import pytest

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.render.json_values import check_object, expect, integer, real


@pytest.mark.parametrize(
    "value, printed",
    [
        (1.0, "1"),
        (0.0, "0"),
        (4.6565423739069247e-10, "4.656542373906925e-10"),
        (0.1 + 0.2, "0.3"),
        (2 / 3, "0.6666666666666666"),
        (1e15, "1000000000000000"),
        (1e17, "1e+17"),
    ],
)
def test_a_double_is_printed_in_sixteen_digits(value: float, printed: str) -> None:
    assert str(real(value)) == printed


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, Decimal("1.0"), Decimal("1e3")])
def test_a_number_that_is_no_int_is_out_of_range(value: Any) -> None:
    with pytest.raises(RpcError, match="JSON integer out of range"):
        integer(value)


@pytest.mark.parametrize(
    "value, kind",
    [(None, "null"), (True, "bool"), ({}, "object"), ([], "array"), ("x", "string"), (1, "number"), (1.5, "number")],
)
def test_a_value_of_another_type_is_named_by_it(value: Any, kind: str) -> None:
    assert expect(value, kind) is value
    other = "string" if kind != "string" else "number"
    with pytest.raises(RpcError) as caught:
        expect(value, other)
    assert caught.value.code == -3
    assert caught.value.message == f"JSON value of type {kind} is not of expected type {other}"


@pytest.mark.parametrize(
    "value, options, message",
    [
        ({}, {}, "Missing txid"),
        ({"txid": "a", "vout": "0"}, {}, "JSON value of type string for field vout is not of expected type number"),
        ({"txid": "a", "vout": 0, "more": 1}, {"strict": True}, "Unexpected key more"),
        ({"txid": 1}, {"allow_null": True}, "JSON value of type number for field txid is not of expected type string"),
    ],
)
def test_an_object_that_lacks_or_has_too_much_is_refused(value: Any, options: Any, message: str) -> None:
    with pytest.raises(RpcError) as caught:
        check_object(value, {"txid": "string", "vout": "number"}, **options)
    assert (caught.value.code, caught.value.message) == (-3, message)


def test_an_object_may_have_more_or_lack_something_where_that_is_allowed() -> None:
    check_object({"txid": "a", "vout": 0, "more": 1}, {"txid": "string", "vout": "number"})
    check_object({"txid": "a"}, {"txid": "string", "vout": "number"}, allow_null=True)
