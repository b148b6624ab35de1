"""The speed table: ``make bench`` prints it and writes ``bench/results/latest.json``. Some three minutes.

Measures the installed executables on a private regtest directory, as callers see them. Figures that depend on the
machine are given beside a yardstick measured in the same run (a bare socket stub, a bare interpreter), as a ratio.
"""

import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import wallets
from restarts import NOT_INSTALLED, replacement, rivals

from bitcoind_mp.ipc.wire.plain import Connection

BIN = Path(sys.executable).parent
HERE = Path(__file__).resolve().parent
CALLS = 3000
IDLE_SECONDS = 60.0
#: `RpcCode.IN_WARMUP`
LOADING = -28
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"}

STUB = """
import asyncio, sys
class Stub(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data):
        for line in data.splitlines():
            self.transport.write(b'{"jsonrpc":"2.0","result":0,"id":1}\\n')
async def main():
    server = await asyncio.get_running_loop().create_unix_server(Stub, sys.argv[1])
    print("ready", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@dataclass(frozen=True)
class Row:
    """One line of the table. ``aim`` is what the project asks of itself, empty where it asks nothing."""

    name: str
    value: float
    unit: str
    aim: str = ""
    note: str = ""


class Daemon:
    """A private supervisor on regtest."""

    def __init__(self, directory: Path) -> None:
        self.datadir = directory / "data"
        self.datadir.mkdir()
        self.network = self.datadir / "regtest"

    def command(self, program: str, *arguments: str) -> list[str]:
        return [str(BIN / program), "-regtest", f"-datadir={self.datadir}", *arguments]

    def run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            self.command(program, *arguments),
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            env=ENVIRONMENT,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"bench: {program} {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def socket(self, role: str) -> str:
        return str(self.network / "run" / f"{role}.sock")

    def units(self) -> dict[str, dict[str, Any]]:
        return {unit["name"]: unit for unit in json.loads(self.run("bitcoin-mp", "-json", "status"))["units"]}

    def processes(self) -> dict[str, psutil.Process]:
        units = self.units()
        pids = {name: unit["pid"] for name, unit in units.items()}
        supervisor = psutil.Process(next(iter(pids.values()))).parent()
        pids |= {f"{name}, preloaded": unit["preloaded"] for name, unit in units.items() if unit["preloaded"]}
        assert supervisor is not None
        return {"supervisor": supervisor, **{name: psutil.Process(pid) for name, pid in pids.items()}}


def request(method: str, *params: object, wallet: str = "") -> bytes:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params} | ({"wallet": wallet} if wallet else {})
    return json.dumps(message).encode()


def ask(connection: Connection, line: bytes) -> Any:
    connection.send(line)
    reply = json.loads(connection.receive(60.0))
    while "method" in reply:  # a notification of progress
        reply = json.loads(connection.receive(60.0))
    if "error" in reply and reply["error"]["code"] == LOADING:
        raise ConnectionError("it is not up yet")
    if "error" in reply:
        raise SystemExit(f"bench: {line.decode()[:200]}: {reply['error']}")
    return reply["result"]


def median_seconds(work: Callable[[], object], runs: int) -> float:
    taken = []
    for _ in range(runs):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


@contextlib.contextmanager
def stub(directory: Path) -> Iterator[str]:
    """The least that can answer a line on a Unix socket with asyncio: the yardstick for a call."""
    path = str(directory / "stub.sock")
    process = subprocess.Popen([sys.executable, "-c", STUB, path], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield path
    finally:
        process.kill()
        process.wait()


def round_trip(path: str, line: bytes) -> float:
    """Median seconds of one call after another on one connection."""
    connection = Connection(path, timeout=10.0)

    def once() -> None:
        connection.send(line)
        connection.receive(10.0)

    for _ in range(200):
        once()
    taken = median_seconds(once, CALLS)
    connection.close()
    return taken


def pipelined(path: str, line: bytes) -> float:
    """Calls a second, hundreds on their way at once on one connection."""
    connection = Connection(path, timeout=30.0)
    batch = 200
    begun = time.perf_counter()
    for _ in range(CALLS // batch):
        connection.send(b"\n".join([line] * batch))
        for _ in range(batch):
            connection.receive(30.0)
    rate = (CALLS // batch) * batch / (time.perf_counter() - begun)
    connection.close()
    return rate


def big_block(node: Connection, wallet: Connection) -> str:
    """Mine a block of about 1 MB (transactions of 99 kB of data each) and return its hash."""
    address = ask(wallet, request("getnewaddress", wallet="bench"))
    for _ in range(10):
        data = ask(node, request("createrawtransaction", [], [{"data": os.urandom(99_000).hex()}]))
        funded = ask(wallet, request("fundrawtransaction", data, {"fee_rate": 2}, wallet="bench"))
        signed = ask(wallet, request("signrawtransactionwithwallet", funded["hex"], wallet="bench"))
        ask(node, request("sendrawtransaction", signed["hex"]))
    return str(ask(node, request("generatetoaddress", 1, address))[0])


def calls(daemon: Daemon, directory: Path) -> Iterator[Row]:
    line = request("getblockcount")
    node_path = daemon.socket("node")
    with stub(directory) as path:
        bare = round_trip(path, line)
        ours = round_trip(node_path, line)
        yield Row("bare stub, one call", bare * 1e6, "µs")
        yield Row("getblockcount, one connection", ours * 1e6, "µs", "≤ 90", f"{ours / bare:.2f} × the stub")
        bare_rate, rate = pipelined(path, line), pipelined(node_path, line)
        yield Row("getblockcount, pipelined", rate, "calls/s", "", f"{rate / bare_rate:.2f} × the stub")
    node, wallet = Connection(node_path, timeout=60.0), Connection(daemon.socket("wallet"), timeout=60.0)
    daemon.run("bitcoin-mp", "createwallet", "bench")
    address = ask(wallet, request("getnewaddress", wallet="bench"))
    yield Row(
        "generatetoaddress, one block",
        median_seconds(lambda: ask(node, request("generatetoaddress", 1, address)), 120) * 1e3,
        "ms",
    )
    balance = request("getbalance", wallet="bench")
    yield Row("getbalance", median_seconds(lambda: ask(wallet, balance), 200) * 1e6, "µs")
    hash = big_block(node, wallet)
    fetch = request("getblock", hash, 0)
    size = len(ask(node, fetch)) // 2
    taken = median_seconds(lambda: ask(node, fetch), 10)
    yield Row("block as hex", taken * 1e3, "ms", "", f"{size / 1e6:.2f} MB, {size / taken / 1e6:.0f} MB/s")
    node.close()
    wallet.close()


def one_shot(daemon: Daemon) -> Iterator[Row]:
    def run(command: list[str]) -> Callable[[], object]:
        return lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT)

    ours, bare = run(daemon.command("bitcoin-mp", "getblockcount")), run([sys.executable, "-c", "pass"])
    pairs = [(median_seconds(ours, 1), median_seconds(bare, 1)) for _ in range(31)]
    yield Row("python3 -c pass", statistics.median(pair[1] for pair in pairs) * 1e3, "ms")
    yield Row(
        "bitcoin-mp getblockcount",
        statistics.median(pair[0] for pair in pairs) * 1e3,
        "ms",
        "≤ 3 × python3",
        f"{statistics.median(a / b for a, b in pairs):.2f} × python3 -c pass",
    )


def recovery(daemon: Daemon, role: str) -> float:
    """Seconds from kill -9 of the worker to its answer to a call that was made at once."""
    line = request("getblockcount") if role == "node" else request("listwallets")

    def once() -> float:
        before = daemon.units()[role]["pid"]
        begun = time.perf_counter()
        os.kill(before, signal.SIGKILL)
        while True:
            connection = Connection(daemon.socket(role), timeout=30.0)
            try:
                ask(connection, line)
                taken = time.perf_counter() - begun
                if daemon.units()[role]["pid"] != before:
                    return taken
            except ConnectionError:
                continue  # it died with the call, or is not up yet
            finally:
                connection.close()

    return statistics.median(once() for _ in range(5))


def first_instructions(daemon: Daemon, directory: Path) -> Iterator[Row]:
    """From kill -9 to the next process's first instruction: ours, and a trivial program's under us and under others."""
    for role in ("node", "wallet"):
        taken = []
        for _ in range(7):
            supervisor = daemon.processes()["supervisor"].pid
            taken.append(replacement(supervisor, daemon.units()[role]["pid"], role))
            daemon.run("bitcoin-mp", "status", "--wait", role)
            time.sleep(0.5)  # until the next one's spare is there, as it is unless crashes follow each other
        gone, first = (statistics.median(times) * 1e3 for times in zip(*taken, strict=True))
        note = f"{gone:.1f} ms of it until the kernel had freed its memory"
        yield Row(f"kill -9 of the {role} to first instruction", first, "ms", "≤ 15", note)
    for name, seconds in rivals(directory):
        label = f"  a trivial program under {name}"
        yield Row(label, seconds * 1e3, "ms") if seconds is not None else Row(label, 0.0, "ms", "", NOT_INSTALLED)


def idle(daemon: Daemon) -> Iterator[Row]:
    processes = daemon.processes()
    before = {name: sum(process.cpu_times()[:2]) for name, process in processes.items()}
    time.sleep(IDLE_SECONDS)
    used = {name: sum(process.cpu_times()[:2]) - before[name] for name, process in processes.items()}
    detail = ", ".join(f"{name} {seconds:.2f}" for name, seconds in used.items() if seconds)
    idle = f"in {IDLE_SECONDS:.0f} idle seconds"
    yield Row(f"CPU of the supervisor {idle}", used["supervisor"], "s", "0.00")
    yield Row(f"CPU of all {idle}", sum(used.values()), "s", "≤ 0.10", detail)
    for name, process in processes.items():
        memory = process.memory_full_info()
        yield Row(f"memory of the {name}", memory.pss / 1e6, "MB PSS", "", f"{memory.uss / 1e6:.0f} MB of its own")


def each_wallet(directory: Path) -> Iterator[Row]:
    directory.mkdir()
    taken, own, share, supervisor = wallets.further(Daemon(directory))
    yield Row(f"start to ready with {wallets.COUNT} wallets, each alone", taken, "s")
    note = f"{share:.1f} MB PSS; the supervisor {supervisor:.0f}"
    yield Row("memory of each further wallet's process", own, "MB USS", "< 15", note)


def measure(directory: Path) -> Iterator[Row]:
    daemon = Daemon(directory)
    begun = time.perf_counter()
    daemon.run("bitcoind-mp", "-daemonwait", "-fallbackfee=0.0002", "-listen=0", "-restartdelay=0")
    try:
        yield Row("start to ready", time.perf_counter() - begun, "s", "", "supervisor, node and wallet")
        yield from calls(daemon, directory)
        yield from one_shot(daemon)
        yield from first_instructions(daemon, directory)
        for role, aim in (("node", 0.5), ("wallet", 0.15)):
            yield Row(f"kill -9 of the {role} to serving again", recovery(daemon, role), "s", f"≤ {aim}")
        yield from idle(daemon)
        begun = time.perf_counter()
        processes = daemon.processes()
        daemon.run("bitcoin-mp", "stop")
        psutil.wait_procs(processes.values(), timeout=30)
        yield Row("stop of everything", time.perf_counter() - begun, "s")
        yield from each_wallet(directory / "apart")
    finally:
        for process in psutil.process_iter(["cmdline"]):
            if any(str(directory) in word for word in process.info["cmdline"] or ()) and process.pid != os.getpid():
                process.kill()


def main() -> int:
    directory = Path(tempfile.mkdtemp(prefix="bitcoind-mp-bench-"))
    rows = []
    print(f"{'':44}{'':>12}  {'':8} {'aim':14} note")
    try:
        for row in measure(directory):
            rows.append(row)
            value = "-" if row.note == NOT_INSTALLED else f"{row.value:.2f}"
            print(f"{row.name:44}{value:>12}  {row.unit:8} {row.aim:14} {row.note}", flush=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    (results / "latest.json").write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    print(f"\nWritten to {results / 'latest.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
