from typing import Any

import pytest

from bitcoind_mp.ipc.declared.help import help_command, help_list, help_text, usage
from bitcoind_mp.ipc.declared.signature import declared


@pytest.fixture
def methods(example: Any) -> dict[str, Any]:
    return {method.name: method for method in declared(example).values()}


@pytest.mark.parametrize(
    "name, line",
    [
        ("getblockcount", "getblockcount"),
        ("getblock", 'getblock "blockhash" ( verbosity )'),
        ("gettxoutproof", 'gettxoutproof ["txid",...] ( "blockhash" )'),
        ("walletpassphrase", 'walletpassphrase "passphrase" timeout'),
        ("send", 'send [{"key":value,...},...] ( fee_rate options )'),
    ],
)
def test_usage_is_core_s(methods: dict[str, Any], name: str, line: str) -> None:
    assert usage(methods[name]) == line


def test_help_has_core_s_layout(methods: dict[str, Any]) -> None:
    assert help_text(methods["getblockcount"]) == (
        "getblockcount\n\nReturns the height of the most-work fully-validated chain.\nThe genesis block has height 0.\n"
        "\nResult:\nn    (numeric) The current block count\n"
    )
    assert help_text(methods["getblock"]) == (
        'getblock "blockhash" ( verbosity )\n\nReturns a block.\n\nArguments:\n'
        "1. blockhash    (string, required) The block hash\n"
        "2. verbosity    (boolean or numeric, optional, default=1) 0 for hex-encoded data, 1 for a JSON object\n"
    )
    assert "\nNamed Arguments:\nconf_target    (numeric, optional)\n" in help_text(methods["send"])
    assert help_text(methods["walletpassphrase"]).endswith("\nResult:\nnull    (json null)\n")


def test_the_list_is_by_topic(methods: dict[str, Any]) -> None:
    text = help_command(methods.values())
    assert text.startswith('== Blockchain ==\ngetblock "blockhash" ( verbosity )\ngetblockcount\n')
    assert "\n\n== Wallet ==\n" in text
    assert help_command(methods.values(), "getblock") == help_text(methods["getblock"]).rstrip("\n")
    assert help_command(methods.values(), "nosuch") == "help: unknown command: nosuch"


def test_lists_of_several_servers_are_merged() -> None:
    assert help_list([("wallet", "b", "b 1"), ("control", "stop", "stop"), ("wallet", "a", "a")]) == (
        "== Control ==\nstop\n\n== Wallet ==\na\nb 1"
    )
