"""Every option does something, and nothing reads an option that isn't there."""

import re
from pathlib import Path

from bitcoind_mp.config.options import BY_NAME, TABLE

PACKAGE = Path(__file__).resolve().parents[3] / "bitcoind_mp"
_READ = re.compile(
    r"\.(?:is_set|is_negated|get_bool|get_int|get_seconds|get_amount|get_str|get_list|get_paths|for_unit|unit_number)"
    r'\(\s*"([a-z0-9-]+)"'
)
#: Read by the configuration itself, not by name.
ITSELF = {"help", "h", "?", "help-debug", "includeconf", "conf", "datadir", "chain"}
ITSELF |= {"regtest", "signet", "testnet", "testnet4"}


def read_anywhere() -> set[str]:
    found: set[str] = set()
    for file in PACKAGE.rglob("*.py"):
        found.update(_READ.findall(file.read_text()))
    return found


def test_nothing_reads_an_option_that_is_not_in_the_table() -> None:
    assert read_anywhere() - set(BY_NAME) == set()


def test_every_option_is_read_by_something() -> None:
    assert {option.name for option in TABLE} - read_anywhere() - ITSELF == set()
