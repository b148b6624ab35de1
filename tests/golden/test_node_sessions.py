"""Whole conversations with Bitcoin Core v31, replayed: odd parameters, errors, and what changes chain and mempool.

Each file in ``sessions/`` was had with Core over the vectors' directory, at their mocked time: one step a line, in
order. ``{"blocks": n}`` submits the next n of ``blocks.hex``; any other step is a question with Core's ``result``, or
its ``error`` as code and message (empty: the command's help). ``loose`` and ``unordered`` are `likeness`'s; the order
of an object's members counts.
"""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from harness import Daemon
from likeness import differences, same_error

from bitcoind_mp.interfaces.errors import RpcError

SESSIONS = Path(__file__).with_name("sessions")
INDEXED = ("getindexinfo", "getblockfilter", "getrawtransaction", "gettxoutproof", "gettxspendingprevout")


@pytest.mark.parametrize("session", sorted(path.stem for path in SESSIONS.glob("*.jsonl")))
def test_the_node_says_what_core_said(
    daemon_over_core: Callable[[], Daemon], await_indexes: Callable[[Daemon], None], session: str
) -> None:
    daemon = daemon_over_core()
    blocks = iter((SESSIONS / "blocks.hex").read_text().split())
    unlike = []
    for number, line in enumerate((SESSIONS / f"{session}.jsonl").read_text().splitlines(), 1):
        step = json.loads(line)
        for _ in range(step.get("blocks", 0)):
            assert daemon.node("submitblock", next(blocks)) is None
        if step.get("method") in INDEXED:
            await_indexes(daemon)
        if "method" in step:
            expected = json.loads(line, parse_float=Decimal)
            found = _unlike(daemon, step, expected)
            unlike += [f"{session}:{number} {step['method']} {str(step['params'])[:100]}: {each}" for each in found]
    daemon.stop()
    assert not unlike, "\n".join(unlike)


def _unlike(daemon: Daemon, step: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    try:
        ours = daemon.node(step["method"], *step["params"])
    except RpcError as error:
        return same_error(error, expected)
    if "error" in expected:
        return [f"is {ours!r}, not the error {expected['error']}"]
    loose, unordered = step.get("loose", ()), step.get("unordered", ())
    return differences(ours, expected["result"], loose=loose, unordered=unordered, in_order=True)
