"""Wallets with a process each under one supervisor (-walletprocess=each): for callers, as if one served them all."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from harness import BIN, Daemon, wait_until

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.ipc.wire.blocking import call

OPTIONS = ("-walletprocess=each", "-keypool=2", "-restartdelay=0", "-fallbackfee=0.0001")
ODD = ["my savings", "über/uns", "a-b:c", "semi;colon $(x)", "ü" * 100]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path / "data", *OPTIONS)
    yield made
    made.clean_up()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    made = Daemon(tmp_path_factory.mktemp("apart") / "data", *OPTIONS)
    try:
        made.start()
        yield made
    finally:
        made.clean_up()


@pytest.fixture
def up(running: Daemon) -> Iterator[Daemon]:
    """One that runs, with two wallets that are new: alice and bob, at first."""
    place = running.directory / "regtest" / "wallets"
    for name in ("alice", "bob"):
        running.wallet(None, "createwallet", name)
    yield running
    for name in running.wallet(None, "listwallets"):
        running.wallet(None, "unloadwallet", name)
    for name in ("alice", "bob", "my savings"):
        shutil.rmtree(place / name, ignore_errors=True)


def code(work: Any, *arguments: Any) -> int:
    with pytest.raises(RpcError) as caught:
        work(*arguments)
    return int(caught.value.code)


def wallets(daemon: Daemon) -> dict[str, int]:
    """The process of each unit that serves one wallet."""
    units = daemon.supervisor("status", "", 0)["units"]
    return {unit["name"]: unit["pid"] for unit in units if unit["name"].startswith("wallet@")}


def test_they_come_and_go_as_by_one_process(daemon: Daemon, tmp_path: Path) -> None:
    daemon.start()
    assert wallets(daemon) == {}
    assert daemon.wallet(None, "listwallets") == []
    assert code(daemon.wallet, None, "getbalance") == -18
    assert daemon.wallet(None, "createwallet", "alice") == {"name": "alice"}
    assert daemon.wallet(None, "getwalletinfo")["walletname"] == "alice", "with one there is nothing to choose"
    daemon.wallet(None, "createwallet", "bob")
    assert daemon.wallet(None, "listwallets") == ["alice", "bob"]
    assert [row["name"] for row in daemon.wallet(None, "listwalletdir")["wallets"]] == ["alice", "bob"]
    assert code(daemon.wallet, None, "getbalance") == -19
    assert code(daemon.wallet, "carol", "getbalance") == -18
    assert code(daemon.wallet, None, "loadwallet", "alice") == -35
    assert code(daemon.wallet, None, "createwallet", "alice") == -4
    assert code(daemon.wallet, None, "loadwallet", "carol") == -18
    pids = wallets(daemon)
    assert list(pids) == ["wallet@alice", "wallet@bob"]
    assert all(isinstance(pid, int) and psutil.pid_exists(pid) for pid in pids.values())

    daemon.node("generatetoaddress", 101, daemon.wallet("alice", "getnewaddress"))
    to = daemon.wallet("bob", "getnewaddress")
    daemon.wallet("alice", "sendmany", "", {to: 1})
    assert code(daemon.wallet, "alice", "sendtoaddress", to, 10_000) == -6
    wait_until("bob hears of it", lambda: daemon.wallet("bob", "getbalances")["mine"]["untrusted_pending"] == 1)

    assert daemon.run("bitcoin-mp", "-rpcwallet=alice", "unloadwallet").stdout.split() == ["{", "}"]
    assert not psutil.pid_exists(pids["wallet@alice"]) and list(wallets(daemon)) == ["wallet@bob"]
    assert daemon.wallet(None, "getwalletinfo")["walletname"] == "bob"
    assert code(daemon.wallet, None, "unloadwallet", "alice") == -18
    daemon.wallet(None, "loadwallet", "alice", True)
    assert daemon.wallet("alice", "getbalance") > 48

    backup = tmp_path / "backup.dat"
    daemon.wallet("alice", "backupwallet", str(backup))
    assert daemon.wallet(None, "restorewallet", "again", str(backup)) == {"name": "again"}
    assert daemon.wallet("again", "getbalance") == daemon.wallet("alice", "getbalance")
    with pytest.raises(RpcError, match="would be a wallet of its own"):
        daemon.wallet("alice", "backupwallet", str(daemon.directory / "regtest" / "wallets" / "bob" / "wallet.sqlite"))
    daemon.wallet("alice", "backupwallet", str(backup))
    with pytest.raises(RpcError, match="has keys or descriptors that this wallet has not"):
        daemon.wallet("bob", "backupwallet", str(backup))
    with pytest.raises(RpcError, match="is a directory"):
        daemon.wallet("bob", "backupwallet", str(tmp_path))

    daemon.stop()
    assert not list((daemon.directory / "regtest" / "run").glob("wallet@*"))
    daemon.start()
    assert daemon.wallet(None, "listwallets") == ["alice"], "the one that was marked"
    assert daemon.tracebacks() == []


def test_encryption_is_each_one_s_own(up: Daemon) -> None:
    up.wallet("alice", "encryptwallet", "first")
    assert code(up.wallet, "alice", "walletpassphrase", "wrong", 60) == -14
    up.wallet("alice", "walletpassphrase", "first", 60)
    up.wallet("bob", "encryptwallet", "second")
    assert code(up.wallet, "bob", "signmessage", up.wallet("bob", "getnewaddress", "", "legacy"), "m") == -13
    assert up.wallet("alice", "signmessage", up.wallet("alice", "getnewaddress", "", "legacy"), "m")


@pytest.mark.parametrize("victim", ["wallet@alice", "wallet"])
def test_a_process_that_is_killed_touches_no_other(up: Daemon, victim: str) -> None:
    address = up.wallet("alice", "getnewaddress")
    before = {name: up.pid(name) for name in ("node", "wallet", "wallet@alice", "wallet@bob")}
    up.kill(victim)
    assert up.run("bitcoin-mp", "-rpcwallet=bob", "getbalance").stdout == "0.00000000\n"
    assert up.patiently(lambda: up.wallet("alice", "getaddressinfo", address))["ismine"]
    wait_until("it is back", lambda: up.unit(victim)["pid"] not in (None, before[victim]))
    after = {name: up.pid(name) for name in before}
    assert {name for name in before if before[name] != after[name]} == {victim}
    assert up.patiently(lambda: up.wallet(None, "listwallets")) == ["alice", "bob"]


def test_under_a_call_a_process_ends_and_no_other_waits(up: Daemon) -> None:
    """What only reads is asked again; of a change it is told that its outcome is unknown."""
    pid = up.pid("wallet@alice")
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(2) as pool:
        read = pool.submit(up.wallet, "alice", "getbalance")
        change = pool.submit(up.wallet, "alice", "getnewaddress")
        assert up.wallet("bob", "getbalance") == 0, "another's calls don't wait for it"
        # Handed on, before the kill: both wait in the stopped process's socket.
        wait_until("both were handed on", lambda: queued(up.socket("wallet@alice")) >= 2)
        os.kill(pid, signal.SIGKILL)
        assert read.result(60) == 0
        assert isinstance(change.result(60) if change.exception(60) is None else "", str)


def queued(path: str) -> int:
    """Connections on a listening socket, accepted or waiting to be."""
    lines = Path("/proc/net/unix").read_text().splitlines()
    return sum(line.endswith(" " + path) for line in lines) - 1


def test_units_are_stopped_started_and_looked_at_by_name(up: Daemon) -> None:
    up.wallet(None, "createwallet", "my savings")
    unit = r"wallet@my\x20savings"
    assert up.run("bitcoin-mp", "stop", "wallet@my savings").returncode == 0
    assert up.unit(unit)["state"] == "stopped"
    assert up.wallet(None, "listwallets") == ["alice", "bob", "my savings"], "stopped is not unloaded"
    with pytest.raises(RpcError, match="is stopped"):
        up.wallet("my savings", "getbalance")
    assert up.wallet("bob", "getbalance") == 0
    assert up.run("bitcoin-mp", "start", "wallet@my savings").returncode == 0
    pid = up.pid(unit)
    assert up.run("bitcoin-mp", "restart", unit).returncode == 0
    assert up.pid(unit) != pid
    assert up.run("bitcoin-mp", "status", "--wait", "wallet@my savings").returncode == 0
    assert up.run("bitcoin-mp", "status", "--wait", "wallet@nobody", check=False).returncode == 1
    assert "loaded:" in up.run("bitcoin-mp", "logs", "wallet@my savings").stdout
    assert up.supervisor("health")["exit"] == 0
    assert up.run("bitcoin-mp", "unloadwallet", "my savings").returncode == 0
    with pytest.raises(RpcError, match="There is no unit named"):
        up.supervisor("start", unit)
    assert "getbalance" in up.supervisor("help")
    assert up.supervisor("logging", ["ipc"])["ipc"] is True
    assert call(up.socket("wallet@alice"), "logging", [], timeout=60)["ipc"] is True
    assert up.supervisor("reload", "wallet@alice")["state"] == "running"


def test_no_two_processes_have_one_wallet(up: Daemon) -> None:
    path = str(up.directory / "regtest" / "wallets" / "alice")
    with pytest.raises(RpcError, match="is being used by another process"):
        up.wallet(None, "loadwallet", path)
    assert up.wallet(None, "listwallets") == ["alice", "bob"]
    assert list(wallets(up)) == ["wallet@alice", "wallet@bob"]


def test_the_shell_goes_from_one_to_the_other(up: Daemon) -> None:
    up.node("generatetoaddress", 101, up.wallet("bob", "getnewaddress"))
    script = up.directory / "lines"
    script.write_text(
        "getbalance\nuse bob\ngetbalance\nuse alice\ngetbalance\nlistwallets\nunloadwallet alice\nuse\ngetbalance\n"
    )
    with script.open() as stdin:
        done = subprocess.run(
            [str(BIN / "bitcoin-mp"), "-regtest", f"-datadir={up.directory}"],
            stdin=stdin, capture_output=True, text=True, timeout=60, env=up.environment,
        )  # fmt: skip
    assert done.stdout.split() == ["50.00000000", "0.00000000", "[", '"alice",', '"bob"', "]", "{", "}", "50.00000000"]
    assert "Multiple wallets are loaded" in done.stderr and done.stderr.count("error") == 2


def test_a_name_is_taken_as_it_is(daemon: Daemon) -> None:
    daemon.start()
    daemon.wallet(None, "createwallet", "other")
    for name in ODD:
        daemon.wallet(None, "createwallet", name, True, False, None, False, True, True)
        assert daemon.run("bitcoin-mp", f"-rpcwallet={name}", "getbalance").stdout == "0.00000000\n"
    daemon.stop()
    assert not list((daemon.directory / "regtest" / "run").glob("wallet@*"))
    daemon.start()
    assert daemon.wallet(None, "listwallets") == ODD
    for name in ODD:
        assert daemon.run("bitcoin-mp", "restart", f"wallet@{name}").returncode == 0
        daemon.wallet(None, "unloadwallet", name)
    with pytest.raises(RpcError):
        daemon.wallet(None, "createwallet", "nul\0")
    assert wallets(daemon) == {}


def test_a_wallet_that_can_not_be_opened_has_its_unit_failed_and_no_other(daemon: Daemon) -> None:
    daemon.start()
    for name in ("good", "bad"):
        daemon.wallet(None, "createwallet", name, False, False, None, False, True, True)
    daemon.stop()
    file = daemon.directory / "regtest" / "wallets" / "bad" / "wallet.sqlite"
    os.truncate(file, file.stat().st_size // 2)
    daemon.start()
    unit = daemon.unit("wallet@bad")
    assert unit["state"] == "failed" and unit["cause"] == "corrupt-data" and "is corrupt" in unit["reason"]
    assert daemon.wallet(None, "listwallets") == ["good"]
    with pytest.raises(RpcError, match=r"^Wallet file verification failed\. .* is corrupt"):
        daemon.wallet(None, "loadwallet", "bad")
    assert list(wallets(daemon)) == ["wallet@good"], "what could not be loaded is not kept"
    assert daemon.wallet(None, "getbalance") == 0


def test_the_wallet_without_a_name(daemon: Daemon) -> None:
    daemon.start()
    daemon.wallet(None, "createwallet", "x")
    daemon.stop()
    place = daemon.directory / "regtest" / "wallets"
    (place / "x" / "wallet.sqlite").rename(place / "wallet.sqlite")
    daemon.start()
    assert daemon.wallet(None, "listwallets") == [""]
    assert daemon.wallet("", "getwalletinfo")["walletname"] == ""
    daemon.wallet(None, "createwallet", "y")
    assert daemon.run("bitcoin-mp", "-rpcwallet=", "getwalletinfo").stdout.count('"walletname": ""') == 1
    assert daemon.wallet(None, "unloadwallet", "") == {}


def test_an_upgrade_in_place_and_a_supervisor_that_is_killed_keep_them(daemon: Daemon) -> None:
    daemon.options = (*daemon.options, "-adopt")
    daemon.start()
    for name in ("alice", "my savings"):
        daemon.wallet(None, "createwallet", name)
    before = wallets(daemon)
    daemon.kill_supervisor()
    daemon.start()
    assert wallets(daemon) == before, "the same processes"
    assert daemon.wallet(None, "listwallets") == ["alice", "my savings"]
    daemon.wallet(None, "createwallet", "third")
    assert daemon.run("bitcoind-mp", *daemon.options, "reload", "--exec").returncode == 0
    after = wallets(daemon)
    assert list(after) == [*before, "wallet@third"]
    assert not set(after.values()) & set(before.values()), "each runs the new program"
    assert daemon.wallet("my savings", "getbalance") == 0
    assert daemon.wallet(None, "unloadwallet", "third") == {}
    daemon.stop()


def test_one_process_that_is_to_have_them_from_now_on_gets_those_that_were_left(daemon: Daemon) -> None:
    daemon.options = (*daemon.options, "-adopt")
    daemon.start()
    daemon.wallet(None, "createwallet", "marked", False, False, None, False, True, True)
    assert list(wallets(daemon)) == ["wallet@marked"]
    daemon.kill_supervisor()
    daemon.options = (*daemon.options, "-walletprocess=shared")
    daemon.start()
    assert daemon.wallet(None, "listwallets") == ["marked"]
    wait_until("no other has it", lambda: not wallets(daemon))
    daemon.stop()


def test_after_a_killed_supervisor_those_that_are_marked_are_loaded(daemon: Daemon) -> None:
    daemon.start()
    daemon.wallet(None, "createwallet", "marked", False, False, None, False, True, True)
    daemon.wallet(None, "createwallet", "unmarked")
    left = wallets(daemon)
    for pid in left.values():
        os.kill(pid, signal.SIGSTOP)
    daemon.kill_supervisor()
    daemon.start()
    assert daemon.wallet(None, "listwallets") == ["marked"]
    wait_until("those of before are gone", lambda: not any(psutil.pid_exists(pid) for pid in left.values()))
    daemon.wallet(None, "loadwallet", "unmarked")
    daemon.stop()
