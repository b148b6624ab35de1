"""What each further wallet takes where every wallet has a process of its own (-walletprocess=each)."""

import json
import shutil
import statistics
import time
from pathlib import Path
from typing import Protocol

import psutil

COUNT = 20


class Runs(Protocol):
    """A private supervisor (``run.Daemon``)."""

    network: Path

    def run(self, program: str, *arguments: str) -> str: ...


def further(daemon: Runs) -> tuple[float, float, float, float]:
    """Seconds from a start to `COUNT` wallets that are ready; and of each of their processes the MB of its own (USS),
    its share of all (PSS) as well, and the MB of the supervisor (PSS). Leaves nothing running."""
    start = ("-daemonwait", "-listen=0", "-walletprocess=each")
    daemon.run("bitcoind-mp", *start)
    daemon.run("bitcoin-mp", "createwallet", "w0")
    daemon.run("bitcoin-mp", "unloadwallet", "w0")
    _stop(daemon)
    wallets = daemon.network / "wallets"
    for number in range(1, COUNT):
        shutil.copytree(wallets / "w0", wallets / f"w{number}")
    begun = time.perf_counter()
    daemon.run("bitcoind-mp", *start, *(f"-wallet=w{number}" for number in range(COUNT)))
    taken = time.perf_counter() - begun
    told = json.loads(daemon.run("bitcoin-mp", "-json", "status"))
    each = [psutil.Process(u["pid"]).memory_full_info() for u in told["units"] if u["name"].startswith("wallet@")]
    assert len(each) == COUNT
    supervisor = psutil.Process(told["supervisor"]["pid"]).memory_full_info().pss / 1e6
    _stop(daemon)
    own = statistics.mean(memory.uss for memory in each) / 1e6
    return taken, own, statistics.mean(memory.pss for memory in each) / 1e6, supervisor


def _stop(daemon: Runs) -> None:
    pid = json.loads(daemon.run("bitcoin-mp", "-json", "status"))["supervisor"]["pid"]
    daemon.run("bitcoin-mp", "stop")
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=60)
