"""Each class of failure under a real supervisor: its cause, its exit status, and if it is refused, held or retried.

The node is the real one where it is the node that must notice; the kernel's killer is the real one too.
"""

import contextlib
import fcntl
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import BIN, DEADLINE, Daemon, wait_until
from small_disk import SmallDisk

from bitcoind_mp.interfaces.errors import RpcError

ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
MIB = 1 << 20


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path / "d", "-disablewallet", "-healthinterval=0")
    yield made
    made.clean_up()


def until_state(daemon: Daemon, state: str) -> dict[str, Any]:
    """The node's status once it is in that state."""

    def there() -> dict[str, Any] | None:
        with contextlib.suppress(OSError):
            unit = daemon.unit("node")
            return unit if unit["state"] == state else None
        return None

    found: dict[str, Any] = wait_until(f"the node to be {state}", there)
    return found


def test_a_port_that_is_taken_holds_the_node_until_it_is_free(daemon: Daemon) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        daemon.options += ("-listen", f"-bind=127.0.0.1:{other.getsockname()[1]}")
        daemon.run("bitcoind-mp", "-daemon", *daemon.options)
        held = until_state(daemon, "held")
        assert (held["cause"], held["last_exit"]["code"], held["active"]) == ("port-taken", 69, "activating")
        assert "starts by itself once the port is free" in held["advice"]
        text = daemon.run("bitcoin-mp", "status", "node", check=False).stdout
        assert "Cause: port-taken" in text and "What to do: Stop the program that listens there" in text
        refused = daemon.run("bitcoin-mp", "restart", "node", check=False)
        assert "The node did not start: exit status 69 (port taken)" in refused.stderr
        assert refused.stderr.rstrip().endswith("; it starts by itself once that is gone")
    running = until_state(daemon, "running")
    assert running["cause"] == running["advice"] == ""
    assert running["last_exit"]["cause"] == "port-taken"


def test_a_locked_directory_holds_the_node_until_it_is_released(daemon: Daemon) -> None:
    network = daemon.directory / "regtest"
    network.mkdir(parents=True)
    with (network / ".lock").open("w") as core:
        fcntl.lockf(core, fcntl.LOCK_EX)
        daemon.run("bitcoind-mp", "-daemon", *daemon.options)
        held = until_state(daemon, "held")
        assert (held["cause"], held["last_exit"]["code"]) == ("directory-locked", 75)
        assert "Bitcoin Core is probably running" in held["reason"]
        starts = daemon.log("supervisor").count("directory locked")
    until_state(daemon, "running")
    assert daemon.log("supervisor").count("directory locked") == starts, "it wasn't started for nothing"


