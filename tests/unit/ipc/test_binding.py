"""Bitcoin Core's rules, in the order it applies them: named to positional, number of arguments, types, values."""

from decimal import Decimal
from typing import Any

import pytest

from bitcoind_mp.interfaces.command import DECLARATION, command
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.ipc.declared.binding import Binder
from bitcoind_mp.ipc.declared.signature import read_method

HASH = "ab" * 32
RAW = bytes.fromhex(HASH)


@pytest.fixture
def bind(example: type) -> Any:
    def bind(name: str, params: Any) -> list[Any]:
        function = vars(example)[name]
        method = read_method(function, getattr(function, DECLARATION))
        return Binder(method, lambda: "usage").bind(params)

    return bind


@pytest.mark.parametrize(
    "name, params, bound",
    [
        ("getblockcount", [], []),
        ("getblockcount", {}, []),
        ("getblockcount", None, []),
        ("getblock", [HASH], [RAW, 1]),
        ("getblock", [HASH, None], [RAW, 1]),
        ("getblock", [HASH, True], [RAW, True]),
        ("getblock", {"blockhash": HASH, "verbose": 2}, [RAW, 2]),
        ("getblock", {"verbosity": 0, "blockhash": HASH}, [RAW, 0]),
        ("getblock", {"args": [HASH], "verbosity": 3}, [RAW, 3]),
        ("getblock", {"args": [HASH, 2]}, [RAW, 2]),
        ("gettxoutproof", [["a", "b"]], [["a", "b"], None]),
        ("gettxoutproof", [[], HASH], [[], RAW]),
        ("send", [[], "0.1"], [[], 10_000_000, None]),
        ("send", {"outputs": [], "options": {"replaceable": True}}, [[], 7, {"replaceable": True}]),
        (
            "send",
            {"outputs": [], "conf_target": 6, "replaceable": False},
            [[], 7, {"conf_target": 6, "replaceable": False}],
        ),
        ("send", {"args": [[], Decimal("0.5")], "conf_target": 1}, [[], 50_000_000, {"conf_target": 1}]),
        ("difficulty", [3], [3.0]),
        ("keypoolrefill", [2**31 - 1], [2**31 - 1]),
        ("keypoolrefill", [-(2**31)], [-(2**31)]),
        ("keypoolrefill", [None], [None]),
        ("difficulty", [Decimal("0.25")], [0.25]),
    ],
)
def test_binds(bind: Any, name: str, params: Any, bound: list[Any]) -> None:
    assert bind(name, params) == bound


class _WithHole:
    @command("mining")
    def prioritisetransaction(self, txid: str, dummy: float | None, fee_delta: int) -> None:
        """An optional parameter, and one after it that isn't."""


@pytest.mark.parametrize(
    "params, bound", [(["a", None, 5], ["a", None, 5]), ({"txid": "a", "fee_delta": 5}, ["a", None, 5])]
)
def test_a_parameter_that_may_be_none_may_be_left_out_before_a_required_one(params: Any, bound: list[Any]) -> None:
    function = _WithHole.prioritisetransaction
    binder = Binder(read_method(function, getattr(function, DECLARATION)), lambda: "usage")
    assert binder.bind(params) == bound
    with pytest.raises(RpcError, match="usage"):
        binder.bind(["a", 0])


