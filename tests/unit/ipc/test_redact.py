from typing import Any

import pytest

from bitcoind_mp.ipc.declared.signature import declared
from bitcoind_mp.ipc.serve.redact import shown_params

TPRV = "tprv8ZgxMBicQKsPd7Uf69XL1XwhmjHopUGep8GuEiJDZmbQz6o58LninorQAfcKZWARbtRtfnLcJ5MQ2AtHcQJCCRUcMRvmDUjyEmNUWwx8UbK"
WIF = "cVpF924EspNh8KjYsfhgY96mmxvT6DgdWiTYMtMjuM74hJaU5psW"


@pytest.mark.parametrize(
    "name, params, shown",
    [
        ("getblock", ["00", 1], "['00', 1]"),
        ("getblock", [], ""),
        ("walletpassphrase", ["p", 5], "['***', 5]"),
        ("walletpassphrase", ["p", 5, "p"], "['***', 5, '***']"),
        ("walletpassphrase", {"passphrase": "p", "timeout": 5}, "{'passphrase': '***', 'timeout': 5}"),
        ("walletpassphrase", {"args": ["p"], "pass": "p"}, "{'args': '***', 'pass': '***'}"),
        ("getblock", [f"wpkh({TPRV}/0)#x", f"pkh({WIF})"], "['wpkh(***/0)#x', 'pkh(***)']"),
        ("nosuch", ["p"], "***"),
        ("nosuch", [], ""),
    ],
)
def test_what_the_log_shows(example: Any, name: str, params: Any, shown: str) -> None:
    method = {method.name: method for method in declared(example).values()}.get(name)
    assert shown_params(method, params) == shown


def test_long_params_are_cut_short(example: Any) -> None:
    method = next(method for method in declared(example).values() if method.name == "getblock")
    assert len(shown_params(method, ["0" * 5000])) < 250
