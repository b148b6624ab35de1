"""The wallet process as an operator meets it: without a node, with bad files, on a full disk, under a debug log."""

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from wallet_pair import DEADLINE, STRANGER, Pair, wait_for

from bitcoind_mp.interfaces.errors import ExitStatus, RpcError

PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path)
    yield pair
    pair.close()


def refusal(work: Any, *arguments: Any) -> RpcError:
    try:
        work(*arguments)
    except RpcError as error:
        return error
    raise AssertionError("it was not refused")


def test_it_answers_while_the_node_is_down_and_says_since_when(pair: Pair) -> None:
    pair.start("node")
    pair.start("wallet")
    pair.ask("wallet", "createwallet", "w")
    pair.mine(101)
    balance = pair.w("getbalance")
    assert balance == 50
    assert "stale_since" not in pair.w("getwalletinfo")
    pair.kill("node")
    info = wait_for(lambda: (found := pair.w("getwalletinfo")).get("stale_since") and found, "the loss to be noticed")
    assert info["lastprocessedblock"]["height"] == 101
    assert pair.w("getbalance") == balance
    assert pair.w("getnewaddress", "while away")
    error = refusal(pair.w, "sendtoaddress", STRANGER, 1)
    assert error.code == -9
    why = rf"\({re.escape(str(pair.network))}/run/node.sock is not there\)|\(nobody listens on [^ ]*\)"
    since = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    assert re.fullmatch(
        rf"The node can't be reached ({why}); the wallet is as of {since} and goes on when the node is back\.",
        error.message,
    ), error.message
    pair.start("node")
    pair.until_synced()
    wait_for(lambda: "stale_since" not in pair.w("getwalletinfo"), "the node to be found again")
    pair.mine(1)
    assert pair.w("getbalance") == balance + 50
    txid = pair.w("sendtoaddress", STRANGER, 1)
    told = [line for line in pair.log("wallet").splitlines() if txid in line or "Selection" in line]
    assert len(told) == 1 and told[0].endswith(f"[wallet] [w] Sent {txid}"), "a payment is one line of the log"
    assert "Stream" not in pair.log("node")


def test_it_starts_without_a_node_and_finds_it_when_it_comes(pair: Pair) -> None:
    pair.start("wallet")
    pair.ask("wallet", "createwallet", "w")
    address = pair.w("getnewaddress")
    assert pair.w("getwalletinfo")["lastprocessedblock"]["height"] == -1
    pair.start("node")
    pair.mine(101, address)
    pair.until_synced()
    assert pair.w("getbalance") == 50


def test_its_status_line_follows_wallets_blocks_and_the_node(pair: Pair) -> None:
    """What the service manager was told last is what `health` would answer."""
    path = pair.datadir / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.setblocking(False)
        told = [""]

        def says(text: str) -> bool:
            while True:
                try:
                    message = manager.recv(1000).decode()
                except BlockingIOError:
                    return told[-1] == text
                told.extend(line[7:] for line in message.splitlines() if line.startswith("STATUS="))

        pair.environment = {"NOTIFY_SOCKET": str(path)}
        pair.start("wallet")
        wait_for(lambda: says("0 wallets loaded, waiting for the node"), "the node to be missed")
        pair.environment = {}
        pair.start("node")
        wait_for(lambda: says("0 wallets loaded"), "the node to be found")
        pair.ask("wallet", "createwallet", "w")
        wait_for(lambda: says("1 wallet loaded, synced at height 0"), "the wallet to be told of")
        pair.mine(2, STRANGER)
        wait_for(lambda: says("1 wallet loaded, synced at height 2"), "blocks without anything of ours")
        pair.kill("node")
        wait_for(lambda: says("1 wallet loaded, waiting for the node"), "the loss")
        pair.ask("wallet", "unloadwallet", "w")
        wait_for(lambda: says("0 wallets loaded, waiting for the node"), "the wallet to be gone")


