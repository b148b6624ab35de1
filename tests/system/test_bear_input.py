"""Bad input on the three real sockets: an error or the end of that connection, and the others are served meanwhile.

One daemon for all of it: at the end it has restarted nothing, logged no traceback and kept its memory.
"""

import contextlib
import json
import os
import random
import resource
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from harness import Daemon, wait_until
from nobody import NOBODY, as_nobody

from bitcoind_mp.interfaces.errors import RpcCode
from bitcoind_mp.ipc.limits import MAX_REQUEST

ROLES = {"node": "getblockcount", "wallet": "listwallets", "supervisor": "uptime"}
STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
MEGABYTE = 1 << 20


class Victims:
    """The daemon, and how its processes were before anybody was bad to them."""

    def __init__(self, directory: Path) -> None:
        self.daemon = Daemon(directory / "d", "-keypool=10", "-healthinterval=0.5", "-watchdog=10")
        self.daemon.start()
        self.daemon.wallet(None, "createwallet", "w")
        self.daemon.node("generatetoaddress", 5, STRANGER)
        status = self.daemon.supervisor("status")
        self.pids = {unit["name"]: unit["pid"] for unit in status["units"]}
        self.pids["supervisor"] = status["supervisor"]["pid"]
        self.memory = {role: psutil.Process(pid).memory_info().rss for role, pid in self.pids.items()}

    def connect(self, role: str) -> socket.socket:
        connected = socket.socket(socket.AF_UNIX)
        connected.connect(self.daemon.socket(role))  # with a timeout it would not wait for room in the queue
        connected.settimeout(60)
        return connected

    def ask(self, role: str) -> Any:
        """An ordinary call, on a connection of its own."""
        ask = {"node": self.daemon.node, "supervisor": self.daemon.supervisor}.get(role)
        return ask(ROLES[role]) if ask else self.daemon.wallet(None, ROLES[role])

    def check_memory(self, role: str, growth: int) -> None:
        grown = psutil.Process(self.pids[role]).memory_info().rss - self.memory[role]
        assert grown < growth, f"the {role} has grown by {grown >> 20} MiB"


