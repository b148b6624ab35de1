"""The supervisor over the real node and wallet: killed with calls in flight, nothing is orphaned and nothing lost."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from harness import Daemon, wait_until

from bitcoind_mp.interfaces.errors import Disconnected, RpcError

ADDRESS = "bcrt1qs758ursh4q9z627kt3pp5yysm78ddny6txaqgw"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path / "data", "-restartdelay=0")
    yield made
    made.clean_up()


class Miner(threading.Thread):
    """Asks for one block after the other, and keeps those that it was told of."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__()
        self.daemon_under_test = daemon
        self.acknowledged: list[str] = []
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.01):
            try:
                self.acknowledged += self.daemon_under_test.node("generatetoaddress", 1, ADDRESS)
            except (Disconnected, OSError, RpcError):
                self.done.wait(0.02)


def running(daemon: Daemon) -> set[int]:
    return {process.pid for process in daemon.processes()}


def has_ended(pid: int) -> bool:
    """Altogether: an ending process has no command line before its children are told."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def freeze(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)


def test_killed_with_calls_in_flight_again_and_again(daemon: Daemon) -> None:
    daemon.start()
    miner, there = Miner(daemon), 0
    miner.start()
    try:
        for _ in range(3):
            known = len(miner.acknowledged)
            wait_until("some blocks are mined", lambda known=known: len(miner.acknowledged) > known + 2)
            left = [daemon.pid("node"), daemon.pid("wallet")]
            supervisor = daemon.supervisor("status")["supervisor"]["pid"]
            freeze(left)  # else they may be gone before the next supervisor looks; it continues them
            os.kill(supervisor, signal.SIGKILL)
            wait_until("it has ended", lambda supervisor=supervisor: has_ended(supervisor))
            freeze(left)  # the kernel continued them: what is stopped in a process group that nobody is above any more
            there += len(running(daemon) & set(left))
            daemon.start()
            assert not running(daemon) & set(left), "both ended before the new ones began"
    finally:
        miner.done.set()
        miner.join(60)
    for hash in miner.acknowledged:
        assert daemon.node("getblockheader", hash)["confirmations"] > 0
    log = (daemon.directory / "regtest" / "logs" / "supervisor.log").read_text()
    assert log.count("which an earlier supervisor left") == there > 0
    assert "sending SIGKILL" not in log, "each worker noticed, and stopped by itself"
    daemon.stop()


def test_when_it_is_killed_nothing_is_orphaned(daemon: Daemon) -> None:
    daemon.start()
    os.kill(daemon.supervisor("status")["supervisor"]["pid"], signal.SIGKILL)
    wait_until("the workers have stopped", lambda: not daemon.processes())
    for unit in ("node", "wallet"):
        assert "Z Stopping: the supervisor is gone\n" in daemon.log(unit), "its last lines it writes itself"


def test_reload_restart_and_health_of_the_real_ones(daemon: Daemon) -> None:
    daemon.start()
    pids = [daemon.pid("node"), daemon.pid("wallet")]
    for unit in ("node", "wallet"):
        assert daemon.supervisor("reload", unit)["state"] == "running"
    assert [daemon.pid("node"), daemon.pid("wallet")] == pids
    assert "did not say that it reloaded" not in (daemon.directory / "regtest" / "logs" / "supervisor.log").read_text()
    assert daemon.supervisor("restart", "wallet")["pid"] != pids[1]
    assert daemon.supervisor("health")["exit"] == 0
    for method in ("health", "status"):
        wait_until(
            "each was asked", lambda method=method: all(u["sandbox"] for u in daemon.supervisor(method)["units"])
        )
        for unit in daemon.supervisor(method)["units"]:
            assert "not dumpable" in unit["sandbox"]["protections"]
    text = daemon.supervisor("help")
    for name in ("getblockcount", "getbalance", "restart"):
        assert f"\n{name}" in text
    assert daemon.supervisor("logging", ["ipc"])["ipc"] is True
    daemon.stop()


def test_what_a_person_asked_to_wipe_is_wiped_once(daemon: Daemon) -> None:
    daemon.options += ("-reindex",)
    daemon.start()
    daemon.node("generatetoaddress", 3, ADDRESS)
    daemon.kill("node")
    assert daemon.patiently(lambda: daemon.node("getblockcount")) == 3
    daemon.supervisor("restart", "node")
    daemon.supervisor("upgrade")
    daemon.supervisor("upgraded")
    assert daemon.node("getblockcount") == 3
    assert daemon.log("node").count("Rebuilding from the block files") == 1


@pytest.mark.parametrize("option", ["-bind=nowhere:1:2", "-maxmempool=1"])
def test_a_bad_value_that_only_a_worker_finds_ends_the_start_all_the_same(daemon: Daemon, option: str) -> None:
    """In the foreground, where nobody waits to be told that it is ready."""
    done = daemon.run("bitcoind-mp", "-printtoconsole=0", *daemon.options, "-listen=1", option, check=False)
    assert done.returncode == 78
    assert len(done.stderr.splitlines()) == 1
    assert option[1:5] in done.stderr
    assert daemon.processes() == []


def test_workers_have_names_of_their_own(daemon: Daemon) -> None:
    daemon.start()
    names = {name: Path(f"/proc/{daemon.pid(name)}/comm").read_text().strip() for name in ("node", "wallet")}
    assert names == {"node": "bitcoin-mp-node", "wallet": "bitcoin-mp-wall"}


def test_a_file_that_was_refused_or_is_being_edited_keeps_no_worker_from_coming_back(daemon: Daemon) -> None:
    conf, more = daemon.directory / "bitcoin.conf", daemon.directory / "more.conf"
    daemon.options += ("-healthinterval=0.5",)
    more.write_text("[regtest]\nmaxmempool=77\n")
    conf.write_text("includeconf=more.conf\nkeypool=3\nmaxmempool=88\n")
    daemon.start()
    daemon.wallet(None, "createwallet", "w")

    def options() -> tuple[int, int]:
        """One of the node's, and one of the wallet's: so many addresses of each of four kinds."""
        keys = daemon.patiently(lambda: daemon.wallet("w", "getwalletinfo")["keypoolsize"])
        return daemon.patiently(lambda: daemon.node("getmempoolinfo")["maxmempool"]) // 1_000_000, keys // 4

    def killed() -> tuple[int, int]:
        for unit in ("node", "wallet"):
            old = daemon.kill(unit)
            wait_until(f"a new {unit}", lambda unit=unit, old=old: is_new(daemon, unit, old))
        return options()

    def reloaded(outcome: str) -> None:
        os.kill(daemon.supervisor("status")["supervisor"]["pid"], signal.SIGHUP)
        log = daemon.directory / "regtest" / "logs" / "supervisor.log"
        wait_until(outcome, lambda: outcome in log.read_text())

    assert options() == (77, 3)
    conf.write_text("keypool=5\nnonsense=1\n")
    more.unlink()
    assert killed() == (77, 3)
    reloaded("the configuration stays as it was")
    assert killed() == (77, 3)
    found = daemon.supervisor("health")
    assert found["state"] == "degraded"
    assert [text for text in found["problems"] if f"Invalid configuration value in {conf} line 2: nonsense=1" in text]
    conf.write_text("keypool=5\n[regtest]\nmaxmempool=66\n")
    wait_until("it is well again", lambda: daemon.supervisor("health")["state"] == "ok")
    assert killed() == (77, 3), "nobody has asked for a reload yet"
    reloaded("the configuration was read again")
    assert options() == (77, 3)
    assert killed() == (66, 5)
    daemon.stop()


def is_new(daemon: Daemon, unit: str, old: int) -> bool:
    found = daemon.unit(unit)
    return found["state"] == "running" and found["pid"] != old
