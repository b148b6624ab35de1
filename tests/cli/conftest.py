"""A daemon to talk to: three real `ipc.Server`s in a thread of their own, whose objects are small fakes."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from bitcoind_mp.interfaces.command import Call, Secret, command
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.init import PROTOCOL_VERSION, Hello
from bitcoind_mp.interfaces.logs import Logs, LogSink
from bitcoind_mp.ipc import manifest
from bitcoind_mp.ipc.events import Publisher
from bitcoind_mp.ipc.server import Server
from bitcoind_mp.ipc.unix import bind_listener

ROOT = Path(__file__).resolve().parent.parent.parent
DEADLINE = 20.0


def unit(name: str, **changes: Any) -> dict[str, Any]:
    """A unit as the supervisor's ``status`` has it, running and well."""
    return {
        "name": name,
        "state": "running",
        "pid": 100,
        "since": 1000.0,
        "restarts": 0,
        "health": "ok",
        "active": "active",
        "status": "",
        "reason": "",
        "last_exit": None,
        "last_words": [],
        "problems": [],
        "check": {"time": None, "failures": 0, "error": "", "status": "", "counters": {}},
        "limits": {},
        "log": [f"{name} says hello"],
        **changes,
    }


class FakeSupervisor(Logs):
    """The supervisor's commands, their answers settable."""

    def __init__(self) -> None:
        self.units = [unit("node"), unit("wallet")]
        self.health_answer: dict[str, Any] = {"state": "ok", "exit": 0, "problems": [], "units": self.units}
        self.sinks: list[LogSink] = []

    @command("control")
    async def status(self, unit: str = "", lines: int = 10) -> dict[str, Any]:
        """How all is."""
        chosen = [each for each in self.units if unit in ("", each["name"])]
        if not chosen:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"There is no unit named {unit!r}: expected node or wallet")
        return {"supervisor": {"pid": 99, "since": 1000.0, "chain": "regtest", "problems": []}, "units": chosen}

    @command("control")
    async def health(self) -> dict[str, Any]:
        """How well all is."""
        return self.health_answer

    @command("control", changes=True)
    async def start(self, unit: str) -> dict[str, Any]:
        """Start a unit."""
        return next(each for each in self.units if each["name"] == unit)

    @command("control", changes=True)
    async def stop(self, unit: str = "") -> Any:
        """Stop a unit, or everything."""
        if not unit:
            return "bitcoind-mp stopping"
        return {**next(each for each in self.units if each["name"] == unit), "state": "stopped", "pid": None}

    @command("control")
    async def logs(self, unit: str = "", lines: int = 50) -> dict[str, Any]:
        """The newest log lines."""
        chosen = [name for name in ("node", "wallet") if unit in ("", name)]
        return {"logs": [{"unit": n, "file": None, "lines": [f"{n} 1", f"{n} 2"][-lines:]} for n in chosen]}

    @command("control")
    async def uptime(self) -> int:
        """Seconds up."""
        return 7

    async def follow(self, unit: str, lines: int, sink: LogSink) -> None:
        self.sinks.append(sink)
        asyncio.get_running_loop().create_task(self._tell(unit, sink))

    async def _tell(self, unit: str, sink: LogSink) -> None:
        for text in ("first", "second"):
            await sink.lines(unit or "node", [text])


