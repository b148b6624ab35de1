"""Which words of a command are passphrases for the signer, and what the wallet gets instead."""

import pytest

from bitcoind_mp.cli.arguments import BadArgument, Command
from bitcoind_mp.cli.entrust import VOID, Secrets, by_its_word, replaced, whose
from bitcoind_mp.interfaces.init import PROTOCOL_VERSION, Hello
from bitcoind_mp.interfaces.signer import is_ticket
from bitcoind_mp.ipc.declared.manifest import describe
from bitcoind_mp.ipc.declared.signature import declared
from bitcoind_mp.wallet.rpc.encrypt import EncryptCommands
from bitcoind_mp.wallet.rpc.shelf import ShelfCommands

METHODS = [*declared(ShelfCommands).values(), *declared(EncryptCommands).values()]
COMMANDS = describe(Hello("wallet", PROTOCOL_VERSION, "regtest", "0.1", 1), METHODS)["commands"]


def secrets(line: str, *, named: bool = False) -> Secrets:
    name, *words = line.split()
    described = next(command for command in COMMANDS if command["name"] == name)
    return Secrets(Command(described), words, named=named)


@pytest.mark.parametrize(
    ("line", "named", "told", "replacement"),
    [
        ("walletpassphrase p=1 60", False, ["unlock", "w", "p=1", "", 60], "T 60"),
        ("walletpassphrase p nonsense", False, ["unlock", "w", "p", "", 0], "T nonsense"),
        ("walletpassphrase p", False, ["unlock", "w", "p", "", 0], "T"),
        ("walletpassphrase timeout=5 passphrase=a=b", True, ["unlock", "w", "a=b", "", 5], "timeout=5 passphrase=T"),
        ("walletpassphrase p timeout=5", True, ["unlock", "w", "p", "", 5], "T timeout=5"),
        ("walletpassphrasechange old new", False, ["change", "w", "old", "new", 0], "T T"),
        ("walletlock", False, ["lock", "w", "", "", 0], ""),
        ("createwallet w false false p", False, ["make", "w", "p", "", 0], "w false false T"),
        ("createwallet wallet_name=w passphrase=p", True, ["make", "w", "p", "", 0], "wallet_name=w passphrase=T"),
        ("createwallet w blank=false passphrase=p", True, ["make", "w", "p", "", 0], "w blank=false passphrase=T"),
    ],
)
def test_what_the_signer_is_told(line: str, named: bool, told: list[object], replacement: str) -> None:
    found = secrets(line, named=named)
    assert found.for_signer
    assert found.told("w") == told
    assert found.with_ticket("T") == replacement.split()


@pytest.mark.parametrize(
    "line",
    [
        "walletpassphrase",
        "walletpassphrasechange only",
        "createwallet w",
        "createwallet w true false p",
        "createwallet w false true p",
    ],
)
def test_what_is_the_wallet_s_own_affair(line: str) -> None:
    assert not secrets(line).for_signer


def test_whose_it_is() -> None:
    assert whose(secrets("createwallet new false false p"), "chosen", []) == "new"
    unlock = secrets("walletpassphrase p 60")
    assert whose(unlock, "chosen", ["a"]) == "chosen"
    assert whose(unlock, None, ["a"]) == "a"
    assert whose(unlock, None, ["a", "b"]) is None
    assert whose(unlock, None, []) is None
    assert is_ticket(VOID)


def test_no_wallet_is_told_that_nobody_named() -> None:
    """A wallet that was broken into would say that another one is loaded, and be told."""
    unlock, words = secrets("walletpassphrase p 60"), ["p", "60"]

    def left(answer: dict[str, object], *, is_named: bool) -> list[str] | None:
        return replaced(unlock, words, answer, is_named=is_named, wallet="w")

    assert left({"ticket": "T", "keysets": "1"}, is_named=False) == ["T", "60"]
    assert left({"ticket": None, "absent": True, "keysets": "1"}, is_named=True) == [VOID, "60"]
    assert left({"ticket": None, "absent": True, "keysets": "0"}, is_named=False) == [VOID, "60"]
    assert left({"ticket": None, "absent": False, "keysets": "0"}, is_named=False) is None
    assert left({"ticket": None, "absent": False, "keysets": "1"}, is_named=True) is None
    with pytest.raises(BadArgument, match="-rpcwallet=w"):
        left({"ticket": None, "absent": False, "keysets": "1"}, is_named=False)
    assert by_its_word(unlock, words, {"external_signer": True}) == [VOID, "60"]
    assert by_its_word(unlock, words, {"external_signer": False}) == words
    lock = secrets("walletlock")
    assert replaced(lock, [], {"ticket": None, "absent": True, "keysets": "1"}, is_named=False, wallet="w") == []
