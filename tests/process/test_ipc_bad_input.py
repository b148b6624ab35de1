"""What must not hurt a server, against one in a process of its own: whatever one caller does, the others are served
and memory stays bounded."""

import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from nobody import NOBODY, as_nobody

from bitcoind_mp.ipc.limits import MAX_REQUEST, MAX_UNFINISHED, WRITE_HIGH_WATER
from bitcoind_mp.ipc.wire.plain import Connection

PROGRAM = """
import asyncio, os, socket, sys
from bitcoind_mp.interfaces.command import command
from bitcoind_mp.interfaces.init import Hello
from bitcoind_mp.ipc.wire.credentials import own_user
from bitcoind_mp.ipc.serve.server import Server
from bitcoind_mp.ipc.wire.unix import bind_listener
from bitcoind_mp.service.worker import Service, run_worker

class Commands:
    @command("blockchain")
    def getblockcount(self) -> int:
        '''The height.'''
        return 112
    @command("blockchain")
    def getblock(self, size: int) -> str:
        '''So many characters.'''
        return "ab" * (size // 2)
    @command("blockchain")
    def submit(self, data: str) -> int:
        '''How many characters.'''
        return len(data)

class Worker(Service):
    async def start(self, host):
        hello = Hello("node", 1, "regtest", "0", os.getpid())
        self.server = Server([Commands()], hello=hello, access=own_user(sys.argv[2]))
        await self.server.serve(bind_listener(sys.argv[1]))
        print("ready", flush=True)
    async def stop(self):
        await self.server.close(1.0)

sys.exit(run_worker(Worker(), name="node", environ=os.environ))
"""
COUNT = b'{"jsonrpc":"2.0","method":"getblockcount","id":1}\n'
MEGABYTE = 1024 * 1024


