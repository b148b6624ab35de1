"""A worker's commands about its own process."""

import asyncio
import logging
from collections.abc import Iterator

import pytest

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.service.activation import Activation
from bitcoind_mp.service.control import ProcessCommands
from bitcoind_mp.service.notify import from_environment
from bitcoind_mp.service.worker import Host


@pytest.fixture
def host() -> Host:
    return Host(Activation({}), from_environment({}))


@pytest.fixture
def commands(host: Host) -> Iterator[ProcessCommands]:
    names = [f"bitcoind_mp.{name}" for name in ("net", "mempool")]
    before = {name: logging.getLogger(name).level for name in names}
    yield ProcessCommands(host, "node")
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def test_stop_is_answered_and_asks_the_process_to_end(commands: ProcessCommands, host: Host) -> None:
    assert asyncio.run(commands.stop()) == "Bitcoin node stopping"
    assert host.stopping.is_set()


def test_uptime_is_in_whole_seconds(commands: ProcessCommands) -> None:
    assert commands.uptime() == 0


def test_a_category_both_included_and_excluded_is_excluded(commands: ProcessCommands) -> None:
    state = commands.logging(["net", "mempool"], ["net"])
    assert (state["net"], state["mempool"]) == (False, True)


def test_an_unknown_category_is_named(commands: ProcessCommands) -> None:
    with pytest.raises(RpcError, match=r"^unknown logging category nonsense$") as caught:
        commands.logging(["nonsense"])
    assert caught.value.code == -8
