"""kill -9 of the supervisor with calls in flight, at any moment of its life: nothing is orphaned, nothing that was
acknowledged is lost, and a new start waits for what is left and works."""

import contextlib
import os
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from acknowledged import Acknowledged
from harness import BIN, Daemon, wait_until

from bitcoind_mp.interfaces.errors import CallTimeout, Disconnected, RpcError

QUICK = ("-keypool=10", "-fallbackfee=0.001")
#: What a call ends with when the process that it went to is going, gone or coming.
INTERRUPTED = (OSError, Disconnected, CallTimeout)
TRY_LATER = (-9, -18, -28)
EMPTY_JOURNAL = 8  # bytes: its mark


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path / "d", *QUICK)
    yield made
    made.clean_up()


class Client(threading.Thread):
    """Mines, pays and asks for addresses until told to stop."""

    def __init__(self, record: Acknowledged, seed: int) -> None:
        super().__init__(daemon=True)
        self.record = record
        self.done = threading.Event()
        self.failed: list[Exception] = []
        self._random = random.Random(seed)

    def run(self) -> None:
        while not self.done.is_set():
            try:
                self._act()
            except INTERRUPTED:
                self.done.wait(0.01)
            except RpcError as error:
                if error.code not in TRY_LATER:
                    self.failed.append(error)
                    return
                self.done.wait(0.01)

    def _act(self) -> None:
        known = [address for address in self.record.addresses["w"]]
        match self._random.randrange(3):
            case 0:
                self.record.mine(1, self._random.choice(known))
            case 1:
                self.record.pay("w", self._random.choice(known), "0.01")
            case 2:
                self.record.address("w", self._random.choice(("", "label")))

    def finish(self) -> None:
        self.done.set()
        self.join(60)
        assert not self.is_alive()
        assert self.failed == []


def gone(pid: int) -> bool:
    """Whether it has ended, though its parent may not have taken note yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_the_supervisor_killed_with_calls_in_flight(daemon: Daemon) -> None:
    record = Acknowledged(daemon)
    daemon.start()
    daemon.wallet(None, "createwallet", "w", False, False, "", False, True, True)
    record.mine(110, record.address("w"))
    for seed in range(3):
        client = Client(record, seed)
        before = len(record.blocks), len(record.txids.get("w", ())), len(record.addresses["w"])
        client.start()
        wait_until(
            "some of everything to be acknowledged",
            lambda: (
                client.failed  # noqa: B023
                or all(
                    now > then
                    for now, then in zip(
                        (len(record.blocks), len(record.txids.get("w", ())), len(record.addresses["w"])),
                        before,  # noqa: B023
                        strict=True,
                    )
                )
            ),
        )
        workers = [daemon.pid(unit) for unit in ("node", "wallet")]
        supervisor = daemon.kill_supervisor()
        if seed == 1:  # without waiting: the new one waits for the workers that are left
            wait_until("the supervisor to be gone", lambda: gone(supervisor))  # noqa: B023
        else:
            wait_until("nothing to be left", lambda: not daemon.processes())
            journal = daemon.directory / "regtest" / "block-journal.dat"
            assert journal.stat().st_size == EMPTY_JOURNAL, "the node closed everything in order"
        daemon.start()
        client.finish()
        assert all(gone(pid) for pid in workers)
        record.check()
    assert daemon.tracebacks() == []
    record.check_balance("w")
    daemon.stop()


def test_the_supervisor_killed_while_it_starts_and_stops(daemon: Daemon) -> None:
    """At moments spread over the whole of both."""
    record = Acknowledged(daemon)
    daemon.start()
    daemon.wallet(None, "createwallet", "w", False, False, "", False, True, True)
    record.mine(3, record.address("w", "kept"))
    daemon.clean_up()  # so that there is a journal, which the next node must not take for dealt with
    command = [str(BIN / "bitcoind-mp"), "-regtest", f"-datadir={daemon.directory}", *daemon.options]
    for part in range(3):
        starting = subprocess.Popen(
            command, env=daemon.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            starting.wait(part * 0.3)
        starting.kill()
        starting.wait()
    wait_until("nothing to be left", lambda: not daemon.processes())
    for part in range(2):
        stopping = subprocess.Popen(
            command, env=daemon.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until("the supervisor's socket", lambda: Path(daemon.socket("supervisor")).exists())
        daemon.until_running()
        stopping.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            stopping.wait(part * 0.1)
        stopping.kill()
        stopping.wait()
    daemon.start()
    record.check()
    record.mine(1, record.address("w"))
    assert daemon.tracebacks() == []
    daemon.stop()


def test_a_second_daemon_on_the_same_directory(daemon: Daemon) -> None:
    """Refused by name and pid, whatever it is, and the first serves on."""
    daemon.start()
    status = daemon.supervisor("status")
    pids = {"bitcoind-mp": status["supervisor"]["pid"]}
    pids |= {f"bitcoin-mp-{unit['name']}": unit["pid"] for unit in status["units"]}
    for program, pid in pids.items():
        second = daemon.run(program, *(("-listen=0",) if program != "bitcoin-mp-wallet" else ()), check=False)
        assert second.returncode == 75
        assert f"{program} is already running on {daemon.directory}/regtest (pid {pid})" in second.stderr
    again: dict[str, Any] = daemon.supervisor("status")
    assert [unit["pid"] for unit in again["units"]] == [unit["pid"] for unit in status["units"]]
    assert daemon.node("getblockcount") == 0
    os.kill(pids["bitcoind-mp"], 0)
    daemon.stop()
