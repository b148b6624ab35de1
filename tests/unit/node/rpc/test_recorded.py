"""What Bitcoin Core v31 answered about things that need no chain: each file in ``recorded/`` has a question a line.

A line has the ``result``, its members in Core's order, or the ``error`` as code and message (empty: the command's
help). The node behind Core knew no coin that they name.
"""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from likeness import differences, same_error

from bitcoind_mp.interfaces.errors import RpcError

RECORDED = Path(__file__).with_name("recorded")


@pytest.mark.parametrize("topic", sorted(path.stem for path in RECORDED.glob("*.jsonl")))
def test_the_answer_is_cores(ask: Any, topic: str) -> None:
    unlike = []
    for number, line in enumerate((RECORDED / f"{topic}.jsonl").read_text().splitlines(), 1):
        question = json.loads(line, parse_float=Decimal)
        try:
            ours = ask(question["method"], *question["params"])
        except RpcError as error:
            found = same_error(error, question)
        else:
            found = (
                differences(ours, question["result"], in_order=True)
                if "result" in question
                else [f"is {ours!r}, not the error {question['error']}"]
            )
        unlike += [f"{topic}:{number} {question['method']} {str(question['params'])[:100]}: {each}" for each in found]
    assert not unlike, "\n".join(unlike)
