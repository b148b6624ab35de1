"""Outputs as they are named in a payment."""

from decimal import Decimal

import pytest

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.interfaces.repeated import RepeatedMembers
from bitcoind_mp.render.construct import parse_outputs

ADDRESS = "bcrt1qs758ursh4q9z627kt3pp5yysm78ddny6txaqgw"


def pairs(*members: tuple[str, object]) -> RepeatedMembers:
    return RepeatedMembers(list(members))


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        (pairs((ADDRESS, 1), (ADDRESS, 2)), f"duplicated address: {ADDRESS}"),
        (pairs((ADDRESS, 1), (ADDRESS.upper(), 2)), f"duplicated address: {ADDRESS.upper()}"),
        ([{ADDRESS: 1}, {ADDRESS: 2}], f"duplicated address: {ADDRESS}"),
        (pairs(("data", "aa"), ("data", "bb")), "duplicate key: data"),
        ([pairs((ADDRESS, 1), (ADDRESS, 2))], "key-value pair must contain exactly one key"),
    ],
)
def test_who_is_named_twice_is_refused(outputs: object, words: str) -> None:
    with pytest.raises(RpcError, match=words):
        parse_outputs(outputs, "regtest")


def test_each_is_paid() -> None:
    (_, first), (script, nothing) = parse_outputs({ADDRESS: Decimal("0.1"), "data": "aa"}, "regtest")
    assert (first, nothing, script.hex()) == (10_000_000, 0, "6a01aa")