@pytest.fixture(scope="module")
def victims() -> Iterator[Victims]:
    """In a directory that other users may enter, so that it is the server that refuses them."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    made = Victims(directory)
    try:
        yield made
        for unit in made.daemon.supervisor("status")["units"]:
            assert (unit["pid"], unit["restarts"]) == (made.pids[unit["name"]], 0), unit
        assert made.daemon.tracebacks() == []
        assert made.daemon.node("getblockcount") == 5
        made.daemon.stop()
    finally:
        made.daemon.clean_up()
        shutil.rmtree(directory)


@pytest.fixture(params=list(ROLES))
def role(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def others(victims: Victims, role: str) -> Iterator[list[float]]:
    """Somebody who calls the same server all the while; how long each call took, in seconds."""
    took: list[float] = []
    failed: list[Exception] = []
    done = threading.Event()

    def call_on_and_on() -> None:
        while not done.wait(0.02):
            began = time.monotonic()
            try:
                victims.ask(role)
            except Exception as error:  # noqa: BLE001 (shown by the test)
                failed.append(error)
                return
            took.append(time.monotonic() - began)

    thread = threading.Thread(target=call_on_and_on)
    thread.start()
    wait_until("the first call", lambda: took or failed)
    yield took
    before = len(took)
    wait_until("a call afterwards", lambda: len(took) > before or failed)
    done.set()
    thread.join()
    assert failed == []
    assert max(took) < 5.0


def read_to_end(connected: socket.socket) -> bytes:
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connected.recv(MEGABYTE):
            parts.append(part)
    return b"".join(parts)


def test_what_is_no_request(victims: Victims, role: str, others: list[float]) -> None:
    method = ROLES[role].encode()
    for data in (
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x00\xff\xfe" * 1000 + b"\n",
        b'{"jsonrpc":"2.0","method":"\xff\xfe","id":1}\n',
        b'{"jsonrpc":"2.0","method":"' + method + b'","id":1\n',
        b"[" * 100_000 + b"\n",
        b"[" * 100_000 + b"]" * 100_000 + b"\n",
        b'{"jsonrpc":"2.0","method":"' + method + b'","params":' + b"[" * 100_000 + b"]" * 100_000 + b',"id":1}\n',
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"\n",
        b'{"jsonrpc":"2.0","method":"' + method + b'","id":' + b"9" * 100_000 + b"}\n",
        b'{"jsonrpc":"1.0"}\n',
        b"[]\n",
        b"null\n",
        b"\n",
    ):
        with victims.connect(role) as connected:
            connected.sendall(data)
            connected.shutdown(socket.SHUT_WR)
            for line in read_to_end(connected).splitlines():
                code = json.loads(line)["error"]["code"]
                assert code in (RpcCode.PARSE_ERROR, RpcCode.INVALID_REQUEST), line


def test_half_a_line_and_silence(victims: Victims, role: str, others: list[float]) -> None:
    whole = json.dumps({"jsonrpc": "2.0", "method": ROLES[role], "id": 1}).encode() + b"\n"
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(victims.connect(role)) for _ in range(50)]
        for connected in silent:
            connected.sendall(whole[:20])
        before = len(others)
        wait_until("others to be served", lambda: len(others) > before + 3)
        for connected in silent[:25]:
            connected.sendall(whole[20:])
            assert "result" in json.loads(connected.recv(MEGABYTE))


def test_a_line_of_100_mb(victims: Victims, role: str, others: list[float]) -> None:
    with victims.connect(role) as connected:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(100):
                connected.sendall(b"x" * MEGABYTE)
        answer = json.loads(read_to_end(connected).splitlines()[0])
        assert "longer than this side takes" in answer["error"]["message"]
    victims.check_memory(role, 2 * MAX_REQUEST)


def test_a_huge_batch(victims: Victims, role: str, others: list[float]) -> None:
    count = 30_000
    request = {"jsonrpc": "2.0", "method": "nosuchmethod", "id": 1}
    known = {**request, "method": ROLES[role]}
    with victims.connect(role) as connected:
        connected.sendall(json.dumps([request, known] * (count // 2)).encode() + b"\n")
        with connected.makefile("rb") as stream:
            answers = json.loads(stream.readline())
    assert len(answers) == count
    assert answers[0]["error"]["code"] == RpcCode.METHOD_NOT_FOUND
    assert "result" in answers[1]
    victims.check_memory(role, 128 * MEGABYTE)


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_a_thousand_idle_connections(victims: Victims, role: str, others: list[float]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 1200 and hard != resource.RLIM_INFINITY and hard < 1200:
        pytest.skip("this machine allows too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    with contextlib.ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(victims.connect(role))
        wait_until("all to be accepted", lambda: open_files(victims.pids[role]) > 1000)
        before = len(others)
        wait_until("others to be served", lambda: len(others) > before + 3)
    wait_until("they are forgotten", lambda: open_files(victims.pids[role]) < 200)
    victims.check_memory(role, 128 * MEGABYTE)


#: Not called with just anything: what ends the daemon or changes its clock, and what works or waits for as long as it
#: is asked to.
_NOT_CALLED = {
    *("stop", "start", "restart", "upgrade", "setmocktime", "generatetoaddress", "generatetodescriptor"),
    *("waitfornewblock", "waitforblock", "waitforblockheight"),
}
_ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    10**30,
    1.5,
    "",
    "x",
    "00" * 32,
    "\x00",
    "x" * 300,
    STRANGER,
    [],
    [None],
    [[["x"]]],
    {},
    {"x": {"y": []}},
    [{"txid": 1, "vout": "x"}],
    {"data": "zz"},
)


def test_wrong_types_in_every_method(victims: Victims, role: str, others: list[float]) -> None:
    """Whatever is answered, it is no internal error; the log, which is looked at in the end, has no traceback."""
    odd = random.Random(role)
    with victims.connect(role) as connected, connected.makefile("rwb") as stream:

        def ask(method: str, params: Any) -> dict[str, Any]:
            request = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1, "wallet": "w"}
            stream.write(json.dumps(request).encode() + b"\n")
            stream.flush()
            while True:
                answer: dict[str, Any] = json.loads(stream.readline())
                if "method" not in answer:
                    return answer

        methods = ask("rpc.discover", [])["result"]["methods"]
        assert len(methods) > 10
        for method in methods:
            if method["name"] in _NOT_CALLED or method.get("x-notification"):
                continue
            names = [parameter["name"] for parameter in method["params"]]
            tries: list[Any] = [[value] for value in _ODD] if names else [["x"]]
            tries += [[odd.choice(_ODD) for _ in names] for _ in range(6)]
            tries += [{name: odd.choice(_ODD) for name in names}, {"nosuchname": 1}, [None] * 50]
            for params in tries:
                answer = ask(method["name"], params)
                assert answer.get("error", {}).get("code") != RpcCode.INTERNAL_ERROR, (method["name"], params, answer)
    victims.check_memory(role, 200 * MEGABYTE)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user(victims: Victims, role: str, others: list[float]) -> None:
    """Refused by the directory's mode, and where that is wrong by the server, which logs it."""
    path = Path(victims.daemon.socket(role))
    line = json.dumps({"jsonrpc": "2.0", "method": ROLES[role], "id": 1}).encode() + b"\n"
    assert as_nobody(str(path), line) == b""
    opened: list[tuple[Path, int]] = [(place, place.stat().st_mode) for place in (*path.parents[:3], path)]
    try:
        for place, _ in opened:
            place.chmod(0o777)
        assert f"uid {NOBODY} may not call this {role}".encode() in as_nobody(str(path), line)
    finally:
        for place, mode in opened:
            place.chmod(mode & 0o7777)
    wait_until("it to be logged", lambda: f"refused a connection by uid {NOBODY}" in victims.daemon.log(role))
