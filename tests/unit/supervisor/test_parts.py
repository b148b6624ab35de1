"""Commands of which each worker has a part, where one of them answers what it likes."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from bitcoind_mp.ipc.session import Session
from bitcoind_mp.supervisor.parts import SharedCommands


class Answering:
    """A connection to a worker that answers each call alike."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def call(self, method: str, params: list[Any], *, timeout: float) -> Any:  # noqa: ASYNC109
        return self._answer


@pytest.mark.parametrize("answer", [None, 7, "net", ["net"], {"net": "yes"}, {"net": {}}, [[], {}], {"odd": True}])
def test_no_answer_of_a_workers_spoils_the_others(answer: Any) -> None:
    async def connect(unit: str) -> Session:
        return cast(Session, Answering({"net": True} if unit == "node" else answer))

    tables = {"node": Path("node.json"), "wallet": Path("wallet.json")}
    commands = SharedCommands(list, connect, tables)
    found = asyncio.run(commands.logging())
    assert found["net"] is True
    assert found.get("odd", False) is (answer == {"odd": True})
