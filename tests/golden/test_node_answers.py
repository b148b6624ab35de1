"""Every question about chain, mempool, coding and network that Core answered, put to our node."""

from collections.abc import Callable
from typing import Any

import pytest
import vectors
from likeness import differences

_SERVICES = {"localservices", "localservicesnames"}  # Core's peers may speak in secret (P2P_V2), ours not yet
LOOSE = {
    "getblockchaininfo": {"size_on_disk", "warnings"},
    "getblocktemplate": {"longpollid"},
    "getmemoryinfo": {"locked"},
    "getmininginfo": {"warnings", "currentblocktx", "currentblockweight"},
    "getnettotals": {"timemillis", "uploadtarget.time_left_in_cycle"},
    "getnetworkinfo": {"version", "subversion", "warnings", *_SERVICES},
    "gettxoutsetinfo": {"disk_size"},
    "uptime": {""},
}
"""Fields that tell of the machine or the moment, or of the program itself."""

UNLIKE = {
    "estimatesmartfee": "Core had seen the blocks arrive; a node that opens their files has no history",
    "too_many_params": "help text, of which each program has its own",
}
"""Questions that can't be answered alike, and why."""

FIRST = {"getmininginfo": "getblocktemplate"}
"""Questions whose answer has fields only once another one was put."""


@pytest.mark.parametrize("name", vectors.questions(lambda question: not question["wallet"]))
def test_the_node_answers_as_core(ask: Callable[[str], Any], name: str) -> None:
    question = vectors.answers()[name]
    if name in FIRST:
        ask(FIRST[name])
    ours = ask(name)
    if name in UNLIKE:
        assert "error" in ours or "errors" in ours
        return
    unlike = differences(ours, question["result"], loose=LOOSE.get(question["method"], ()))
    assert not unlike, "\n".join(unlike)