@pytest.mark.parametrize(
    "name, params, code, message",
    [
        ("getblockcount", [1], RpcCode.MISC_ERROR, "usage"),
        ("getblock", [], RpcCode.MISC_ERROR, "usage"),
        ("getblock", {}, RpcCode.MISC_ERROR, "usage"),
        ("getblock", [HASH, 1, 2], RpcCode.MISC_ERROR, "usage"),
        ("getblock", {"args": [HASH, 1, 2]}, RpcCode.MISC_ERROR, "usage"),
        ("getblock", {"blockhash": HASH, "x": 1}, RpcCode.INVALID_PARAMETER, "Unknown named parameter x"),
        ("getblock", {"args": 5}, RpcCode.INVALID_PARAMETER, "Unknown named parameter args"),
        (
            "getblock",
            {"args": [HASH], "blockhash": HASH},
            RpcCode.INVALID_PARAMETER,
            "Parameter blockhash specified twice both as positional and named argument",
        ),
        (
            "send",
            {"outputs": [], "options": {}, "conf_target": 1},
            RpcCode.INVALID_PARAMETER,
            "Parameter options conflicts with parameter conf_target",
        ),
        (
            "getblock",
            [5],
            RpcCode.TYPE_ERROR,
            'Wrong type passed:\n{\n    "Position 1 (blockhash)": '
            '"JSON value of type number is not of expected type string"\n}',
        ),
        (
            "getblock",
            {"verbosity": 1},
            RpcCode.TYPE_ERROR,
            'Wrong type passed:\n{\n    "Position 1 (blockhash)": '
            '"JSON value of type null is not of expected type string"\n}',
        ),
        (
            "send",
            [{}, 1, []],
            RpcCode.TYPE_ERROR,
            'Wrong type passed:\n{\n    "Position 1 (outputs)": '
            '"JSON value of type object is not of expected type array",\n'
            '    "Position 3 (options)": "JSON value of type array is not of expected type object"\n}',
        ),
        ("getblock", [HASH, "1"], RpcCode.TYPE_ERROR, "JSON value of type string is not of expected type number"),
        ("getblock", [HASH, Decimal("1.5")], RpcCode.MISC_ERROR, "JSON integer out of range"),
        ("getblock", [HASH, 2**63], RpcCode.MISC_ERROR, "JSON integer out of range"),
        ("getblock", ["ab"], RpcCode.INVALID_PARAMETER, "blockhash must be of length 64 (not 2, for 'ab')"),
        ("gettxoutproof", [[1]], RpcCode.TYPE_ERROR, "JSON value of type number is not of expected type string"),
        ("send", [[], "x"], RpcCode.TYPE_ERROR, "Invalid amount"),
        ("send", [[], -1], RpcCode.TYPE_ERROR, "Amount out of range"),
        ("send", [[], Decimal("1E+400000000")], RpcCode.TYPE_ERROR, "Invalid amount"),
        ("difficulty", [Decimal("1E+4000")], RpcCode.MISC_ERROR, "JSON double out of range"),
        ("keypoolrefill", [2**31], RpcCode.MISC_ERROR, "JSON integer out of range"),
        ("keypoolrefill", [Decimal("1.5")], RpcCode.MISC_ERROR, "JSON integer out of range"),
        (
            "keypoolrefill",
            ["20"],
            RpcCode.TYPE_ERROR,
            'Wrong type passed:\n{\n    "Position 1 (newsize)": '
            '"JSON value of type string is not of expected type number"\n}',
        ),
        ("difficulty", [10**400], RpcCode.MISC_ERROR, "JSON double out of range"),
    ],
)
def test_refuses_in_core_s_words(bind: Any, name: str, params: Any, code: RpcCode, message: str) -> None:
    with pytest.raises(RpcError) as caught:
        bind(name, params)
    assert (caught.value.code, caught.value.message) == (code, message)


def test_an_alias_is_named_in_a_type_error(bind: Any) -> None:
    from bitcoind_mp.interfaces.command import command

    class Aliased:
        @command("x", aliases={"old": "new"})
        def call(self, new: str) -> None:
            """It."""

    function = Aliased.call
    binder = Binder(read_method(function, getattr(function, DECLARATION)), lambda: "usage")
    with pytest.raises(RpcError, match=r"Position 1 \(new\|old\)"):
        binder.bind([1])


def test_defaults_are_not_shared_between_calls(bind: Any) -> None:
    first = bind("getblock", [HASH])
    first[0] = b""
    assert bind("getblock", [HASH]) == [RAW, 1]


def test_what_has_no_json_type_can_t_be_declared() -> None:
    from bitcoind_mp.interfaces.command import Declaration

    def unannotated(self, x):  # type: ignore[no-untyped-def]
        pass

    def keyword(self: Any, *, x: int) -> None:
        pass

    def bytes_(self: Any, x: bytes) -> None:
        pass

    for function in (unannotated, keyword, bytes_):
        with pytest.raises(TypeError):
            read_method(function, Declaration("f", "topic"))
