"""What the operator is told of the real node and wallet, as Bitcoin Core tells it, and through SIGKILL of either."""

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import DEADLINE, Daemon, wait_until

STRANGER = "bcrt1qs758ursh4q9z627kt3pp5yysm78ddny6txaqgw"


@pytest.fixture
def make_daemon(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    made: list[Daemon] = []

    def make(*options: str) -> Daemon:
        made.append(Daemon(tmp_path / "data", "-restartdelay=0", "-fallbackfee=0.0001", *options))
        return made[-1]

    yield make
    for daemon in made:
        daemon.clean_up()


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def funded(daemon: Daemon, wallet: str = "w") -> str:
    """A wallet with coins to spend; an address of it."""
    daemon.wallet(None, "createwallet", wallet, False, False, "", False, True, True)  # load_on_startup
    address: str = daemon.wallet(wallet, "getnewaddress")
    daemon.node("generatetoaddress", 1, address)
    daemon.node("generatetoaddress", 100, STRANGER)
    daemon.wallet(wallet, "getbalance")
    return address


class Follower:
    """`notices.follow`, as anybody can call it."""

    def __init__(self, daemon: Daemon, *kinds: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(DEADLINE)
        self._socket.connect(daemon.socket("supervisor"))
        self._stream = self._socket.makefile("rwb")
        hello = {"role": "cli", "protocol": 1, "chain": "regtest", "version": "0", "pid": os.getpid()}
        self._ask(1, "init.handshake", [hello])
        self._ask(2, "notices.follow", [list(kinds), 1])

    def _ask(self, identity: int, method: str, params: list[Any]) -> None:
        request = {"jsonrpc": "2.0", "id": identity, "method": method, "params": params}
        self._stream.write(json.dumps(request).encode() + b"\n")
        self._stream.flush()
        while True:
            message = json.loads(self._stream.readline())
            if message.get("id") == identity:
                assert "error" not in message, message
                return

    def next(self) -> dict[str, Any]:
        while True:
            message = json.loads(self._stream.readline())
            if message.get("method") == "event":
                assert message["jsonrpc"] == "2.0"
                notice: dict[str, Any] = message["params"][0]
                return notice

    def close(self) -> None:
        self._stream.close()
        self._socket.close()


def test_blocks_and_transactions_as_bitcoin_core_tells_them(make_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    name = 'it\'s $(touch pwned) "mine"'
    blocks, told = tmp_path / "blocks", tmp_path / "told"
    told.mkdir()
    daemon = make_daemon(f"-blocknotify=echo %s >> {blocks}", f"-walletnotify=echo '%b %h' > {told}/%w_%s")
    daemon.start()
    daemon.wallet(None, "createwallet", name)
    address = daemon.wallet(name, "getnewaddress")
    hashes = daemon.node("generatetoaddress", 10, address)
    wait_until("each block is told", lambda: sorted(lines(blocks)) == sorted(hashes))
    transactions = {row["txid"]: row for row in daemon.wallet(name, "listtransactions", "*", 100)}
    assert len(transactions) == 10
    wait_until("each transaction is told", lambda: len(list(told.iterdir())) == 10)
    for txid, row in transactions.items():
        file = told / f"{name}_{txid}"
        wait_until("it is told whole", lambda file=file: lines(file))
        assert lines(file) == [f"{row['blockhash']} {row['blockheight']}"]
        file.unlink()
    daemon.node("generatetoaddress", 100, STRANGER)
    daemon.wallet(name, "getbalance")
    sent = daemon.wallet(name, "sendtoaddress", STRANGER, 1)
    wait_until("the payment is told", lambda: lines(told / f"{name}_{sent}") == ["unconfirmed -1"])
    (block,) = daemon.node("generatetoaddress", 1, STRANGER)
    wait_until("its confirmation is told", lambda: lines(told / f"{name}_{sent}") == [f"{block} 111"])
    assert not list(tmp_path.rglob("pwned"))
    daemon.stop()


def test_a_burst_of_transactions_makes_no_crowd_of_shells(make_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    told, here = tmp_path / "told", tmp_path / "here"
    here.mkdir()
    line = f"touch {here}/$$; echo %s $(ls {here} | wc -l) >> {told}; rm {here}/$$"
    daemon = make_daemon(f"-walletnotify={line}")
    daemon.start()
    daemon.wallet(None, "createwallet", "w")
    address = daemon.wallet("w", "getnewaddress")
    daemon.node("generatetoaddress", 100, address)
    wait_until("each is told", lambda: len({text.split()[0] for text in lines(told)}) == 100)
    assert max(int(text.split()[1]) for text in lines(told)) <= 4
    (found,) = daemon.supervisor("events")["commands"]
    assert (found["failed"], found["not_run"]) == (0, 0)
    daemon.stop()


def test_a_transaction_whose_command_had_not_ended_is_told_again_after_a_kill(
    make_daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    begun, ended, gate = tmp_path / "begun", tmp_path / "ended", tmp_path / "gate"
    os.mkfifo(gate)
    daemon = make_daemon(f"-walletnotify=echo %s >> {begun}; read go < {gate}; echo %s %h >> {ended}")
    daemon.start()
    daemon.wallet(None, "createwallet", "w")
    address = daemon.wallet("w", "getnewaddress")
    daemon.node("generatetoaddress", 1, address)
    wait_until("the command has begun", lambda: len(lines(begun)) == 1)
    (txid,) = lines(begun)
    daemon.kill("wallet")
    wait_until("it is told again by the next process", lambda: lines(begun) == [txid, txid])
    with gate.open("w") as go:  # for all that wait
        go.write("go\ngo\n")
        go.flush()
        wait_until("both have ended", lambda: lines(ended) == [f"{txid} 1"] * 2)
    daemon.kill("wallet")
    daemon.node("generatetoaddress", 1, address)
    wait_until("the next one is told, and the first not again", lambda: len(lines(begun)) == 3)
    assert lines(begun)[2] != txid
    gate.write_text("go\n")
    daemon.stop()


def test_what_changed_while_the_supervisor_was_dead_or_stopped_is_told(
    make_daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    told = tmp_path / "told"
    daemon = make_daemon(f"-walletnotify=echo %s %h >> {told}")
    daemon.start()
    address = funded(daemon)
    wait_until("the first is told", lambda: len(lines(told)) >= 1)
    supervisor = daemon.supervisor("status")["supervisor"]["pid"]
    sent = []
    for ending in (signal.SIGSTOP, signal.SIGKILL):
        wallet = daemon.pid("wallet")
        os.kill(supervisor, signal.SIGSTOP)
        sent.append(daemon.wallet("w", "sendtoaddress", address, 1))
        if ending == signal.SIGSTOP:
            os.kill(wallet, signal.SIGKILL)
            os.kill(supervisor, signal.SIGCONT)
            wait_until("another one runs", lambda old=wallet: running(daemon, "wallet") not in (None, old))
        else:
            os.kill(supervisor, signal.SIGKILL)
            wait_until("the workers have stopped", lambda: not daemon.processes())
            daemon.start()
        wait_until("it is told", lambda: f"{sent[-1]} -1" in lines(told))
    (block,) = daemon.node("generatetoaddress", 1, STRANGER)
    height = daemon.node("getblockheader", block)["height"]
    wait_until("both confirmations are told", lambda: {f"{txid} {height}" for txid in sent} <= {*lines(told)})
    daemon.stop()


def running(daemon: Daemon, unit: str) -> int | None:
    found = daemon.unit(unit)
    return int(found["pid"]) if found["state"] == "running" else None


def test_followers_miss_no_block_and_no_transaction_of_a_killed_worker(make_daemon: Callable[..., Daemon]) -> None:
    daemon = make_daemon()
    daemon.start()
    address = funded(daemon)
    follower = Follower(daemon)
    heights: list[int] = []
    txids: set[str] = set()
    mined: list[str] = []
    units: list[tuple[str, str]] = []

    def read_until(done: Callable[[], bool]) -> None:
        while not done():
            notice = follower.next()
            if notice["kind"] == "tip":
                heights.append(notice["height"])
            elif notice["kind"] == "transaction":
                txids.add(notice["txid"])
            elif notice["kind"] == "unit":
                units.append((notice["unit"], notice["state"]))

    mined += daemon.node("generatetoaddress", 1, address)
    read_until(lambda: 102 in heights)
    for _ in range(2):
        daemon.kill("node")
        mined += daemon.patiently(lambda: daemon.node("generatetoaddress", 2, address))
        daemon.kill("wallet")
        mined += daemon.node("generatetoaddress", 1, address)
        last = daemon.node("getblockcount")
        read_until(lambda last=last: last in heights)
    wanted = {daemon.node("getblock", hash)["tx"][0] for hash in mined}
    read_until(lambda: wanted <= txids)
    assert sorted(set(heights)) == list(range(102, last + 1)), "none is missing"
    assert ("node", "starting") in units
    assert ("wallet", "starting") in units
    follower.close()
    daemon.stop()
