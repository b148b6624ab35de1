"""Bitcoin Core's answers about its own wallets against ours, field by field."""

from collections.abc import Callable
from typing import Any

import pytest
import vectors
from harness import Daemon
from likeness import differences

COMMANDS = [
    "getaddressesbylabel",
    "getaddressinfo",
    "getbalance",
    "getbalances",
    "gettransaction",
    "getwalletinfo",
    "importdescriptors",
    "listaddressgroupings",
    "listdescriptors",
    "listlabels",
    "listreceivedbyaddress",
    "listsinceblock",
    "listtransactions",
    "listunspent",
    "signmessage",
]
#: Fields of which type alone is to match, by the vectors' README.
LOOSE = {
    "listtransactions": ["timereceived"],
    "listsinceblock": ["transactions.timereceived"],
    "gettransaction": ["timereceived"],
}
#: Lists whose order is Core's accident, by the same.
UNORDERED = {"listunspent": [""], "listtransactions": [""], "listsinceblock": ["transactions"]}


@pytest.mark.parametrize("name", vectors.questions(lambda question: question["method"] in COMMANDS))
def test_the_wallet_answers_as_core(imports: dict[str, Any], ask: Callable[[str], Any], name: str) -> None:
    question = vectors.answers()[name]
    method = question["method"]
    ours = imports[name] if method == "importdescriptors" else ask(name)
    unlike = differences(
        _as_printed(ours), question["result"], loose=LOOSE.get(method, ()), unordered=UNORDERED.get(method, ())
    )
    assert not unlike, "\n".join(unlike[:10])


def _as_printed(result: Any) -> Any:
    """bitcoin-cli's error lines lost the spaces at their ends."""
    if isinstance(result, dict) and set(result) == {"error"}:
        return {"error": [line.rstrip() for line in result["error"]]}
    return result


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_the_next_addresses_are_cores(daemon: Daemon, imports: dict[str, Any], name: str) -> None:
    assert imports
    copy = f"next of {name}"
    daemon.wallet(None, "createwallet", copy, False, True)
    daemon.wallet(copy, "importdescriptors", *vectors.answers()[f"{name}.importdescriptors"]["params"])
    for kind, expected in vectors.answers()["_next_addresses"][name].items():
        assert daemon.wallet(copy, "getnewaddress", "", kind) == expected


def test_what_we_export_imports_again_to_the_same_coins(daemon: Daemon, imports: dict[str, Any]) -> None:
    assert imports
    exported = daemon.wallet("alice", "listdescriptors", True)["descriptors"]
    kept = ("desc", "active", "range", "next_index", "internal")
    requests = [{"timestamp": 0} | {key: one[key] for key in kept if key in one} for one in exported]
    daemon.wallet(None, "createwallet", "again", False, True)
    assert all(one["success"] for one in daemon.wallet("again", "importdescriptors", requests))
    assert daemon.wallet("again", "getbalances") == daemon.wallet("alice", "getbalances")
    assert daemon.wallet("again", "listdescriptors", True)["descriptors"] == [
        one | {"timestamp": 1} for one in exported
    ]
