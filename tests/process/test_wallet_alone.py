"""Wallets with a process each, on one data directory: side by side, and never two on one wallet."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from wallet_pair import DEADLINE, Pair, wait_for

from bitcoind_mp.interfaces.errors import ExitStatus, RpcError

PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path)
    for name in ("alice", "bob", "again"):
        pair.options[f"wallet@{name}"] = [*pair.options["wallet"], f"-onlywallet={name}"]
        pair.command[f"wallet@{name}"] = pair.command["wallet"]
    pair.options["wallet@again"] = [*pair.options["wallet@alice"], "-ipcbind=unix:run/again.sock"]
    yield pair
    pair.close()


def front_end(pair: Pair, *words: str, lines: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bitcoind_mp.cli", "-regtest", f"-datadir={pair.datadir}", "-noconf", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, input=lines)


def test_two_side_by_side_and_each_command_finds_its_own(pair: Pair) -> None:
    pair.start("node")
    for name in ("alice", "bob"):
        pair.start(f"wallet@{name}")
    assert front_end(pair, "-rpcwallet=alice", "createwallet", "alice").returncode == 0
    assert front_end(pair, "-rpcwallet=bob", "createwallet", "bob").returncode == 0
    address = front_end(pair, "-rpcwallet=alice", "getnewaddress").stdout.strip()
    pair.mine(101, address)
    wait_for(lambda: pair.ask("wallet@alice", "getbalance") == 50, "alice to be paid")
    assert front_end(pair, "-rpcwallet=alice", "getbalance").stdout == "50.00000000\n"
    assert front_end(pair, "-rpcwallet=bob", "getbalance").stdout == "0.00000000\n"
    unnamed = front_end(pair, "getbalance")
    assert unnamed.returncode == 19 and "Multiple wallets are loaded (alice, bob)" in unnamed.stderr
    assert front_end(pair, "listwallets").stdout.split() == ["[", '"alice",', '"bob"', "]"]
    pair.kill("wallet@alice")
    assert front_end(pair, "getbalance").stdout == "0.00000000\n", "bob is the only one that answers"
    pair.start("wallet@alice")
    assert pair.ask("wallet@alice", "getbalance") == 50


def test_the_shell_goes_from_one_to_the_other(pair: Pair) -> None:
    for name in ("alice", "bob"):
        pair.start(f"wallet@{name}")
        pair.ask(f"wallet@{name}", "createwallet", name)
    told = front_end(pair, lines="listwallets\nuse bob\ngetwalletinfo\nuse alice\ngetwalletinfo\nuse\ngetwalletinfo\n")
    assert told.stdout.split()[:4] == ["[", '"alice",', '"bob"', "]"]
    assert [line.split()[1] for line in told.stdout.splitlines() if "walletname" in line] == ['"bob",', '"alice",']
    assert "Multiple wallets are loaded (alice, bob), by a process each" in told.stderr
    chosen = front_end(pair, "-rpcwallet=bob", lines="getwalletinfo\nuse alice\ngetwalletinfo\n")
    assert [line.split()[1] for line in chosen.stdout.splitlines() if "walletname" in line] == ['"bob",', '"alice",']


def test_a_wallet_that_one_process_has_is_refused_to_another(pair: Pair) -> None:
    pair.start("wallet@alice")
    pair.ask("wallet@alice", "createwallet", "alice")
    pair.start("wallet")
    with pytest.raises(RpcError, match="is being used by another process"):
        pair.ask("wallet", "loadwallet", "alice")
    again = pair.spawn("wallet@again")
    assert again.wait(DEADLINE) == ExitStatus.LOCKED
    assert "bitcoin-mp-wallet is already running on" in pair.log("wallet@again")
    assert pair.ask("wallet@alice", "listwallets") == ["alice"]


def test_a_credential_unlocks_it_and_is_nowhere_else(pair: Pair) -> None:
    pair.start("wallet@alice")
    pair.ask("wallet@alice", "createwallet", "alice", False, False, PASSPHRASE)
    assert pair.ask("wallet@alice", "getwalletinfo")["unlocked_until"] == 0
    pair.stop("wallet@alice")
    credentials = pair.datadir / "credentials"
    credentials.mkdir()
    (credentials / "wallet.alice.passphrase").write_text(PASSPHRASE + "\n")
    pair.environment["CREDENTIALS_DIRECTORY"] = str(credentials)
    pair.options["wallet@alice"] += ["-walletunlock=alice:600", "-debug"]
    pair.start("wallet@alice")
    assert pair.ask("wallet@alice", "getwalletinfo")["unlocked_until"] > 0
    assert "[alice] unlocked at start by the credential wallet.alice.passphrase" in pair.log("wallet@alice")
    process = Path(f"/proc/{pair.processes['wallet@alice'].pid}")
    told = [(process / name).read_bytes() for name in ("cmdline", "environ")]
    told += [path.read_bytes() for path in pair.datadir.rglob("*") if path.is_file() and path.parent != credentials]
    assert not [data for data in told if PASSPHRASE.encode() in data]
    pair.ask("wallet@alice", "walletlock")
    pair.kill("wallet@alice")
    pair.start("wallet@alice")
    assert pair.ask("wallet@alice", "getwalletinfo")["unlocked_until"] == 0
    assert "somebody locked it" in pair.log("wallet@alice")
