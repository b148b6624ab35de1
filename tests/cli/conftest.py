"""A daemon to talk to: three real `ipc.Server`s in a thread of their own, whose objects are small fakes."""

import asyncio
import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from bitcoind_mp.interfaces.command import Call, Secret, command, commit_point
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.interfaces.init import PROTOCOL_VERSION, Hello
from bitcoind_mp.interfaces.logs import Logs, LogSink
from bitcoind_mp.interfaces.notices import Notices, NoticeSink
from bitcoind_mp.ipc.declared import manifest
from bitcoind_mp.ipc.events import Publisher
from bitcoind_mp.ipc.serve.server import Server
from bitcoind_mp.ipc.wire.unix import bind_listener

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


class FakeNotices(Notices):
    """Tells each follower what it is given."""

    async def follow(self, kinds: list[str], sink: NoticeSink) -> list[str]:
        asyncio.get_running_loop().create_task(self._tell(kinds, sink))
        return kinds

    @staticmethod
    async def _tell(kinds: list[str], sink: NoticeSink) -> None:
        unit = {"unit": "node", "state": "failed", "before": "starting", "pid": None, "reason": "no \x1b[31mroom"}
        for notice in (
            {"kind": "unit", **unit},
            {"kind": "tip", "hash": "ab" * 32, "height": 7},
            {"kind": "transaction", "wallet": "my wallet", "txid": "cd" * 32, "block": None, "height": -1},
            {"kind": "transaction", "wallet": "", "txid": "cd" * 32, "block": "ab" * 32, "height": 7},
            {"kind": "alert", "source": "node", "text": "The node has failed", "raised": True},
            {"kind": "alert", "source": "node", "text": "The node has failed", "raised": False},
            {"kind": "dropped", "count": 12},
            {"kind": "missed", "source": "node", "count": 3},
        ):
            if not kinds or notice["kind"] in kinds:
                await sink.event({"time": 1_700_000_000.5, **notice})


class FakeSupervisor(Logs):
    """The supervisor's commands, their answers settable."""

    def __init__(self) -> None:
        self.units = [unit("node"), unit("wallet")]
        self.health_answer: dict[str, Any] = {"state": "ok", "exit": 0, "problems": [], "units": self.units}
        self.sinks: list[LogSink] = []
        self.stopping = False
        self.why_not = ""
        """Why nothing starts."""

    @command("control")
    async def status(self, unit: str = "", lines: int = 10) -> dict[str, Any]:
        """How all is."""
        chosen = [each for each in self.units if unit in ("", each["name"])]
        if not chosen:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"There is no unit named {unit!r}: expected node or wallet")
        about = {"pid": 99, "since": 1000.0, "chain": "regtest", "problems": [], "stopping": self.stopping}
        return {"supervisor": about, "units": chosen}

    @command("control")
    async def health(self) -> dict[str, Any]:
        """How well all is."""
        return self.health_answer

    @command("control", changes=True)
    async def start(self, unit: str) -> dict[str, Any]:
        """Start a unit."""
        if self.why_not:
            raise RpcError(RpcCode.MISC_ERROR, f"The {unit} did not start: {self.why_not}")
        if unit not in ("node", "wallet"):
            raise RpcError(RpcCode.INVALID_PARAMETER, f"There is no unit named {unit!r}: expected node or wallet")
        return next(each for each in self.units if each["name"] == unit)

    @command("control", changes=True)
    async def upgrade(self) -> str:
        """Become the new program."""
        return "bitcoind-mp 2 takes over"

    @command("control", hidden=True)
    async def upgraded(self) -> str:
        """Wait for its end."""
        return "bitcoind-mp 2 has taken over"

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
    async def events(self) -> dict[str, Any]:
        """Which events there are."""
        return {"kinds": {}}

    @command("control")
    async def uptime(self) -> int:
        """Seconds up, that is how long the supervisor has been here: since its start, and not since its units began."""
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
    async def waitforheight(self, height: int) -> int:
        """Answers once the chain is that high."""
        self.calls.append(("waitforheight", height))
        self.started.set()
        while self.height < height:  # noqa: ASYNC110 (another thread raises it)
            await asyncio.sleep(0.01)
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
    async def events(self) -> dict[str, Any]:
        """Which events there are."""
        return {"kinds": {}}

    @command("control")
    async def uptime(self) -> int:
        """Seconds up."""
        return 3

    @command("mining", changes=True)
    async def mine(self) -> str:
        """Changes something, and takes for ever."""
        self.started.set()
        await asyncio.Event().wait()
        return ""

    @command("mining", changes=True)
    async def generatetoaddress(self, nblocks: int, address: str, maxtries: int = 1000) -> list[str]:
        """Mine."""
        return [f"{address}:{n}:{maxtries}" for n in range(nblocks)]


