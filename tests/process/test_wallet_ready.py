"""When the wallet is ready: at the node's tip, or where there is no node to wait for; what it says and does till then.

The wallet process is the real one; blocks come through a node that gives each only when the test lets it.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from forks import fork
from harness import BIN, Daemon, wait_until
from slow_node import SlowNode
from wallet_pair import Pair, wait_for

STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


class Manager:
    """The service manager's end of the notification socket."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(0.02)
        self.heard: list[str] = []

    def listen(self) -> list[str]:
        """All that was said so far."""
        with contextlib.suppress(TimeoutError):
            while True:
                self.heard.append(self.socket.recv(4096).decode())
        return self.heard

    def until(self, pattern: str) -> str:
        """The first message with that, whenever it came."""

        def found() -> str | None:
            return next((text for text in self.listen() if re.search(pattern, text)), None)

        said: str = wait_for(found, f"{pattern!r} to be said, of {self.heard}")
        return said

    def is_ready(self) -> bool:
        return any("READY=1" in text for text in self.listen())


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path, fork)
    yield pair
    pair.close()


@pytest.fixture
def manager(pair: Pair, tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path)
    pair.environment["NOTIFY_SOCKET"] = str(made.path)
    yield made
    made.socket.close()


def behind(pair: Pair, blocks: int) -> None:
    """A wallet ``w`` that is so many blocks behind a node that runs, and loaded at the next start."""
    pair.start("node")
    pair.start("wallet")
    pair.ask("wallet", "createwallet", "w", False, False, "", False, True, True)
    pair.mine(3)
    pair.until_synced()
    assert pair.stop("wallet") == 0
    pair.node("generatetoaddress", blocks, STRANGER)
    pair.options["wallet"].append("-wallet=w")


@pytest.fixture
def slow(pair: Pair, tmp_path: Path) -> Iterator[SlowNode]:
    """Not started; the wallet will connect to it."""
    made = SlowNode(tmp_path / "slow.sock", pair.network / "run" / "node.sock")
    yield made
    made.close()


def test_it_is_ready_at_the_tip_and_serves_and_says_how_far_it_is_before(
    pair: Pair, manager: Manager, slow: SlowNode
) -> None:
    behind(pair, 20)
    manager.listen()
    manager.heard.clear()
    slow.start()
    pair.options["wallet"].append(f"-ipcconnect=unix:{slow.path}")
    pair.start("wallet")
    manager.until(r"STATUS=1 wallet loaded, 'w' catching up at height 3 of 23 \(13 %\)")
    assert pair.ask("wallet", "listwallets") == ["w"]
    assert pair.ask("wallet", "listdescriptors", wallet="w")["wallet_name"] == "w"
    slow.let(10)
    manager.until(r"STATUS=.*catching up at height 13 of 23 \(56 %\)")
    assert any("EXTEND_TIMEOUT_USEC" in text for text in manager.listen())
    assert pair.w("getwalletinfo")["lastprocessedblock"]["height"] == 13
    assert not manager.is_ready()
    slow.let(10)
    assert "synced at height 23" in manager.until("READY=1")


def test_a_node_that_is_coming_up_is_waited_for(pair: Pair, manager: Manager, slow: SlowNode) -> None:
    behind(pair, 2)
    manager.listen()
    manager.heard.clear()
    slow.start(warmup="Loading block index…")
    pair.options["wallet"].append(f"-ipcconnect=unix:{slow.path}")
    pair.start("wallet")
    manager.until("STATUS=.*waiting for the node, which is coming up: Loading block index…")
    extended = len([text for text in manager.listen() if "EXTEND" in text])
    wait_for(lambda: len([text for text in manager.listen() if "EXTEND" in text]) > extended + 1, "more time")
    assert not manager.is_ready()
    assert pair.w("getbalance") >= 0
    slow.come_up()
    slow.let(2)
    assert "synced at height 5" in manager.until("READY=1")


def test_it_does_not_wait_for_a_node_that_is_not_there(pair: Pair, manager: Manager) -> None:
    behind(pair, 2)
    manager.listen()
    manager.heard.clear()
    pair.kill("node")
    pair.start("wallet")
    assert "1 wallet loaded, waiting for the node" in manager.until("READY=1")
    assert pair.w("getwalletinfo")["lastprocessedblock"]["height"] == 3
    pair.start("node")
    manager.until("STATUS=1 wallet loaded, synced at height 5")


def test_one_that_is_told_to_stop_while_it_catches_up_stops(pair: Pair, manager: Manager, slow: SlowNode) -> None:
    behind(pair, 5)
    manager.listen()
    manager.heard.clear()
    slow.start()
    pair.options["wallet"].append(f"-ipcconnect=unix:{slow.path}")
    pair.start("wallet")
    manager.until("catching up")
    assert pair.stop("wallet") == 0
    assert not manager.is_ready()


# -- under the supervisor ------------------------------------------------------------------------------------------


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path / "d", "-keypool=5", "-starttimeout=wallet:6")
    yield made
    made.clean_up()