class FakeNode:
    """Some of the node's commands; ``calls`` is what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.height = 112
        self.started = threading.Event()
        self.cancelled = threading.Event()

    @command("blockchain")
    async def getblockcount(self) -> int:
        """Returns the height of the most-work fully-validated chain."""
        self.calls.append(("getblockcount", None))
        return self.height

    @command("blockchain")
    async def getblockhash(self, height: int) -> str:
        """Returns hash of block in best-block-chain at height provided."""
        if height > self.height:
            raise RpcError(RpcCode.INVALID_PARAMETER, "Block height out of range")
        return f"{height:064x}"

    @command("blockchain")
    async def getblockstats(self, hash_or_height: int | str, stats: list[str] | None = None) -> dict[str, Any]:
        """Compute per block statistics."""
        return {"got": hash_or_height, "type": type(hash_or_height).__name__, "stats": stats}

    @command("blockchain", hidden=True)
    async def echo(self, value: Any, call: Call) -> Any:
        """What was given, back."""
        self.calls.append(("echo", (value, call.wallet)))
        return value

    @command("blockchain")
    async def waitforblock(self, call: Call) -> str:
        """Waits for ever."""
        self.started.set()
        call.progress("waiting for a block")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return ""

    @command("blockchain")
    async def slow(self, call: Call) -> str:
        """Tells how it gets on, then answers."""
        call.progress("half way")
        await asyncio.sleep(0)
        return "done"

    @command("network")
    async def getnetworkinfo(self) -> dict[str, Any]:
        """The network."""
        return {
            "version": 319900,
            "timeoffset": 0,
            "connections": 3,
            "connections_in": 1,
            "connections_out": 2,
            "networks": [{"name": "ipv4", "proxy": ""}, {"name": "onion", "proxy": "127.0.0.1:9050"}],
            "relayfee": 0.000001,
            "warnings": [],
        }

    @command("blockchain")
    async def getblockchaininfo(self) -> dict[str, Any]:
        """The chain."""
        return {"chain": "regtest", "blocks": 112, "headers": 112, "verificationprogress": 0.5, "difficulty": 4.6e-10}

    @command("control")
    async def uptime(self) -> int:
        """Seconds up."""
        return 3

    @command("mining", changes=True)
    async def generatetoaddress(self, nblocks: int, address: str, maxtries: int = 1000) -> list[str]:
        """Mine."""
        return [f"{address}:{n}:{maxtries}" for n in range(nblocks)]


class FakeWallet:
    """Some of the wallet's commands."""

    def __init__(self) -> None:
        self.loaded = ["alice"]
        self.passphrases: list[str] = []

    @command("wallet")
    async def listwallets(self) -> list[str]:
        """The loaded wallets."""
        return self.loaded

    @command("wallet")
    async def getbalance(self, call: Call) -> Any:
        """The balance."""
        from decimal import Decimal

        if call.wallet is None and len(self.loaded) > 1:
            raise RpcError(
                RpcCode.WALLET_NOT_SPECIFIED, "Multiple wallets are loaded. Please select which wallet to use."
            )
        return Decimal("0.00001000")

    @command("wallet")
    async def getbalances(self, call: Call) -> dict[str, Any]:
        """The balances."""
        return {"mine": {"trusted": 1.5 if call.wallet != "bob" else 20}}

    @command("wallet")
    async def getwalletinfo(self, call: Call) -> dict[str, Any]:
        """About a wallet."""
        return {"walletname": call.wallet or self.loaded[0], "keypoolsize": 4000}

    @command("wallet")
    async def getnewaddress(self, label: str = "", address_type: str = "") -> str:
        """A new address."""
        return f"address({label})"

    @command("wallet")
    async def listreceivedbyaddress(self, minconf: int = 1, include_empty: bool = False) -> list[dict[str, Any]]:
        """Addresses and what they received."""
        return [{"address": "bcrt1qalice", "amount": 1}, {"address": "bcrt1qbob", "amount": 2}]

    @command("wallet")
    async def listtransactions(self, label: str = "*", count: int = 10) -> list[dict[str, Any]]:
        """Transactions."""
        return [{"txid": "ab" * 32}, {"txid": "cd" * 32}]

    @command("wallet", changes=True)
    async def walletpassphrase(self, passphrase: Secret, timeout: int) -> None:  # noqa: ASYNC109
        """Unlock."""
        self.passphrases.append(passphrase)

    @command("wallet", options="options", changes=True)
    async def send(self, outputs: Any, options: dict[str, Any] | None = None) -> dict[str, Any]:
        """Pay."""
        return {"outputs": outputs, "options": options}


class Daemon:
    """The fakes on their sockets, below ``datadir``/regtest/run."""

    def __init__(self, datadir: Path) -> None:
        self.datadir = datadir
        self.run = datadir / "regtest" / "run"
        self.run.mkdir(parents=True, exist_ok=True)
        self.supervisor, self.node, self.wallet = FakeSupervisor(), FakeNode(), FakeWallet()
        self.events: dict[str, Publisher] = {}
        self._servers: dict[str, Server] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake daemon")
        self._thread.start()

    def start(self, *roles: str) -> None:
        for role in roles or ("supervisor", "node", "wallet"):
            self.wait(self._start(role))

    def stop(self, *roles: str) -> None:
        for role in roles or tuple(self._servers):
            self.wait(self._stop(role))

    def restart(self, role: str) -> None:
        self.stop(role)
        self.start(role)

    def sever(self, role: str) -> None:
        """Cut every connection, as a kill would."""
        self._loop.call_soon_threadsafe(lambda: [session.abort() for session in self._servers[role].sessions])

    def publish(self, role: str, topic: str, state: dict[str, Any]) -> None:
        self._loop.call_soon_threadsafe(self.events[role].publish, topic, state)

    def connections(self, role: str) -> int:
        return len(self._servers[role].sessions)

    def wait(self, work: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(DEADLINE)

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE)
        self._loop.close()

    async def _start(self, role: str) -> None:
        topics = {"supervisor": ["unit"], "node": ["tip", "mempool"], "wallet": ["balance"]}[role]
        self.events[role] = Publisher(topics, interval=0.01)
        hello = Hello(role, PROTOCOL_VERSION, "regtest", "1", os.getpid())
        server = Server([getattr(self, role), self.events[role]], hello=hello)
        listener = bind_listener(self.run / f"{role}.sock")
        await server.serve(listener)
        manifest.write(self.run / f"{role}.json", server.manifest())
        self._servers[role] = server

    async def _stop(self, role: str) -> None:
        self.events[role].close()
        await self._servers.pop(role).close(1.0)
        (self.run / f"{role}.sock").unlink(missing_ok=True)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    datadir = tmp_path / "data"
    datadir.mkdir()
    fake = Daemon(datadir)
    yield fake
    fake.close()


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def bitcoin_mp(daemon: Daemon) -> Run:
    """``bitcoin_mp(*arguments, input=…)``: one command to its end."""

    def run(*arguments: str, input: str = "") -> "subprocess.CompletedProcess[str]":
        command_line = [sys.executable, "-m", "bitcoind_mp.cli", "-regtest", f"-datadir={daemon.datadir}", *arguments]
        return subprocess.run(
            command_line,
            cwd=ROOT,
            env={**os.environ, "TZ": "UTC"},
            input=input,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    return run
