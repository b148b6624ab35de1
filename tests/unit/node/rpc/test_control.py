"""The node's clock, memory and indexes; fees; and what is answered while no coin can be looked up."""

from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

from bitcoind_mp.interfaces.chain import FeeEstimate
from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.node.chain.clock import Clock
from bitcoind_mp.node.chain.coins import CoinsUnavailable
from bitcoind_mp.node.rpc.control import NodeControlCommands
from bitcoind_mp.node.rpc.fees import FeeCommands
from bitcoind_mp.node.rpc.lookup import Lookup


def control(clock: Clock, *, mockable: bool = True, indexes: Any = ()) -> NodeControlCommands:
    found: Any = SimpleNamespace(all=[SimpleNamespace(state=state) for state in indexes])
    return NodeControlCommands(clock, found, mockable=mockable)


def test_the_clock_stands_still_and_goes_on() -> None:
    clock = Clock(0)
    control(clock).setmocktime(1_700_000_000)
    assert clock.now() == 1_700_000_000
    control(clock).setmocktime(0)
    assert clock.now() > 1_750_000_000


def test_only_regtests_clock_is_set() -> None:
    with pytest.raises(RpcError, match="for regression testing") as caught:
        control(Clock(0), mockable=False).setmocktime(5)
    assert caught.value.code == -1


def test_memory_is_told_in_numbers_and_by_the_c_library() -> None:
    told = control(Clock(0)).getmemoryinfo()
    assert list(told["locked"]) == ["used", "free", "total", "locked", "chunks_used", "chunks_free"]
    assert ElementTree.fromstring(control(Clock(0)).getmemoryinfo("mallocinfo")).tag == "malloc"


def test_an_index_is_told_by_its_name() -> None:
    states = [
        SimpleNamespace(name="txindex", synced=True, best_height=5),
        SimpleNamespace(name="basic block filter index", synced=False, best_height=3),
    ]
    commands = control(Clock(0), indexes=states)
    assert list(commands.getindexinfo()) == ["txindex", "basic block filter index"]
    assert commands.getindexinfo("txindex") == {"txindex": {"synced": True, "best_block_height": 5}}
    assert commands.getindexinfo("none") == {}


@pytest.mark.parametrize(
    "estimate, told",
    [
        (FeeEstimate(20035, 3, []), {"feerate": "0.00020035", "blocks": 3}),
        (FeeEstimate(None, 2, ["Too little"]), {"errors": ["Too little"], "blocks": 2}),
    ],
)
def test_an_estimate_is_told(estimate: FeeEstimate, told: dict[str, Any]) -> None:
    asked: list[Any] = []

    def estimate_fee(target: int, *, conservative: bool) -> FeeEstimate:
        asked.append((target, conservative))
        return estimate

    mempool: Any = SimpleNamespace(estimator=SimpleNamespace(highest_target=1008), estimate_fee=estimate_fee)
    answer = FeeCommands(mempool).estimatesmartfee(6, "CONSERVATIVE")
    assert {name: str(value) if name == "feerate" else value for name, value in answer.items()} == told
    assert list(answer) == list(told)
    assert asked == [(6, True)]


def test_while_coins_cant_be_looked_up_the_caller_is_told_to_come_again(mempool: Any) -> None:
    def get(outpoint: Any) -> None:
        raise CoinsUnavailable

    chain: Any = SimpleNamespace(coins=SimpleNamespace(get=get))
    with pytest.raises(RpcError) as caught:
        Lookup(chain, mempool, None).unspent((bytes(32), 0))
    assert caught.value.code == -10
    assert caught.value.message == str(CoinsUnavailable())