def test_bad_wallet_files_are_refused_alone(pair: Pair) -> None:
    pair.start("node")
    pair.start("wallet")
    for name in ("good", "corrupt", "newer", "other", "core"):
        pair.ask("wallet", "createwallet", name, False, False, "", False, True, True)
    assert pair.stop("wallet") == 0
    corrupt = pair.wallets / "corrupt" / "wallet.sqlite"
    corrupt.write_bytes(corrupt.read_bytes()[:4096] + os.urandom(20_000))
    changes = {"newer": "PRAGMA user_version=99", "other": "UPDATE facts SET value='signet' WHERE name='chain'"}
    for name, statement in changes.items():
        connection = sqlite3.connect(pair.wallets / name / "wallet.sqlite")
        connection.execute(statement)
        connection.commit()
        connection.close()
    (pair.wallets / "core" / "wallet.sqlite").rename(pair.wallets / "core" / "wallet.dat")
    pair.start("wallet")
    assert pair.ask("wallet", "listwallets") == ["good"]
    log = pair.log("wallet")
    for name, words in (
        ("corrupt", "is corrupt"),
        ("newer", "newer version"),
        ("other", "another chain"),
        ("core", "wallet of Bitcoin Core"),
    ):
        assert words in refusal(pair.ask, "wallet", "loadwallet", name).message
        assert words in next(line for line in log.splitlines() if f"[{name}] not loaded" in line)
    assert len(pair.health().problems) == 4
    assert pair.ask("wallet", "getbalance", wallet="good") == 0


def test_what_was_loaded_is_loaded_again_after_a_kill_but_not_on_a_new_start_by_another(pair: Pair) -> None:
    pair.start("wallet")
    pair.ask("wallet", "createwallet", "w")
    pair.ask("wallet", "createwallet", "always", False, True, "", False, True, True)
    pair.ask("wallet", "createwallet", "gone", False, True)
    pair.ask("wallet", "unloadwallet", "gone")
    pair.kill("wallet")
    pair.start("wallet")
    assert sorted(pair.ask("wallet", "listwallets")) == ["always", "w"]
    pair.stop("wallet")
    pair.command["wallet"] = ["sh", "-c", '"$@" & wait', "sh", *pair.command["wallet"]]  # another parent
    pair.start("wallet")
    assert pair.ask("wallet", "listwallets") == ["always"]


def test_no_secret_reaches_the_log_or_an_error(pair: Pair) -> None:
    pair.options["wallet"] += ["-debug=all"]
    pair.start("node")
    pair.start("wallet")
    pair.ask("wallet", "createwallet", "w", False, False, PASSPHRASE)
    refusal(pair.w, "walletpassphrase", PASSPHRASE + "!", 10)
    pair.w("walletpassphrase", PASSPHRASE, 100)
    private = [one["desc"] for one in pair.w("listdescriptors", True)["descriptors"]]
    keys = {word.partition("/")[0] for text in private for word in text.replace(")", "(").split("(") if "prv" in word}
    assert keys
    requests = [{"desc": text, "timestamp": "now", "range": [0, 4], "active": True} for text in private]
    pair.w("importdescriptors", requests)
    refusal(pair.w, "importdescriptors", [{"desc": private[0][:-3] + "###", "timestamp": "now"}] * 2 + [3])
    pair.w("walletpassphrasechange", PASSPHRASE, PASSPHRASE + " two")
    pair.kill("wallet")
    log = pair.log("wallet")
    assert "importdescriptors" in log
    for secret in (PASSPHRASE, *keys):
        assert secret not in log
        assert secret.encode() not in b"".join(file.read_bytes() for file in (pair.wallets / "w").iterdir())


def test_it_speaks_unix_sockets_alone_and_leaves_the_nodes_files_to_the_node(pair: Pair) -> None:
    pair.start("node")
    pair.start("wallet")
    pair.ask("wallet", "createwallet", "w")
    pair.mine(3)
    process = psutil.Process(pair.processes["wallet"].pid)
    assert process.net_connections("inet") == []
    opened = [file.path for file in process.open_files()]
    assert any("wallets" in path for path in opened)
    assert not [path for path in opened if "/blocks" in path or "/chainstate" in path]


@pytest.mark.parametrize("kind", ["does not exist", "is not a directory"])
def test_a_directory_of_wallets_that_somebody_named_must_be_there(pair: Pair, kind: str) -> None:
    wrong = pair.datadir / "nope" if "exist" in kind else pair.datadir / "file"
    if "exist" not in kind:
        wrong.touch()
    pair.options["wallet"].append(f"-walletdir={wrong}")
    assert pair.spawn("wallet").wait(DEADLINE) == ExitStatus.CONFIG
    assert f'Specified -walletdir "{wrong}" {kind}\n' in pair.log("wallet")
    assert not pair.network.exists() and not wrong.is_dir(), "nothing was made"


@pytest.mark.parametrize("role", ["node", "wallet"])
def test_without_a_console_it_says_what_kept_it_from_starting_and_no_more(pair: Pair, role: str) -> None:
    pair.options[role].append("-printtoconsole=0")
    pair.start(role)
    options, pair.options[role] = pair.options[role], [*pair.options[role], "-ipcbind=unix:other.sock"]
    first = pair.processes[role]
    assert pair.log(role) == ""
    assert pair.spawn(role).wait(DEADLINE) == ExitStatus.LOCKED
    said = pair.log(role).splitlines()
    assert len(said) == 1 and said[0].startswith(f"Error: bitcoin-mp-{role} is already running on"), said
    pair.processes[role], pair.options[role] = first, options
    assert pair.stop(role) == 0
    assert pair.log(role).splitlines() == said