class FakeWallet:
    """Some of the wallet's commands."""

    def __init__(self) -> None:
        self.scanning, self.aborted = threading.Event(), threading.Event()
        self.loaded = ["alice"]
        self.passphrases: list[str] = []

    @command("wallet", changes=True)
    async def rescanblockchain(self) -> None:
        """Scans for ever."""
        commit_point()
        self.scanning.set()
        await asyncio.to_thread(self.aborted.wait)

    @command("wallet", changes=True)
    async def abortrescan(self) -> bool:
        """Ends it."""
        self.aborted.set()
        return True

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
        self._told: dict[tuple[str, str], dict[str, Any]] = {}
        self._servers: dict[str, Server] = {}
        self._listeners: dict[str, socket.socket] = {}
        self._bound: dict[str, socket.socket] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake daemon")
        self._thread.start()

    def lively(self) -> None:
        """Start, and have something of each topic to tell."""
        self.start()
        self.publish("supervisor", "unit", {"units": [unit("node"), unit("wallet")]})
        self.tip(112)
        self.publish("node", "mempool", {"size": 3, "bytes": 600})
        self.balance(alice=5_000_000_000)

    def tip(self, height: int) -> None:
        tip = {"chain": "regtest", "height": height, "headers": height, "hash": "0f" * 32, "time": 1, "peers": 2}
        self.publish("node", "tip", {**tip, "initialblockdownload": False})

    def balance(self, **trusted: int) -> None:
        rest = {"pending": 0, "immature": 0, "scanning": False, "height": 112}
        wallets = [{"name": name, "trusted": amount, **rest} for name, amount in trusted.items()]
        self.publish("wallet", "balance", {"wallets": wallets})

    def start(self, *roles: str) -> None:
        for role in roles or ("supervisor", "node", "wallet"):
            self.wait(self._start(role))

    def bind(self, role: str) -> None:
        """As a supervisor does before that process exists for the first time: its callers wait in the queue."""
        self._bound[role] = bind_listener(self.run / f"{role}.sock")

    def stop(self, *roles: str) -> None:
        for role in roles or tuple(self._servers):
            self.wait(self._stop(role))

    def kill_and_restart(self, role: str) -> None:
        """Every connection cut without a word, then somebody there again."""
        self.sever(role)
        self.stop(role)
        self.start(role)

    def replace(self, role: str, *, killed: bool) -> None:
        """Another process on the same listening socket, as under a supervisor: its callers wait in the queue."""
        self.wait(self._replace(role, killed))

    def let_go(self, role: str) -> None:
        """The process ends, its listening socket stays: as a supervisor holds it until the next one."""
        self.wait(self._let_go(role))

    def sever(self, role: str) -> None:
        """Cut every connection, as a kill would."""
        self._loop.call_soon_threadsafe(lambda: [session.abort() for session in self._servers[role].sessions])

    def heard(self) -> float:
        """When any connection last brought anything, by the monotonic clock."""
        return max(session.last_heard for server in self._servers.values() for session in server.sessions)

    def publish(self, role: str, topic: str, state: dict[str, Any]) -> None:
        self._told[role, topic] = state
        self._loop.call_soon_threadsafe(self.events[role].publish, topic, state)

    def connections(self, role: str) -> int:
        return len(self._servers[role].sessions)

    def wait(self, work: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(DEADLINE)

    def close(self) -> None:
        self.stop()
        for listener in self._bound.values():
            listener.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE)
        self._loop.close()

    async def _replace(self, role: str, killed: bool) -> None:
        listener = self._listeners[role].dup()
        for session in self._servers[role].sessions if killed else ():
            session.abort()
        await self._stop(role, unlink=False)
        await self._start(role, listener)

    async def _let_go(self, role: str) -> None:
        self._bound[role] = self._listeners[role].dup()
        await self._stop(role, unlink=False)

    async def _start(self, role: str, listener: socket.socket | None = None) -> None:
        topics = {"supervisor": ["unit"], "node": ["tip", "mempool"], "wallet": ["balance"]}[role]
        self.events[role] = Publisher(topics, interval=0.01)
        for (teller, topic), state in self._told.items():
            if teller == role:
                self.events[role].publish(topic, state)
        hello = Hello(role, PROTOCOL_VERSION, "regtest", "1", os.getpid())
        notices = [FakeNotices()] if role == "supervisor" else []
        server = Server([getattr(self, role), self.events[role], *notices], hello=hello)
        listener = listener or self._bound.pop(role, None) or bind_listener(self.run / f"{role}.sock")
        self._listeners[role] = listener.dup()
        manifest.write(self.run / f"{role}.json", server.manifest())
        await server.serve(listener)
        self._servers[role] = server

    async def _stop(self, role: str, *, unlink: bool = True) -> None:
        self.events[role].close()
        self._listeners.pop(role).close()
        await self._servers.pop(role).close(1.0)
        if unlink:
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


