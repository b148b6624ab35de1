"""The main job, start to finish, on regtest: run by ``make demo``, unattended and without a terminal.

Uses the installed executables as a person would, in a temporary directory that it removes. Exits 0 only if
every step held; any process it started is stopped even when a step fails.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
STEP_DEADLINE = 60.0  # seconds; each step takes a few at most on a slow machine


class DemoError(Exception):
    """A step did not hold."""


class Demo:
    """A private regtest supervisor in ``directory`` and the commands given to it."""

    def __init__(self, directory: Path) -> None:
        self.datadir = directory / "data"
        self.datadir.mkdir()
        self.environment = {
            **os.environ,
            "HOME": str(directory),
            "PYTHONPYCACHEPREFIX": str(directory / "pycache"),
        }
        self.environment.pop("NOTIFY_SOCKET", None)
        self.started = time.monotonic()
        self.step = 0

    def say(self, text: str) -> None:
        self.step += 1
        print(f" {self.step:2}. {text}", flush=True)

    def run(self, program: str, *arguments: str) -> str:
        """One of our executables to its end; its standard output. Raises `DemoError` with what it complained."""
        command = [str(BIN / program), "-regtest", f"-datadir={self.datadir}", *arguments]
        done = subprocess.run(
            command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=STEP_DEADLINE,
            check=False,
        )
        if done.returncode != 0:
            raise DemoError(f"{program} {' '.join(arguments)}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    def call(self, *arguments: str, wallet: str = "") -> Any:
        """A single command, its result parsed where it is JSON."""
        chosen = [f"-rpcwallet={wallet}"] if wallet else []
        text = self.run("bitcoin-mp", *chosen, *arguments)
        try:
            return json.loads(text, parse_float=Decimal)
        except json.JSONDecodeError:
            return text

    def pid_of(self, unit: str) -> int:
        return int(self.unit(unit)["pid"])

    def unit(self, name: str) -> dict[str, Any]:
        units: list[dict[str, Any]] = self.call("-json", "status")["units"]
        return next(unit for unit in units if unit["name"] == name)


def wait_until(what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + STEP_DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            raise DemoError(f"gave up waiting until {what}")
        time.sleep(0.05)


def expect(what: str, got: object, wanted: object) -> None:
    if got != wanted:
        raise DemoError(f"{what}: expected {wanted}, got {got}")


def kill(demo: Demo, unit: str) -> tuple[int, int]:
    """SIGKILL a worker; its pid before and after."""
    before = demo.pid_of(unit)
    os.kill(before, signal.SIGKILL)
    wait_until(f"{unit} is back", lambda: demo.unit(unit)["pid"] not in (before, None, 0))
    return before, demo.pid_of(unit)


def balance(demo: Demo, wallet: str) -> Decimal:
    return Decimal(demo.call("getbalance", wallet=wallet))


def main_job(demo: Demo) -> None:
    begun = time.monotonic()
    demo.run("bitcoind-mp", "-daemonwait", "-listen=0", "-fallbackfee=0.0002")
    pids = {unit: demo.pid_of(unit) for unit in ("node", "wallet")}
    demo.say(f"Started: node (pid {pids['node']}) and wallet (pid {pids['wallet']}), {time.monotonic() - begun:.1f} s.")

    for wallet in ("alice", "bob"):
        demo.call("createwallet", wallet)
    demo.say("Created two wallets, alice and bob.")

    home = demo.call("getnewaddress", "mining", wallet="alice")
    demo.call("generatetoaddress", "101", home)
    expect("alice's balance after 101 blocks", balance(demo, "alice"), Decimal(50))
    demo.say("Mined 101 blocks to alice; the first has matured: she has 50 BTC.")

    payee = demo.call("getnewaddress", wallet="bob")
    txid = demo.call("sendtoaddress", payee, "1.5", wallet="alice")
    demo.call("generatetoaddress", "1", home)
    expect("bob's balance", balance(demo, "bob"), Decimal("1.5"))
    demo.say(f"Alice paid bob 1.5 BTC in {txid[:16]}…; one block later he has it.")

    alice = balance(demo, "alice")
    before, after = kill(demo, "wallet")
    expect("alice's balance after the wallet was killed", balance(demo, "alice"), alice)
    expect("bob's balance after the wallet was killed", balance(demo, "bob"), Decimal("1.5"))
    expect("the node's pid, which nobody touched", demo.pid_of("node"), pids["node"])
    demo.say(f"Killed the wallet (kill -9 {before}): back as pid {after}, both balances the same, the node untouched.")

    waiting = demo.call("sendtoaddress", payee, "0.25", wallet="alice")
    tip = demo.call("generatetoaddress", "1", home)[0]
    pending = demo.call("sendtoaddress", payee, "0.5", wallet="alice")
    wallet_pid = demo.pid_of("wallet")
    before, after = kill(demo, "node")
    expect("the tip after the node was killed", demo.call("getbestblockhash"), tip)
    expect("the mempool after the node was killed", demo.call("getrawmempool"), [pending])
    expect("the wallet's pid, which nobody touched", demo.pid_of("wallet"), wallet_pid)
    demo.say(
        f"Killed the node right after block {demo.call('getblockcount')} and a payment (kill -9 {before}): "
        f"back as pid {after}, block and payment are there."
    )

    demo.call("generatetoaddress", "1", home)
    expect("bob's balance at the end", balance(demo, "bob"), Decimal("2.25"))
    expect("bob's payments", demo.call("gettransaction", waiting, wallet="bob")["confirmations"], 2)
    demo.say("Mined one more: bob has 2.25 BTC, nothing lost, nothing doubled.")

    demo.say("What the supervisor says:")
    print()
    print("\n".join(f"     {line}" for line in demo.run("bitcoin-mp", "status").splitlines()))
    print()


def everything_of(directory: Path) -> list[int]:
    """The processes, this one apart, that name the directory on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue  # it ended meanwhile
        if os.fsencode(directory) in line:
            found.append(int(entry.name))
    return found


def main() -> int:
    directory = Path(tempfile.mkdtemp(prefix="bitcoind-mp-demo-"))
    demo = Demo(directory)
    print("bitcoind_mp: a supervised Bitcoin node and wallet, on regtest\n", flush=True)
    try:
        main_job(demo)
        demo.call("stop")
        wait_until("every process has ended", lambda: not everything_of(directory))
        demo.say(f"Stopped everything; {time.monotonic() - demo.started:.0f} s in all. No process and no file is left.")
        return 0
    except (DemoError, subprocess.TimeoutExpired) as error:
        print(f"demo: failed: {error}", file=sys.stderr)
        for log in sorted(directory.rglob("logs/*.log")):
            print(f"--- {log.name}\n{log.read_text(errors='replace')[-2000:]}", file=sys.stderr)
        return 1
    finally:
        for pid in everything_of(directory):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
