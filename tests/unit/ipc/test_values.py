from typing import Any

import pytest

from bitcoind_mp.interfaces.chain import BlockRef, Chain, ChainStatus, Follower
from bitcoind_mp.interfaces.command import Secret, interface_method
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.events import Events, EventSink
from bitcoind_mp.ipc.declared.signature import declared
from bitcoind_mp.ipc.declared.values import Values, callback_interface
from bitcoind_mp.ipc.wire.encoding import decode, encode


def values(interface: type, attribute: str) -> Values:
    return Values(declared(interface)[attribute])


class Recorder:
    """A connection that remembers what it was to serve."""

    def __init__(self) -> None:
        self.served: list[object] = []

    def serve(self, *objects: object) -> int:
        self.served += objects
        return len(self.served)


@pytest.mark.parametrize(
    "annotation, found",
    [
        (Follower, Follower),
        (Follower | None, Follower),
        (EventSink, EventSink),
        (str, None),
        (list[str], None),
        (BlockRef, None),
        (dict, None),
    ],
)
def test_a_callback_is_known_by_its_annotation(annotation: Any, found: Any) -> None:
    assert callback_interface(annotation) is found


def test_a_callback_crosses_as_a_number() -> None:
    connection, sink = Recorder(), object()
    assert values(Events, "subscribe").to_wire([["tip"], sink], connection) == [["tip"], 1]
    assert connection.served == [sink]
    assert values(Chain, "follow").to_wire([[], None, 5], connection) == [[], 0, 5]


@pytest.mark.parametrize(
    "attribute, params, arguments",
    [
        ("status", None, []),
        ("find_by_time", [5, 0], [5, 0]),
        ("find_by_time", {"min_height": 1, "time": 5}, [5, 1]),
        ("follow", [["aa"], 3], [["aa"], 3, None]),
        ("coins", [[["aa", 0]]], [[("aa", 0)]]),
    ],
)
def test_params_become_arguments(attribute: str, params: Any, arguments: list[Any]) -> None:
    assert values(Chain, attribute).from_wire(params) == arguments


@pytest.mark.parametrize(
    "attribute, params, words",
    [
        ("status", [1], "chain.status takes nothing"),
        ("find_by_time", [5], "chain.find_by_time takes time, min_height"),
        ("find_by_time", {"time": 5}, "chain.find_by_time needs min_height"),
        ("find_by_time", {"time": 5, "min_height": 0, "x": 0}, "chain.find_by_time has no parameter x"),
        ("find_by_time", ["5", 0], "time: Expected `int`, got `str`"),
        ("coins", [[["aa"]]], "outpoints: Expected `array` of length 2"),
        ("follow", [["aa"], "x"], "follower: Expected `int`, got `str`"),
    ],
)
def test_params_that_don_t_fit_are_refused(attribute: str, params: Any, words: str) -> None:
    with pytest.raises(RpcError) as caught:
        values(Chain, attribute).from_wire(params)
    assert caught.value.code == RpcCode.INVALID_PARAMS and caught.value.message.startswith(words)


def test_results_come_back_as_what_they_were() -> None:
    status = ChainStatus("regtest", BlockRef("00", 5, 6, 7), 5, False, 8)
    assert values(Chain, "status").result(decode(encode(status))) == status
    assert values(Chain, "find_block").result(None) is None
    with pytest.raises(RpcError, match="answered what it shouldn't"):
        values(Chain, "status").result({"chain": "regtest"})


def test_annotated_parameters_cross() -> None:
    class Unlocking:
        @interface_method("x.unlock")
        async def unlock(self, passphrase: Secret) -> None:
            """Unlock."""

    assert values(Unlocking, "unlock").from_wire(["p"]) == ["p"]


def test_a_default_holds_by_position_and_by_name() -> None:
    class Defaulted:
        @interface_method("x.call")
        async def call(self, a: int, b: int = 5, c: str = "c") -> None:
            """Call."""

    assert values(Defaulted, "call").from_wire([1]) == [1, 5, "c"]
    assert values(Defaulted, "call").from_wire({"a": 1, "c": "d"}) == [1, 5, "d"]