_CONTROL = re.compile(r"\x1b\[([?>]?)([\d;]*)([A-Za-z])|\x1b\][^\x07]*\x07|\x1b[=>78]|\x1b\(B|[\r\n\b\x07]")


class Emulator:
    """As much of a VT100 as prompt_toolkit uses: a grid of characters, and an answer to where the cursor is."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.replies = b""
        self._lines = [[" "] * columns for _ in range(rows)]
        self._saved: tuple[list[list[str]], int, int] | None = None
        self._x = self._y = 0

    def text(self) -> str:
        return "\n".join("".join(line).rstrip() for line in self._lines)

    def feed(self, text: str) -> str:
        """Take output; returns what of it may be the beginning of an escape sequence."""
        position = 0
        while position < len(text):
            if text[position] == "\x1b":
                found = _CONTROL.match(text, position)
                if found is None:
                    if len(text) - position < 32:
                        return text[position:]
                    position += 1
                    continue
                self._control(found)
                position = found.end()
            elif text[position] in "\r\n\b\x07":
                self._control_character(text[position])
                position += 1
            else:
                self._put(text[position])
                position += 1
        return ""

    def _put(self, character: str) -> None:
        if self._x == self.columns:
            self._x = 0
            self._down()
        self._lines[self._y][self._x] = character
        self._x += 1

    def _down(self) -> None:
        if self._y == self.rows - 1:
            self._lines = [*self._lines[1:], [" "] * self.columns]
        else:
            self._y += 1

    def _control_character(self, character: str) -> None:
        if character == "\r":
            self._x = 0
        elif character == "\n":
            self._down()
        elif character == "\b":
            self._x = max(0, self._x - 1)

    def _control(self, found: "re.Match[str]") -> None:
        private, arguments, letter = found[1], found[2], found[3]
        if letter is None:
            return
        numbers = [int(number or 0) for number in arguments.split(";")] if arguments else []
        count = max(1, numbers[0]) if numbers else 1
        if private:
            if numbers == [1049]:
                self._alternate(letter == "h")
        elif letter == "A":
            self._y = max(0, self._y - count)
        elif letter == "B":
            self._y = min(self.rows - 1, self._y + count)
        elif letter == "C":
            self._x = min(self.columns - 1, self._x + count)
        elif letter == "D":
            self._x = max(0, min(self._x, self.columns) - count)
        elif letter == "H":
            self._y, self._x = (max(0, n - 1) for n in [*numbers, 1, 1][:2]) if numbers else (0, 0)
        elif letter == "J":
            self._erase(numbers[0] if numbers else 0)
        elif letter == "K":
            self._lines[self._y][self._x :] = [" "] * (self.columns - self._x)
        elif letter == "n" and numbers == [6]:
            self.replies += f"\x1b[{self._y + 1};{min(self._x, self.columns - 1) + 1}R".encode()

    def _erase(self, how: int) -> None:
        if how == 0:
            self._lines[self._y][self._x :] = [" "] * (self.columns - self._x)
        first = self._y + 1 if how == 0 else 0
        for number in range(first, self.rows):
            self._lines[number] = [" "] * self.columns

    def _alternate(self, enter: bool) -> None:
        if enter:
            self._saved = (self._lines, self._x, self._y)
            self._lines = [[" "] * self.columns for _ in range(self.rows)]
        elif self._saved is not None:
            self._lines, self._x, self._y = self._saved
            self._saved = None


class Terminal:
    """A program on a pseudo-terminal, and what a person would see."""

    def __init__(self, arguments: list[str], environ: dict[str, str]) -> None:
        self.emulator = Emulator(100, 30)
        self.output = ""
        self._rest = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            os.execve(sys.executable, [sys.executable, "-m", "bitcoind_mp.cli", *arguments], environ)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.status: int | None = None

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def screen(self) -> str:
        return self.emulator.text()

    def until(self, condition: Callable[[str], bool], what: str) -> str:
        """Wait until the screen is so; the screen then."""
        deadline = time.monotonic() + DEADLINE
        while not condition(self.screen()):
            left = deadline - time.monotonic()
            assert left > 0, f"never saw {what}; the screen is:\n{self.screen()}"
            self.read(min(left, 0.05))
        return self.screen()

    def sees(self, text: str, *, gone: bool = False) -> str:
        return self.until(lambda screen: (text in screen) is not gone, f"{text!r} {'go' if gone else ''}")

    def read(self, seconds: float) -> bool:
        """Take what the program writes within that time; False where it wrote nothing."""
        ready, _, _ = select.select([self._fd], [], [], seconds)
        try:
            data = os.read(self._fd, 65536) if ready else b""
        except OSError:  # it has ended
            data = b""
            self.wait()
        text = self._decoder.decode(data)
        self.output += text
        self._rest = self.emulator.feed(self._rest + text)
        if self.emulator.replies:
            replies, self.emulator.replies = self.emulator.replies, b""
            os.write(self._fd, replies)
        return bool(data)

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        deadline = time.monotonic() + DEADLINE
        while self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            else:
                assert time.monotonic() < deadline, f"it does not end; the screen is:\n{self.screen()}"
                select.select([self._fd], [], [], 0.02)
                with contextlib.suppress(OSError):
                    data = os.read(self._fd, 65536) if select.select([self._fd], [], [], 0)[0] else b""
                    text = self._decoder.decode(data)
                    self.output += text
                    self._rest = self.emulator.feed(self._rest + text)
        return self.status

    def close(self) -> None:
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._fd)


@pytest.fixture
def shell(daemon: Daemon, tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """``shell(*arguments)``: a shell on a pseudo-terminal, its home below ``tmp_path``."""
    opened: list[Terminal] = []

    def open_shell(*arguments: str, datadir: Path | None = daemon.datadir) -> Terminal:
        environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        where = [f"-datadir={datadir}"] if datadir is not None else []
        opened.append(Terminal(["-regtest", *where, *arguments], environ))
        return opened[-1]

    yield open_shell
    for terminal in opened:
        terminal.close()