def test_it_stops_in_order_and_a_second_one_is_refused(pair: Pair) -> None:
    pair.start("wallet")
    first = pair.processes["wallet"]
    second = pair.spawn("wallet")
    assert second.wait(DEADLINE) == ExitStatus.LOCKED
    assert str(first.pid) in pair.log("wallet")
    pair.processes["wallet"] = first
    pair.ask("wallet", "createwallet", "w")
    assert pair.stop("wallet") == 0
    assert not (pair.network / "run" / "wallet.sock").exists()
    assert not list((pair.wallets / "w").glob("*-wal"))


def test_without_peers_nobody_says_that_it_is_synced(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.network = tmp_path
    pair.chain_option = "-chain=main"
    lonely = "no peers: name some with -addnode or -connect"
    try:
        pair.start("node")
        node = pair.health("node")
        assert node.status == f"in initial download, height 0; {lonely}"
        assert node.problems == [f"nobody to download the chain from: {lonely}"]
        pair.start("wallet")
        pair.ask("wallet", "createwallet", "w", True)
        text = "1 wallet loaded, at height 0, as far as the node is with its initial download"
        wait_for(lambda: pair.health("wallet").status == text, "the wallet to tell how far that is")
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            pair.node("addnode", f"127.0.0.1:{silent.getsockname()[1]}", "add")
            assert pair.health("node").status.endswith("no peers: the one that is named does not answer")
            assert pair.health("node").problems == [], "it has a minute"
    finally:
        pair.close()


def test_private_keys_on_the_main_network_need_a_word_more(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.network = tmp_path
    pair.wallets = tmp_path / "wallets"
    pair.chain_option = "-chain=main"
    try:
        pair.start("wallet")
        error = refusal(pair.ask, "wallet", "createwallet", "w")
        assert "young" in error.message
        assert "-mainnetwallet=1" in error.message
        assert pair.ask("wallet", "createwallet", "watch", True) == {"name": "watch"}
        pair.stop("wallet")
        pair.options["wallet"].append("-mainnetwallet=1")
        pair.start("wallet")
        assert pair.ask("wallet", "createwallet", "w") == {"name": "w"}
        assert pair.w("getnewaddress").startswith("bc1q")
    finally:
        pair.close()


def may_mount() -> bool:
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=64k tmpfs /mnt"], capture_output=True, check=False
    )
    return done.returncode == 0


@pytest.mark.skipif(not shutil.which("unshare") or not may_mount(), reason="may not mount a small filesystem here")
def test_a_full_disk_is_said_and_nothing_accepted_is_lost(pair: Pair) -> None:
    pair.start("node")
    pair.wallets.mkdir(parents=True, exist_ok=True)
    script = f'mount -t tmpfs -o size=2m,mode=700 tmpfs {pair.wallets} && exec "$@"'
    pair.command["wallet"] = ["unshare", "-rm", "sh", "-c", script, "sh", sys.executable, "-m", "bitcoind_mp.wallet"]
    pair.start("wallet")
    inside = Path(f"/proc/{pair.processes['wallet'].pid}/root{pair.wallets}")
    pair.ask("wallet", "createwallet", "w")
    pair.mine(101)
    kept = {pair.w("getnewaddress", f"before {n}"): f"before {n}" for n in range(5)}
    filler = inside / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="space"):
        while True:
            file.write(bytes(4096))
    full = None
    for n in range(200):
        try:
            kept[pair.w("getnewaddress", f"while full {n}")] = f"while full {n}"
        except RpcError as error:
            full = error
            break
    assert full is not None
    assert full.code == -20
    assert "full" in full.message
    pair.mine(1, STRANGER)  # a block that can't be kept
    wait_for(lambda: pair.health().problems, "the wallet to say that it can't follow")
    for address, label in kept.items():
        assert pair.w("getaddressinfo", address)["labels"] == [label]
    filler.unlink()
    pair.until_synced()
    wait_for(lambda: not pair.health().problems, "the wallet to be well again")
    kept[pair.w("getnewaddress", "after")] = "after"
    assert len(kept) > 5
    for address, label in kept.items():
        assert pair.w("getaddressinfo", address)["labels"] == [label]
    assert pair.coins_by_the_wallet() == pair.coins_by_the_node()
    pair.processes["wallet"].send_signal(signal.SIGTERM)
    assert pair.processes["wallet"].wait(DEADLINE) == 0
