"""What Tab offers at each place."""

from pathlib import Path

import pytest

from bitcoind_mp.cli.arguments import Command
from bitcoind_mp.cli.interactive.complete import Known, complete, list_files, place
from bitcoind_mp.cli.interactive.line import split


def command(name: str, *params: str, **more: object) -> Command:
    described = [dict(zip(("name", "type"), text.split(":"), strict=True)) for text in params]
    return Command({"name": name, "summary": f"about {name}", "params": described, **more})


COMMANDS = [
    command("getblock", "blockhash:string", "verbosity:number|boolean"),
    command("getblockcount"),
    command("gettransaction", "txid:string", "include_watchonly:boolean"),
    command("getaddressinfo", "address:string"),
    command("getnewaddress", "label:string", "address_type:string"),
    command("sendtoaddress", "address:string", "amount:number|string"),
    command("send", "outputs:array|object"),
    command("loadwallet", "filename:string"),
    command("unloadwallet", "wallet_name:string"),
    command("backupwallet", "destination:string"),
    command("status", "unit:string", "lines:number"),
    command("logs", "unit:string", "lines:number"),
    command("events"),
    command("upgraded", hidden=True, topic="control"),
    command("generatetoaddress", hidden=True, topic="hidden", changes=True),
    command("walletlock", changes=True),
]
KNOWN = Known(
    commands={each.name: each for each in COMMANDS},
    wallets=["alice", "my wallet"],
    wallet_files=["carol"],
    addresses={"bcrt1qaaa": "rent", "bcrt1qbbb": ""},
    txids={"ab" * 32: "", "cd" * 32: ""},
    blocks={"00ff": "tip"},
    labels=["rent", "pay day"],
    units=["node", "wallet"],
    list_files=lambda prefix: ["/tmp/a", "/tmp/b c"],
)


def offered(text: str) -> list[str]:
    return [candidate.text for candidate in complete(text, KNOWN)]


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("getblock", ["getblockcount"]),
        ("getb", ["getblock", "getblockcount"]),
        ("  getblockc", ["getblockcount"]),
        ("up", []),  # hidden
        ("generateto", ["generatetoaddress"]),  # Core hides it in help, and it is what one does on regtest
        ("watch wal", []),  # it changes something
        ("watch gett", ["gettransaction"]),
        ("help getbl", ["getblock", "getblockcount"]),
        ("help getblock ", []),
        ("watch getblockc", ["getblockcount"]),
        ("watch gettransaction ab", ["ab" * 32]),
        ("us", ["use"]),
        ("use ", ["alice", "'my wallet'"]),
        ("use a", ["alice"]),
        ("use 'my", ["'my wallet'"]),
        ("-rpcwallet=a", ["alice"]),
        ("-na", ["-named"]),
        ("-rpcwallet=alice getaddressinfo ", ["bcrt1qaaa", "bcrt1qbbb"]),
        ("getaddressinfo bcrt1qb", ["bcrt1qbbb"]),
        ("getaddressinfo bcrt1qbbb ", []),
        ("gettransaction a", ["ab" * 32]),
        ("gettransaction x t", ["true"]),
        ("getblock ", ["00ff"]),
        ("getnewaddress ", ["rent", "'pay day'"]),
        ("getnewaddress x bech32", ["bech32m"]),
        ("sendtoaddress x ", []),
        ("loadwallet ", ["carol"]),
        ("unloadwallet ", ["alice", "'my wallet'"]),
        ("backupwallet /tmp/", ["/tmp/a", "'/tmp/b c'"]),
        ("logs ", ["node", "wallet"]),
        ("logs -", ["-f", "-n"]),
        ("events t", ["tip", "transaction"]),
        ("events -", ["-json"]),
        ("nosuch ", []),
        ("-named getblock ", ["blockhash=", "verbosity="]),
        ("-named getaddressinfo address=bcrt1qb", ["bcrt1qbbb"]),
        ('send {"bcrt1qb', ["bcrt1qbbb"]),
        ('send [{"txid": "ab', ["ab" * 32]),
        ("send {", []),
        ('send {"', []),
        ('send {"a": 1}', []),
    ],
)
def test_offers(text: str, texts: list[str]) -> None:
    assert offered(text) == texts


def test_what_is_for_tests_is_offered_to_whoever_has_begun_it() -> None:
    assert "getblock" in offered("")
    assert "generatetoaddress" not in offered("")


def test_an_offer_replaces_what_was_typed_of_it() -> None:
    assert [(c.text, c.replaces, c.meta) for c in complete("getaddressinfo bcrt1qa", KNOWN)] == [
        ("bcrt1qaaa", 7, "rent")
    ]
    assert complete("use 'my", KNOWN)[0].replaces == 3
    assert complete('send {"bcrt1qb', KNOWN)[0].replaces == 7
    assert complete("getblockc", KNOWN)[0].meta == "about getblockcount"


@pytest.mark.parametrize("begun", ["use it", "use 'it", 'use "it'])
@pytest.mark.parametrize("name", ["it's mine", 'it "is" mine', "it\\is mine"])
def test_what_is_offered_is_read_as_what_was_meant(begun: str, name: str) -> None:
    (offer,) = complete(begun, Known(wallets=[name]))
    line = begun[: len(begun) - offer.replaces] + offer.text
    assert [word.text for word in split(line)] == ["use", name]


def test_the_kind_is_known_before_anything_is_fetched() -> None:
    assert place("gettransaction ", KNOWN).kind == "txid"
    assert place('send {"bc', KNOWN).kind == "address|txid"
    assert place("getblockcount ", KNOWN).kind == ""


def test_files(tmp_path: Path) -> None:
    (tmp_path / "one.dat").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / ".hidden").touch()
    assert list_files(f"{tmp_path}/o") == [f"{tmp_path}/one.dat", f"{tmp_path}/other/"]
    assert list_files(f"{tmp_path}/") == [f"{tmp_path}/one.dat", f"{tmp_path}/other/"]
    assert list_files(f"{tmp_path}/.") == [f"{tmp_path}/.hidden"]
    assert list_files(f"{tmp_path}/none/x") == []