def waiting(daemon: Daemon, *words: str) -> "subprocess.Popen[str]":
    """The front end, waiting."""
    command = [str(BIN / "bitcoin-mp"), "-regtest", f"-datadir={daemon.directory}", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_catching_up_for_longer_than_a_start_may_take_gets_nobody_killed(daemon: Daemon, tmp_path: Path) -> None:
    """And whoever waits, does: a start, a restart, and status --wait."""
    daemon.start()
    daemon.wallet(None, "createwallet", "w", False, False, "", False, True, True)
    daemon.supervisor("stop", "wallet")
    daemon.node("generatetoaddress", 12, STRANGER)
    daemon.stop()
    slow = SlowNode(tmp_path / "slow.sock", Path(daemon.socket("node"))).start(warmup="Loading block index…")
    try:
        daemon.run("bitcoind-mp", "-daemon", *daemon.options, "-wallet=w", f"-ipcconnect=unix:{slow.path}")
        daemon.until_running("node")
        slow.come_up()
        wait_until("it to catch up", lambda: "catching up at height 0 of 12" in daemon.unit("wallet")["status"])
        pid = daemon.pid("wallet")
        front = waiting(daemon, "status", "--wait", "wallet")
        for height in range(1, 12):
            slow.let(1)
            wait_until("the next block", lambda height=height: f"height {height} of" in daemon.unit("wallet")["status"])
            pause = time.monotonic() + 0.7
            wait_until("a while", lambda pause=pause: time.monotonic() > pause)
        unit = daemon.unit("wallet")
        assert (unit["state"], unit["pid"], unit["restarts"]) == ("starting", pid, 0)
        assert front.poll() is None
        assert daemon.wallet("w", "getwalletinfo")["lastprocessedblock"]["height"] == 11
        slow.let(1)
        out, err = front.communicate(timeout=60)
        assert (front.returncode, err) == (0, "")
        assert "synced at height 12" in out
        assert daemon.pid("wallet") == pid
    finally:
        slow.close()


def test_status_wait_says_by_its_exit_status_what_came_of_it(daemon: Daemon) -> None:
    daemon.start()
    assert daemon.run("bitcoin-mp", "status", "--wait").returncode == 0
    daemon.supervisor("stop", "wallet")
    assert daemon.run("bitcoin-mp", "status", "--wait").returncode == 0, "nobody wants it up"
    done = daemon.run("bitcoin-mp", "status", "--wait", "wallet", check=False)
    assert (done.returncode, "inactive (stopped)" in done.stdout) == (3, True)
    assert daemon.run("bitcoin-mp", "status", "--wait", "node").returncode == 0
    done = daemon.run("bitcoin-mp", "status", "--wait", "miner", check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "error: status: unknown unit 'miner': expected node or wallet (or signer, with -signerprocess)\n",
    )
    daemon.stop()
    assert "Could not connect" in daemon.run("bitcoin-mp", "status", "--wait", check=False).stderr


def test_a_wallet_comes_up_beside_a_node_that_hangs(daemon: Daemon) -> None:
    """Callers of the node are kept waiting: the wallet waits a little, and then serves as well as it can."""
    daemon.start()
    daemon.wallet(None, "createwallet", "w", False, False, "", False, True, True)
    node = daemon.pid("node")
    os.kill(node, signal.SIGSTOP)
    try:
        daemon.kill("wallet")
        assert daemon.patiently(lambda: daemon.wallet("w", "getbalance")) == 0
        daemon.until_running("wallet")
        assert "waiting for the node" in daemon.unit("wallet")["status"]
    finally:
        os.kill(node, signal.SIGCONT)
    wait_until("it to find the node again", lambda: "synced at height 0" in daemon.unit("wallet")["status"])


def test_a_payment_waits_for_a_node_that_is_being_started_again(daemon: Daemon) -> None:
    """As any caller of the node does: whoever pays meanwhile is not refused."""
    daemon.options += ("-fallbackfee=0.0002",)
    daemon.start()
    daemon.wallet(None, "createwallet", "w", False, False, "", False, True, True)
    daemon.node("generatetoaddress", 101, daemon.wallet("w", "getnewaddress"))
    supervisor, node = int(daemon.supervisor("status")["supervisor"]["pid"]), daemon.pid("node")
    os.kill(supervisor, signal.SIGSTOP)  # nobody starts the node again for a while
    try:
        os.kill(node, signal.SIGKILL)
        paying = waiting(daemon, "-rpcwallet=w", "sendtoaddress", STRANGER, "1")
        with pytest.raises(subprocess.TimeoutExpired):
            paying.communicate(timeout=5)  # longer than one that is not on its way is waited for
    finally:
        os.kill(supervisor, signal.SIGCONT)
    out, err = paying.communicate(timeout=60)
    assert (paying.returncode, err) == (0, "")
    assert daemon.node("getrawmempool") == [out.strip()]