class Victim:
    """The server's process."""

    def __init__(self, path: str, group: str = "") -> None:
        self.path = path
        self.process = subprocess.Popen([sys.executable, "-c", PROGRAM, path, group], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def connect(self) -> socket.socket:
        connected = socket.socket(socket.AF_UNIX)
        connected.connect(self.path)
        connected.settimeout(30)
        return connected

    def serves_others(self) -> bool:
        connection = Connection(self.path)
        connection.send(COUNT[:-1])
        answer = json.loads(connection.receive(10))
        connection.close()
        return bool(answer["result"] == 112)

    def memory(self, field: str) -> int:
        """Bytes: ``VmRSS`` now, ``VmHWM`` at most so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split(f"{field}:")[1].split()[0]) * 1024


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    server = Victim(str(tmp_path / "node.sock"))
    yield server
    assert server.process.poll() is None, "the server died"
    server.process.terminate()
    assert server.process.wait(10) == 0
    assert server.process.stdout is not None
    server.process.stdout.close()


def read_to_end(connected: socket.socket) -> bytes:
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connected.recv(MEGABYTE):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x00" * 1000 + b"\n",
        b'{"jsonrpc":"2.0","method":"\xff\xfe","id":1}\n',
        b"[" * MEGABYTE + b"\n",
        b'{"a":' * 100_000 + b"\n",
        b'{"jsonrpc":"2.0","method":"getblockcount","id":' + b"9" * 100_000 + b"}\n",
        b'{"jsonrpc":"2.0","id":1}\n',
        b"[]\n",
        b"5\n",
    ],
)
def test_what_is_no_request_gets_an_error_and_the_end(victim: Victim, data: bytes) -> None:
    with victim.connect() as connected:
        connected.sendall(data)
        answer = json.loads(read_to_end(connected).splitlines()[0])
        assert answer["error"]["code"] in (-32700, -32600)
    assert victim.serves_others()


@pytest.mark.parametrize(
    "params", [b'"x"', b"5", b'[{"a":[' + b"[" * 300 + b"]" * 300 + b"]}]", b"[1e999999999]", b"[null]"]
)
def test_odd_params_are_answered_and_hurt_nobody(victim: Victim, params: bytes) -> None:
    with victim.connect() as connected:
        connected.sendall(b'{"jsonrpc":"2.0","method":"getblock","params":' + params + b',"id":1}\n')
        assert b'"error"' in connected.recv(100_000)
    assert victim.serves_others()


def test_half_a_line_and_then_nothing(victim: Victim) -> None:
    with victim.connect() as connected:
        connected.sendall(COUNT[:20])
        assert victim.serves_others()
        connected.sendall(COUNT[20:])
        assert b'"result":112' in connected.recv(1000)
        connected.sendall(COUNT[:20])
    assert victim.serves_others()


def test_a_line_of_100_mb_is_refused_and_not_kept(victim: Victim) -> None:
    before = victim.memory("VmRSS")
    with victim.connect() as connected:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(100):
                connected.sendall(b"x" * MEGABYTE)
        assert b"longer than this side takes" in read_to_end(connected)
    assert victim.serves_others()
    assert victim.memory("VmHWM") - before < 2 * MAX_REQUEST


def test_a_request_of_nearly_the_limit_is_served(victim: Victim) -> None:
    with victim.connect() as connected:
        size = MAX_REQUEST - 1000
        connected.sendall(b'{"jsonrpc":"2.0","method":"submit","params":["%s"],"id":1}\n' % (b"x" * size))
        assert json.loads(connected.recv(1000))["result"] == size
    assert victim.serves_others()


def test_unfinished_lines_on_many_connections_share_one_bound(victim: Victim) -> None:
    before = victim.memory("VmRSS")
    half_a_line = b"x" * (MAX_REQUEST // 2)
    refused = 0
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(victim.connect()) for _ in range(20)]
        for connected in connections:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connected.sendall(half_a_line)
            assert victim.serves_others()
        for connected in connections:
            connected.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                refused += b"Too much unfinished input" in connected.recv(1000)
    assert refused >= 20 - 2 * MAX_UNFINISHED // MAX_REQUEST - 1
    assert victim.memory("VmHWM") - before < 1.5 * MAX_UNFINISHED
    assert victim.serves_others()


def test_a_thousand_idle_connections_leave_room_for_others(victim: Victim) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1100:
        pytest.skip("this machine allows too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(1100, resource.getrlimit(resource.RLIMIT_NOFILE)[0]), hard))
    with contextlib.ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(victim.connect())
        assert victim.serves_others()
        assert len(list(Path(f"/proc/{victim.process.pid}/fd").iterdir())) > 1000
    assert victim.serves_others()


def test_who_does_not_read_gets_no_more_and_the_rest_when_it_does(victim: Victim) -> None:
    before = victim.memory("VmRSS")
    count, size = 300, MEGABYTE
    request = b'{"jsonrpc":"2.0","method":"getblock","params":[%d],"id":1}\n' % size
    with victim.connect() as connected:
        connected.sendall(request * count)
        for _ in range(20):
            assert victim.serves_others()
        assert victim.memory("VmHWM") - before < 10 * (WRITE_HIGH_WATER + size)
        received = answers = 0
        while answers < count:  # a line each: the last one's end may come in a part of its own
            part = connected.recv(4 * MEGABYTE)
            assert part
            received += len(part)
            answers += part.count(b"\n")
        assert received > count * size
        connected.sendall(COUNT)
        assert b'"result":112' in connected.recv(1000)[-100:]


def test_who_sends_thousands_at_once_keeps_nobody_waiting(victim: Victim) -> None:
    count = 20_000
    with victim.connect() as greedy:
        greedy.setblocking(False)
        waiting, received, slowest = COUNT * count, 0, 0.0
        while received < count:
            with contextlib.suppress(BlockingIOError):
                waiting = waiting[greedy.send(waiting) :] if waiting else waiting
            began = time.monotonic()
            assert victim.serves_others()
            slowest = max(slowest, time.monotonic() - began)
            with contextlib.suppress(BlockingIOError):
                received += greedy.recv(MEGABYTE).count(b"\n")
    assert slowest < 2.0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_admitted_by_a_group_that_the_owner_named() -> None:
    """One of no such group is refused: on every real socket by ``tests/system/test_bear_input.py``."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        for group, groups, admitted in (
            ("4711", [], False),
            ("4711", [4711], True),
            (str(NOBODY), [], True),
        ):
            server = Victim(f"{directory}/node.sock", group)
            try:
                Path(server.path).chmod(0o666)
                answer = as_nobody(server.path, COUNT, groups=groups)
                assert (b'"result":112' in answer) == admitted, (group, groups)
                assert (f"uid {NOBODY} may not call this node".encode() in answer) != admitted
                assert server.serves_others()
            finally:
                server.process.terminate()
                server.process.communicate(timeout=10)
