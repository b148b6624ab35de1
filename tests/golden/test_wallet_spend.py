"""The questions about spending and signing that Core answered, put to our wallet over the same coins."""

from collections.abc import Callable
from typing import Any

import pytest
import vectors
from likeness import differences

SPENDING = {
    "bumpfee",
    "fundrawtransaction",
    "psbtbumpfee",
    "send",
    "sendall",
    "sendmany",
    "sendtoaddress",
    "signrawtransactionwithwallet",
    "walletcreatefundedpsbt",
    "walletprocesspsbt",
}


@pytest.mark.parametrize(
    "name", vectors.questions(lambda question: question["wallet"] and question["method"] in SPENDING)
)
def test_the_wallet_answers_as_core(imports: dict[str, Any], ask: Callable[[str], Any], name: str) -> None:
    unlike = differences(ask(name), vectors.answers()[name]["result"])
    assert not unlike, "\n".join(unlike)