def test_callers_are_told_what_a_unit_is_held_by_and_who_asks_to_wait_waits(daemon: Daemon) -> None:
    network = daemon.directory / "regtest"
    network.mkdir(parents=True)
    why = "The node is held, and starts by itself once what is in its way is gone: exit status 75 (directory locked)"

    def held_by_core(*arguments: str) -> subprocess.CompletedProcess[str]:
        return daemon.run("bitcoin-mp", *arguments, check=False)

    with (network / ".lock").open("w") as core:
        fcntl.lockf(core, fcntl.LOCK_EX)
        daemon.run("bitcoind-mp", "-daemon", *daemon.options)
        until_state(daemon, "held")
        never_ready = held_by_core("getblockcount")
        assert (never_ready.returncode, never_ready.stderr.count(why)) == (9, 1), never_ready.stderr
    until_state(daemon, "running")
    daemon.supervisor("stop", "node")
    with (network / ".lock").open("r+") as core:
        fcntl.lockf(core, fcntl.LOCK_EX)
        with contextlib.suppress(RpcError):
            daemon.supervisor("start", "node")
        until_state(daemon, "held")
        done = held_by_core("getblockcount")
        assert (done.returncode, done.stderr.count(why)) == (9, 1), done.stderr
        done = held_by_core("-rpcwait", "-rpcwaittimeout=1", "getblockcount")
        assert (done.returncode, done.stderr.count(f"timeout on transient error: {why}")) == (1, 1), done.stderr
        done = held_by_core("-rpcclienttimeout=1", "status", "--wait", "node")
        assert (done.returncode, done.stderr.count(why.removeprefix("The "))) == (1, 1), done.stderr
        shell = subprocess.run(
            [str(BIN / "bitcoin-mp"), "-regtest", f"-datadir={daemon.directory}"],
            input="getblockcount\n",
            env=daemon.environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
        assert why in shell.stdout + shell.stderr
    assert daemon.run("bitcoin-mp", "-rpcwait", "getblockcount").stdout.strip() == "0"


def test_daemonwait_tells_a_person_what_it_is_held_by(daemon: Daemon) -> None:
    network = daemon.directory / "regtest"
    network.mkdir(parents=True)
    with (network / ".lock").open("w") as core:
        fcntl.lockf(core, fcntl.LOCK_EX)
        done = daemon.run("bitcoind-mp", "-daemonwait", *daemon.options, check=False)
        assert [path.name for path in network.iterdir()] == [".lock"], "it left nothing behind"
    assert done.returncode == 75
    assert f"Error: Cannot obtain a lock on directory {network}: Bitcoin Core is probably running on it." in done.stderr


def test_core_s_files_stay_as_they_are_while_it_runs(tmp_path: Path) -> None:
    network = tmp_path / "d" / "regtest"
    (network / "wallets").mkdir(parents=True)
    settings = network / "settings.json"
    settings.write_text("{}")
    (network / "mempool.dat").touch()
    daemon = Daemon(tmp_path / "d", "-healthinterval=0", "-sandbox=auto")
    try:
        with (network / ".lock").open("w") as core:
            fcntl.lockf(core, fcntl.LOCK_EX)
            daemon.run("bitcoind-mp", "-daemon", *daemon.options)
            for unit in ("node", "wallet"):
                wait_until(f"the {unit} to be held", lambda unit=unit: state_of(daemon, unit) == "held")
            assert not settings.is_symlink() and settings.read_text() == "{}"
            assert not (network / "mempool.dat").is_symlink()
            assert list((network / "wallets").iterdir()) == []
        # The node's own hold on the same lock is not in the wallet's way.
        for unit in ("node", "wallet"):
            wait_until(f"the {unit} to run", lambda unit=unit: state_of(daemon, unit) == "running")
        assert settings.is_symlink()
    finally:
        daemon.clean_up()


def state_of(daemon: Daemon, unit: str) -> str:
    with contextlib.suppress(OSError):
        return str(daemon.unit(unit)["state"])
    return ""


@pytest.fixture
def small_disk(daemon: Daemon) -> Iterator[SmallDisk]:
    disk = SmallDisk(daemon.directory, "220m")
    yield disk
    daemon.clean_up()
    disk.unmount()


def test_a_disk_that_fills_up_stops_the_node_cleanly_and_holds_it_until_there_is_room(
    daemon: Daemon, small_disk: SmallDisk
) -> None:
    daemon.options += ("-diskcheckinterval=0.2",)
    daemon.start()
    daemon.node("generatetoaddress", 5, ADDRESS)
    best = daemon.node("getbestblockhash")
    small_disk.fill(60 * MIB)
    held = until_state(daemon, "held")
    assert (held["cause"], held["last_exit"]["code"]) == ("disk-full", 74)
    assert "Disk space is too low!" in held["reason"]
    journal = daemon.directory / "regtest" / "block-journal.dat"
    assert journal.stat().st_size == 8, "it stopped in order: the kernel has written all"
    small_disk.free()
    until_state(daemon, "running")
    assert daemon.patiently(lambda: daemon.node("getbestblockhash")) == best
    assert daemon.tracebacks() == []


def test_a_node_is_not_started_on_a_disk_that_is_nearly_full(daemon: Daemon, small_disk: SmallDisk) -> None:
    small_disk.fill(60 * MIB)
    daemon.run("bitcoind-mp", "-daemon", *daemon.options)
    held = until_state(daemon, "held")
    assert "No room to open the chain: Disk space is too low!" in held["reason"]
    small_disk.free()
    until_state(daemon, "running")


def test_what_a_person_must_mend_is_refused_with_its_cause(daemon: Daemon) -> None:
    daemon.start()
    daemon.stop()
    current = daemon.directory / "regtest" / "chainstate" / "CURRENT"
    whole = current.read_bytes()
    current.write_bytes(b"this is not what was here before\n")
    daemon.run("bitcoind-mp", "-daemon", *daemon.options)
    failed = until_state(daemon, "failed")
    assert (failed["cause"], failed["last_exit"]["code"], failed["restarts"]) == ("corrupt-data", 65, 0)
    assert "start bitcoind-mp once with -reindex" in failed["reason"]
    assert "do what it says" in failed["advice"]
    daemon.stop()
    current.write_bytes(whole)
    daemon.run("bitcoind-mp", "-daemon", *daemon.options, "-connect=[::1]:x")
    failed = until_state(daemon, "failed")
    assert (failed["cause"], failed["last_exit"]["code"], failed["restarts"]) == ("bad-option", 78, 0)


# -- out of memory ----------------------------------------------------------------------------------------------


class MemoryGroup:
    """A control group below ours that may hold so many bytes."""

    def __init__(self, size: int) -> None:
        own = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
        unified = "memory" not in own
        root = Path("/sys/fs/cgroup") if unified else Path("/sys/fs/cgroup/memory")
        self.place = root / own["" if unified else "memory"].lstrip("/") / f"bitcoind-mp-test-{os.getpid()}"
        limit, swap = ("memory.max", "memory.swap.max") if unified else ("memory.limit_in_bytes", "memory.swappiness")
        try:
            self.place.mkdir()
            (self.place / limit).write_text(str(size))
            if (self.place / swap).exists():
                (self.place / swap).write_text("0")
        except OSError as error:
            with contextlib.suppress(OSError):
                self.place.rmdir()
            pytest.skip(f"no control group with a limit of memory may be made here: {error}")

    def enter(self) -> None:
        """In a child, before it executes anything."""
        (self.place / "cgroup.procs").write_text(str(os.getpid()))

    def remove(self) -> None:
        wait_until("the group to be left", lambda: not (self.place / "cgroup.procs").read_text().split())
        self.place.rmdir()


@pytest.fixture
def group() -> Iterator[MemoryGroup]:
    made = MemoryGroup(300 * MIB)
    yield made
    made.remove()


@pytest.mark.parametrize("supervisor", ["executed", "forked"], indirect=True)
def test_a_kill_for_want_of_memory_is_told_from_another_and_steps_down_once(
    group: MemoryGroup, supervisor: Any
) -> None:
    supervisor.start(preexec_fn=group.enter)
    first = supervisor.pid("wallet")
    os.kill(first, 9)
    assert supervisor.wait_new("wallet", first)["last_exit"]["cause"] == "killed"
    assert "-lowmemory=1" not in supervisor.worker("wallet", "argv")

    old = supervisor.pid("wallet")
    with contextlib.suppress(OSError):
        supervisor.worker("wallet", "eat", 600 * MIB)
    after = supervisor.wait_new("wallet", old)
    assert after["last_exit"]["cause"] == "out-of-memory"
    assert after["last_exit"]["why"] == "killed by SIGKILL: out of memory"
    assert after["low_memory"] and "-lowmemory" in after["problems"][0]
    assert supervisor.worker("wallet", "argv")[-1] == "-lowmemory=1"
    assert not supervisor.unit("node")["low_memory"]
    assert "from now on it runs with -lowmemory" in supervisor.log("supervisor")

    supervisor.ask("restart", "wallet")
    assert not supervisor.unit("wallet")["low_memory"]
    assert "-lowmemory=1" not in supervisor.worker("wallet", "argv")
    assert supervisor.stop() == 0


def test_a_worker_that_python_refuses_memory_says_so(supervisor: Any) -> None:
    """By its exit status: where nobody counts kills, and where it is a limit of its own that it met."""
    supervisor.plan("node", exit=150, say="[error] node failed: MemoryError")
    supervisor.start("-startlimit=2", ready=False)
    failed = supervisor.wait_state("node", "failed")
    assert (failed["cause"], failed["low_memory"]) == ("out-of-memory", True)
