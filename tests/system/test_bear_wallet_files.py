"""Wallet files that can't be used: each is refused alone, with a message that says why and what to do, and the process
serves the rest; when it is asked to load them and when it starts with them."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import Daemon, wait_until

from bitcoind_mp.interfaces.errors import RpcError

PAGE = 4096


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: 2 * PAGE + 100])


def flipped(file: Path) -> None:
    """In every page but the first, so that the header is whole."""
    data = bytearray(file.read_bytes())
    for at in range(PAGE, len(data), 97):
        data[at] ^= 0x55
    file.write_bytes(data)


def of_nothing(file: Path) -> None:
    file.write_bytes(b"")


def of_something_else(file: Path) -> None:
    file.write_bytes(b"this is not a database\n" * 1000)


def a_database_of_something_else(file: Path) -> None:
    file.unlink()
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE letters (a)")
    other.close()


def newer(file: Path) -> None:
    with sqlite3.connect(file) as ours:
        ours.execute("PRAGMA user_version=1000")
    ours.close()


def without_a_table(file: Path) -> None:
    with sqlite3.connect(file) as ours:
        ours.execute("DROP TABLE transactions")
    ours.close()


def of_another_chain(file: Path) -> None:
    with sqlite3.connect(file) as ours:
        ours.execute("UPDATE facts SET value='signet' WHERE name='chain'")
    ours.close()


def with_nonsense_in_a_row(file: Path) -> None:
    with sqlite3.connect(file) as ours:
        ours.execute("UPDATE descriptors SET text='nonsense', normalized='nonsense' WHERE number=1")
    ours.close()


def a_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


#: What is done to a wallet's file, and what the refusal says.
DAMAGES: dict[Callable[[Path], None], str] = {
    truncated: "corrupt",
    flipped: "corrupt",
    of_nothing: "not in recognized format",
    of_something_else: "corrupt",
    a_database_of_something_else: "no wallet file of this program",
    newer: "written by a newer version",
    without_a_table: "corrupt",
    of_another_chain: "belongs to another chain",
    with_nonsense_in_a_row: "corrupt",
    a_directory: "not in recognized format",
}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path / "d", "-keypool=10", "-healthinterval=0.3")
    yield made
    made.clean_up()


def test_bad_wallet_files(daemon: Daemon) -> None:
    daemon.start()
    for name in ("before", "model", "after"):
        daemon.wallet(None, "createwallet", name, False, False, "", False, True, True)
    daemon.wallet("before", "getnewaddress")
    address = daemon.wallet("after", "getnewaddress")
    daemon.node("generatetoaddress", 3, address)
    wait_until("the coins", lambda: daemon.wallet("after", "getbalances")["mine"]["immature"] == 150)
    daemon.wallet(None, "unloadwallet", "model", False)
    wallets = daemon.directory / "regtest" / "wallets"
    for damage in DAMAGES:
        shutil.copytree(wallets / "model", wallets / damage.__name__)
        damage(wallets / damage.__name__ / "wallet.sqlite")

    for damage, words in DAMAGES.items():
        with pytest.raises(RpcError, match=words) as refusal:
            daemon.wallet(None, "loadwallet", damage.__name__, True)
        assert str(wallets / damage.__name__) in refusal.value.message, "it says which file"
        assert refusal.value.code in (-4, -18)
    assert daemon.wallet(None, "listwallets") == ["before", "after"]
    assert {entry["name"] for entry in daemon.wallet(None, "listwalletdir")["wallets"]} >= {"before", "model", "after"}
    daemon.stop()

    asked = [f"-wallet={damage.__name__}" for damage in DAMAGES]
    daemon.options += (*asked[:5], "-wallet=before", *asked[5:], "-wallet=after")
    daemon.start()
    assert daemon.wallet(None, "listwallets") == ["before", "after"]
    wait_until("the coins again", lambda: daemon.wallet("after", "getbalances")["mine"]["immature"] == 150)
    problems = wait_until("a health check", lambda: daemon.unit("wallet")["problems"])
    for damage, words in DAMAGES.items():
        (problem,) = [problem for problem in problems if f"{damage.__name__!r}" in problem]
        assert words in problem
    assert daemon.unit("wallet")["restarts"] == 0
    daemon.kill("wallet")
    daemon.until_running()
    assert daemon.patiently(lambda: daemon.wallet(None, "listwallets")) == ["before", "after"]

    shutil.copy(wallets / "model" / "wallet.sqlite", wallets / "flipped" / "wallet.sqlite")
    assert daemon.wallet(None, "loadwallet", "flipped")["name"] == "flipped", "once it is mended"
    wait_until("that to be noticed", lambda: "flipped" not in str(daemon.unit("wallet")["problems"]))
    assert daemon.tracebacks() == []
    daemon.stop()
