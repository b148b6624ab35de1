"""What a call costs: latency of one connection, pipelined throughput, a 1 MB result; each against a bare stub.

The stub is an asyncio protocol in a process of its own that answers each line with a fixed one: no parsing, no
checks. The same client, in this process, a plain blocking socket, drives both in turns, so that the ratio holds on a
machine that is busy. Where the kernel puts client and server decides more than what they do (waking another core
costs several times what the call does), so the latency is measured in both places: on two cores, and on one.
Prints a table; with ``--json FILE`` writes it too. Takes about 15 seconds.
"""

import argparse
import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CALL = b'{"jsonrpc":"2.0","method":"getblockcount","id":1}\n'
BLOCK = b'{"jsonrpc":"2.0","method":"getblock","params":["' + b"00" * 32 + b'",0],"id":1}\n'
MEGABYTE = 1_000_000


def serve_stub(path: str) -> None:
    """Answer every line with a result, the long one where the line asks for a block."""
    short = b'{"jsonrpc":"2.0","result":112,"id":1}\n'
    long = b'{"jsonrpc":"2.0","result":"' + b"ab" * (MEGABYTE // 2) + b'","id":1}\n'

    class Stub(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(long if b'getblock"' in data else short * data.count(b"\n"))

    async def main() -> None:
        await asyncio.get_running_loop().create_unix_server(Stub, path)
        print("ready", flush=True)
        await asyncio.Event().wait()

    asyncio.run(main())


def serve_ours(path: str) -> None:
    """A real server: jsonrpcserver, Core's binding, types checked, peer credentials, deadlines."""
    from bitcoind_mp.interfaces.command import Hash, command
    from bitcoind_mp.interfaces.init import Hello
    from bitcoind_mp.ipc.serve.server import Server
    from bitcoind_mp.ipc.wire.unix import bind_listener

    class Commands:
        block = bytes.fromhex("ab" * (MEGABYTE // 2))

        @command("blockchain")
        def getblockcount(self) -> int:
            """The height."""
            return 112

        @command("blockchain")
        def getblock(self, blockhash: Hash, verbosity: int | bool = 1) -> str:
            """A block in hex."""
            return self.block.hex()

        @command("blockchain")
        async def getheight(self) -> int:
            """The height, by a coroutine."""
            return 112

    async def main() -> None:
        server = Server([Commands()], hello=Hello("node", 1, "regtest", "0", os.getpid()))
        await server.serve(bind_listener(path))
        print("ready", flush=True)
        await asyncio.Event().wait()

    asyncio.run(main())


def connect(path: str) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX)
    connected.connect(path)
    return connected


def latency(request: bytes) -> Callable[[socket.socket], float]:
    """Seconds a call, one after another: the median, so that a neighbour's burst doesn't count."""

    def measure(connected: socket.socket) -> float:
        times = []
        for _ in range(2000):
            began = time.perf_counter()
            connected.sendall(request)
            connected.recv(4096)
            times.append(time.perf_counter() - began)
        return statistics.median(times)

    return measure


def pipelined(connected: socket.socket) -> float:
    """Seconds a call, 5000 sent without waiting."""
    count = 5000
    connected.setblocking(False)
    waiting, received = memoryview(CALL * count), 0
    began = time.perf_counter()
    while received < count:
        if waiting:
            with contextlib.suppress(BlockingIOError):
                waiting = waiting[connected.send(waiting) :]
        with contextlib.suppress(BlockingIOError):
            received += connected.recv(1 << 18).count(b"\n")
    elapsed = time.perf_counter() - began
    connected.setblocking(True)
    return elapsed / count


def megabyte(connected: socket.socket) -> float:
    """Seconds for a result of 1 MB."""
    times = []
    for _ in range(100):
        began = time.perf_counter()
        connected.sendall(BLOCK)
        while not connected.recv(1 << 20).endswith(b"\n"):
            pass
        times.append(time.perf_counter() - began)
    return statistics.median(times)


async def own_client(path: str) -> float:
    """Seconds a call through our own asyncio client: jsonrpcclient, a deadline for each."""
    from bitcoind_mp.ipc.client import connect as attach

    session = await attach(path)
    times = []
    for _ in range(2000):
        began = time.perf_counter()
        await session.call("getblockcount")
        times.append(time.perf_counter() - began)
    await session.close()
    return statistics.median(times)


#: label -> (measure, on how many cores client and server are)
ROWS: dict[str, tuple[Callable[[socket.socket], float], int]] = {
    "getblockcount, two cores": (latency(CALL), 2),
    "getblockcount, one core": (latency(CALL), 1),
    "a coroutine, one core": (latency(CALL.replace(b"getblockcount", b"getheight")), 1),
    "getblockcount pipelined": (pipelined, 2),
    "1 MB result": (megabyte, 2),
}


class Placing:
    """Puts this process and the servers on one core or on two."""

    def __init__(self, servers: list[int]) -> None:
        self._servers = servers
        self._cores = sorted(os.sched_getaffinity(0))

    def place(self, count: int) -> None:
        os.sched_setaffinity(0, {self._cores[0]})
        for pid in self._servers:
            os.sched_setaffinity(pid, {self._cores[min(count, len(self._cores)) - 1]})

    def anywhere(self) -> None:
        os.sched_setaffinity(0, self._cores)


def run() -> dict[str, dict[str, float]]:
    """Microseconds of ours and of the stub, and their ratio, by measure: the best of several rounds taken in turns."""
    with tempfile.TemporaryDirectory() as directory:
        paths = {name: f"{directory}/{name}" for name in ("ours", "stub")}
        servers = [
            subprocess.Popen([sys.executable, __file__, "--serve", name, path], stdout=subprocess.PIPE)
            for name, path in paths.items()
        ]
        placing = Placing([server.pid for server in servers])
        try:
            for server in servers:
                assert server.stdout is not None
                server.stdout.readline()
            return _measured(paths, placing)
        finally:
            placing.anywhere()
            for server in servers:
                server.kill()
                server.communicate()


def _measured(paths: dict[str, str], placing: Placing) -> dict[str, dict[str, float]]:
    connections = {name: connect(path) for name, path in paths.items()}
    rows = {}
    for label, (measure, cores) in ROWS.items():
        placing.place(cores)
        best = dict.fromkeys(connections, float("inf"))
        for _ in range(5):
            for name, connected in connections.items():
                best[name] = min(best[name], measure(connected))
        rows[label] = _row(best["ours"], best["stub"])
    placing.place(2)
    client = min(asyncio.run(own_client(paths["ours"])) for _ in range(3))
    rows["by our client, two cores"] = _row(client, rows["getblockcount, two cores"]["stub_us"] / 1e6)
    for connected in connections.values():
        connected.close()
    return rows


def _row(ours: float, stub: float) -> dict[str, float]:
    return {"ours_us": round(ours * 1e6, 1), "stub_us": round(stub * 1e6, 1), "ratio": round(ours / stub, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", nargs=2, metavar=("NAME", "PATH"), help=argparse.SUPPRESS)
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE")
    options = parser.parse_args()
    if options.serve:
        {"ours": serve_ours, "stub": serve_stub}[options.serve[0]](options.serve[1])
        return
    rows = run()
    print(f"{'':32}{'ours':>10}{'stub':>10}{'ratio':>8}")
    for label, row in rows.items():
        print(f"{label:32}{row['ours_us']:>8} us{row['stub_us']:>7} us{row['ratio']:>8}")
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
