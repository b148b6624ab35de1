"""Nodes keep one chain and one mempool: two of ours, and ours with Bitcoin Core, through kills of either."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import Daemon, free_port, wait_until

#: Nobody's key: OP_TRUE as a bech32 address would be, here the hash of a script that anybody can satisfy.
ANYONE = "bcrt1qft5p2uhsdcdc3l2ua4ap5qqfg4pjaqlp250x7us7a8qqhrxrxfsqseac85"  # wsh(OP_TRUE)


class Core:
    """A real bitcoind on regtest, on loopback alone."""

    def __init__(self, program: str, directory: Path, port: int) -> None:
        directory.mkdir()
        self.program, self.directory, self.port, self.rpc_port = program, directory, port, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                self.program,
                "-regtest",
                f"-datadir={self.directory}",
                f"-bind=127.0.0.1:{self.port}",
                f"-rpcport={self.rpc_port}",
                "-rpcuser=u",
                "-rpcpassword=p",
                "-fallbackfee=0.0002",
                "-dnsseed=0",
                "-discover=0",
                "-debug=net",
            ],
            stdout=subprocess.DEVNULL,
        )
        wait_until("bitcoind answers", self._answers)

    def _answers(self) -> bool:
        try:
            self("getblockcount")
        except (OSError, RuntimeError):
            return False
        return True

    def __call__(self, method: str, *params: Any) -> Any:
        import base64
        import urllib.error
        import urllib.request

        request = urllib.request.Request(
            f"http://127.0.0.1:{self.rpc_port}/",
            json.dumps({"id": 1, "method": method, "params": params}).encode(),
            {"Authorization": "Basic " + base64.b64encode(b"u:p").decode()},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return json.load(reply)["result"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(error.read().decode()) from error

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)


@pytest.fixture
def core(bitcoind: str, tmp_path: Path) -> Iterator[Core]:
    peer = Core(bitcoind, tmp_path / "core", free_port())
    peer.start()
    yield peer
    peer.stop()


def same_tip(*ask: Callable[[], str]) -> Callable[[], bool]:
    def check() -> bool:
        with contextlib.suppress(OSError, RuntimeError):
            return len({one() for one in ask}) == 1
        return False

    return check


def pair(make_daemon: Callable[..., Daemon]) -> tuple[Daemon, Daemon]:
    port = free_port()
    a = make_daemon("a", "-listen=1", f"-bind=127.0.0.1:{port}", "-fallbackfee=0.0002")
    b = make_daemon("b", f"-connect=127.0.0.1:{port}", "-fallbackfee=0.0002")
    wait_until("they are connected", lambda: b.node("getconnectioncount") == 1)
    return a, b


def test_the_round_trip_is_measured_as_soon_as_peers_have_met(make_daemon: Callable[..., Daemon]) -> None:
    for daemon in pair(make_daemon):
        wait_until("the ping is answered", lambda d=daemon: "pingtime" in d.node("getpeerinfo")[0])


def tips_agree(a: Daemon, b: Daemon) -> None:
    ask = [lambda d=d: d.patiently(lambda: d.node("getbestblockhash")) for d in (a, b)]
    wait_until("the tips agree", same_tip(*ask))


def mempools_agree(a: Daemon, b: Daemon, size: int) -> None:
    def agree() -> bool:
        pools = [set(d.patiently(lambda d=d: d.node("getrawmempool"))) for d in (a, b)]
        return pools[0] == pools[1] and len(pools[0]) == size

    wait_until(f"both mempools hold the same {size}", agree)


def test_two_of_ours_keep_one_chain_and_one_mempool_through_kills_of_either(
    make_daemon: Callable[..., Daemon],
) -> None:
    a, b = pair(make_daemon)
    a.wallet(None, "createwallet", "w")
    home = a.wallet("w", "getnewaddress")
    a.node("generatetoaddress", 105, home)
    tips_agree(a, b)
    b.node("generatetoaddress", 3, ANYONE)
    tips_agree(a, b)
    assert a.node("getblockcount") == 108

    a.wallet("w", "sendtoaddress", home, 1)
    mempools_agree(a, b, 1)

    b.kill("node")
    a.node("generatetoaddress", 1, home)
    a.wallet("w", "sendtoaddress", home, 2)
    tips_agree(a, b)
    mempools_agree(a, b, 1)

    a.kill("node")
    b.node("generatetoaddress", 1, ANYONE)
    tips_agree(a, b)
    a.patiently(lambda: a.wallet("w", "getbalance"))
    assert a.node("getblockcount") == 110
    for daemon in (a, b):
        daemon.stop()


def test_a_longer_branch_wins_and_its_losers_transactions_come_back(make_daemon: Callable[..., Daemon]) -> None:
    a, b = pair(make_daemon)
    a.wallet(None, "createwallet", "w")
    home = a.wallet("w", "getnewaddress")
    a.node("generatetoaddress", 101, home)
    tips_agree(a, b)
    b.node("disconnectnode", b.node("getpeerinfo")[0]["addr"])
    b.run("bitcoin-mp", "restart", "node")  # with nobody to connect to, it goes its own way
    b.patiently(lambda: b.node("setnetworkactive", False))
    txid = a.wallet("w", "sendtoaddress", home, 1)
    a.node("generatetoaddress", 1, home)
    assert a.wallet("w", "gettransaction", txid)["confirmations"] == 1
    b.node("generatetoaddress", 3, ANYONE)
    b.node("setnetworkactive", True)
    tips_agree(a, b)
    assert a.node("getblockcount") == 104
    wait_until("the payment is unconfirmed again", lambda: a.wallet("w", "gettransaction", txid)["confirmations"] == 0)
    assert txid in a.node("getrawmempool")
    b.node("generatetoaddress", 1, ANYONE)
    for daemon in (a, b):
        daemon.stop()


def test_a_node_that_was_told_a_block_is_invalid_keeps_its_peer_and_comes_back(
    make_daemon: Callable[..., Daemon],
) -> None:
    a, b = pair(make_daemon)
    b.wallet(None, "createwallet", "w")
    b.node("generatetoaddress", 101, b.wallet("w", "getnewaddress"))
    tips_agree(a, b)
    b.wallet("w", "sendtoaddress", ANYONE, 1)
    mempools_agree(a, b, 1)
    (mined,) = a.node("generatetoaddress", 1, ANYONE)
    tips_agree(a, b)

    b.node("invalidateblock", mined)
    assert (b.node("getblockcount"), b.node("getblockchaininfo")["headers"]) == (101, 101)
    assert b.node("getmempoolinfo")["size"] == 1, "its payment is unconfirmed again"
    b.kill("node")
    wait_until("they have met again", lambda: b.patiently(lambda: b.node("getpeerinfo")))
    wait_until("headers came", lambda: "headers" in b.node("getpeerinfo")[0]["bytesrecv_per_msg"])
    (peer,) = b.node("getpeerinfo")
    before = peer["bytesrecv_per_msg"]["headers"]
    a.node("generatetoaddress", 1, ANYONE)
    wait_until("it is told", lambda: b.node("getpeerinfo")[0]["bytesrecv_per_msg"]["headers"] > before)
    assert [known["id"] for known in b.node("getpeerinfo")] == [peer["id"]]
    assert b.node("getblockcount") == 101, "the kill has not undone it"

    b.node("reconsiderblock", mined)
    a.node("generatetoaddress", 1, ANYONE)
    tips_agree(a, b)
    assert b.node("getblockcount") == 104
    assert b.node("getmempoolinfo")["size"] == 0
    assert [known["id"] for known in b.node("getpeerinfo")] == [peer["id"]]
    for daemon in (a, b):
        daemon.stop()


def test_ours_and_bitcoin_core_keep_one_chain_and_one_mempool(make_daemon: Callable[..., Daemon], core: Core) -> None:
    ours = make_daemon("ours", f"-connect=127.0.0.1:{core.port}", "-fallbackfee=0.0002")
    wait_until("they are connected", lambda: ours.node("getconnectioncount") == 1)
    tips = same_tip(lambda: ours.patiently(lambda: ours.node("getbestblockhash")), lambda: core("getbestblockhash"))

    ours.wallet(None, "createwallet", "w")
    home = ours.wallet("w", "getnewaddress")
    ours.node("generatetoaddress", 101, home)
    wait_until("Core has our blocks", tips)
    core("createwallet", "c")
    theirs = core("getnewaddress")
    core("generatetoaddress", 101, theirs)
    wait_until("we have Core's blocks", tips)
    assert ours.node("getblockcount") == 202

    from_us = ours.wallet("w", "sendtoaddress", theirs, 1)
    wait_until("Core has our transaction", lambda: from_us in core("getrawmempool"))
    from_core = core("sendtoaddress", home, 2)
    wait_until("we have Core's transaction", lambda: from_core in ours.node("getrawmempool"))

    ours.kill("node")
    core("generatetoaddress", 1, theirs)
    wait_until("we have caught up after our kill", tips)
    core.kill()
    ours.node("generatetoaddress", 2, home)
    core.start()
    wait_until("Core has caught up after its kill", tips)
    assert ours.wallet("w", "gettransaction", from_core)["confirmations"] >= 2
    ours.stop()


def test_core_calls_us(make_daemon: Callable[..., Daemon], core: Core) -> None:
    """Core tries its encrypted transport first; refused there, it comes back with version 1."""
    port = free_port()
    ours = make_daemon("ours", "-listen=1", f"-bind=127.0.0.1:{port}")
    core("generatetoaddress", 30, ANYONE)
    core("addnode", f"127.0.0.1:{port}", "add")
    wait_until("we have Core's blocks", lambda: ours.node("getblockcount") == 30)
    assert ours.node("getpeerinfo")[0]["inbound"] is True
    ours.node("generatetoaddress", 1, ANYONE)
    wait_until("Core has our block", lambda: core("getblockcount") == 31)
    ours.stop()


def test_garbage_from_a_peer_disconnects_that_peer_alone(make_daemon: Callable[..., Daemon]) -> None:
    import socket

    port = free_port()
    ours = make_daemon("ours", "-listen=1", f"-bind=127.0.0.1:{port}")
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096), bytes.fromhex("fabfb5da") + b"\xff" * 200):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
            peer.sendall(garbage)
            peer.settimeout(10)
            with contextlib.suppress(ConnectionError):
                assert peer.recv(100) == b""
    assert ours.node("getconnectioncount") == 0
    assert ours.unit("node")["restarts"] == 0
    ours.stop()
