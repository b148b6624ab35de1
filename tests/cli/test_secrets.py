"""Lines with secrets are told from lines without."""

import pytest

from bitcoind_mp.cli.arguments import Command
from bitcoind_mp.cli.interactive.line import parse
from bitcoind_mp.cli.interactive.secrets import is_secret, missing_secret

CREATE = Command(
    {
        "name": "createwallet",
        "params": [
            {"name": "wallet_name", "type": "string", "required": True},
            {"name": "disable_private_keys", "type": "boolean"},
            {"name": "passphrase", "type": "string", "secret": True},
        ],
    }
)
UNLOCK = Command(
    {
        "name": "walletpassphrase",
        "params": [
            {"name": "passphrase", "type": "string", "secret": True, "required": True},
            {"name": "timeout", "type": "number", "required": True},
        ],
    }
)
XPRV = "tprv8ZgxMBicQKsPd7Uf69XL1XwhmjHopUGep8GuEiJDZmbQz6o58LninorQAfcKZWARbtRtfnLcJ5MQ2AtHcQJCCRUcMRvmDUjyEmNUWwx8UbK"
WIF = "cVpF924EspNh8KjYsfhgY96mmxvT6DgdWiTYMtMjuM74hJaU5psW"


@pytest.mark.parametrize(
    "text",
    [
        "walletpassphrase s3cret 60",
        "walletpassphrase 's3cr",  # unfinished
        "encryptwallet s3cret",
        "-named walletpassphrase passphrase=x timeout=1",
        'importdescriptors [{"desc": "wpkh(x)"}]',
        "signrawtransactionwithkey 00 [x]",
        f'getdescriptorinfo "wpkh({XPRV}/0/*)"',
        f"echo {WIF}",
    ],
)
def test_never_kept(text: str) -> None:
    assert is_secret(text, None)


@pytest.mark.parametrize(
    "text",
    ["getblockcount", "walletpassphrase", "createwallet w", "getblock " + "ab" * 32, "send bcrt1q" + "q" * 38, ""],
)
def test_kept(text: str) -> None:
    assert not is_secret(text, CREATE if text.startswith("create") else None)


def test_a_parameter_that_its_server_calls_secret() -> None:
    assert is_secret("createwallet w false s3cret", CREATE)
    assert is_secret("-named createwallet w passphrase=s3cret", CREATE)
    assert not is_secret("-named createwallet w disable_private_keys=true", CREATE)


def test_which_secret_is_to_be_asked_for() -> None:
    assert missing_secret(parse("walletpassphrase"), UNLOCK) == "passphrase"
    assert missing_secret(parse("walletpassphrase x"), UNLOCK) is None
    assert missing_secret(parse("-named walletpassphrase timeout=1"), UNLOCK) is None
    assert missing_secret(parse("createwallet w true"), CREATE) is None  # optional: not asked for
