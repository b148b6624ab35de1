"""What a wallet's process that was broken into can call, under a supervisor: the node, over the channel that it was
handed, and of that what wallets need. No socket of the machine, whoever listens there.

Each attempt is made in a confined process, which must refuse it, and in one with -sandbox=off, where it must succeed.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from socket import AF_UNIX, SOCK_DGRAM, socket

import pytest

from bitcoind_mp.ipc.wire.blocking import call
from bitcoind_mp.sandbox import landlock
from tests.harness import DEADLINE, Daemon, wait_until

ENTERED = Path(__file__).resolve().parent / "workers" / "entered.py"

pytestmark = pytest.mark.skipif(landlock.version() < 6, reason="this kernel has no Landlock of ABI 6 or later")


class Entered(Daemon):
    """With an intruder in the process of the wallet ``w``, and two sockets of somebody else's in the directory."""

    def __init__(self, directory: Path, unit: str, *options: str) -> None:
        super().__init__(directory, "-keypool=2", "-fallbackfee=0.0001", *options)
        self.intruded = unit
        self.stranger, self.datagrams = socket(AF_UNIX), socket(AF_UNIX, SOCK_DGRAM)
        self.stranger.bind(str(directory / "stranger.sock"))
        self.stranger.listen(100)
        self.datagrams.bind(str(directory / "datagrams.sock"))

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(ENTERED), "-regtest", f"-datadir={self.directory}", *self.options],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until("it has come up", lambda: self.run("bitcoin-mp", "health", check=False).returncode == 0)
        self.run("bitcoin-mp", "createwallet", "w")

    def attempt(self, code: str) -> str:
        given = f"place, run = Path({str(self.directory)!r}), Path({str(self.directory)!r}, 'regtest', 'run')\n"
        return str(call(self.socket(self.intruded), "intrude", [given + code], timeout=DEADLINE))

    def end(self) -> None:
        self.run("bitcoin-mp", "stop", check=False)
        self.process.wait(DEADLINE)
        self.stranger.close()
        self.datagrams.close()


UNITS = {"wallet": (), "wallet@w": ("-walletprocess=each",)}


@pytest.fixture(scope="module", params=UNITS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Entered, Entered]]:
    """A confined one, and a free one."""
    directory = tmp_path_factory.mktemp("channel")
    made: list[Entered] = []
    try:
        for name, options in (("confined", ("-sandbox=strict",)), ("free", ("-sandbox=off",))):
            made.append(Entered(directory / name, request.param, *UNITS[request.param], *options))
            made[-1].start()
        yield made[0], made[1]
    finally:
        for daemon in made:
            daemon.end()


CONNECT = "import socket\nwith socket.socket(socket.AF_UNIX) as calling: calling.connect(str({}))"
FORBIDDEN = {
    "call the supervisor": CONNECT.format("run / 'supervisor.sock'"),
    "call the node by its path": CONNECT.format("run / 'node.sock'"),
    "call the wallets' socket": CONNECT.format("run / 'wallet.sock'"),
    "call a stranger": CONNECT.format("place / 'stranger.sock'"),
    "send a stranger a datagram": "import socket\n"
    "with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mine: mine.sendto(b'', str(place / 'datagrams.sock'))",
    "make a pair of datagrams and send from there": "import socket\n"
    "for each in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM):\n"
    "    with each: each.sendto(b'', str(place / 'datagrams.sock'))",
    "see what comes and goes elsewhere": "libc = ctypes.CDLL(None, use_errno=True)\n"
    "if libc.inotify_init1(0) < 0: raise OSError(ctypes.get_errno(), 'inotify')",
    "open an internet socket": "import socket; socket.socket(socket.AF_INET).close()",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_an_intruder_fails_and_would_succeed_without_a_sandbox(both: tuple[Entered, Entered], what: str) -> None:
    confined, free = both
    assert free.attempt(FORBIDDEN[what]) == "done"
    assert confined.attempt(FORBIDDEN[what]).startswith(("PermissionError", "OSError: [Errno 97]"))


#: With no socket at all: EBADF where the call is carried out, EPERM where it isn't.
ADDRESSED = {
    "connect": "libc.connect(-1, bytes(16), 16)",
    "bind": "libc.bind(-1, bytes(16), 16)",
    "sendto": "libc.sendto(-1, b'x', 1, 0, bytes(16), 16)",
    "sendmmsg": "libc.sendmmsg(-1, bytes(64), 1, 0)",
}


@pytest.mark.parametrize("name", ADDRESSED)
def test_what_it_has_is_connected_to_nobody_else(both: tuple[Entered, Entered], name: str) -> None:
    code = f"libc = ctypes.CDLL(None, use_errno=True); {ADDRESSED[name]}; result = ctypes.get_errno()"
    confined, free = both
    assert free.attempt(code) == "9"
    assert confined.attempt(code) == "1"


#: The same: (the call, with nothing that could be meant, what it answers where it is carried out, where it isn't).
AROUND = {
    "a ring of calls that the kernel makes": ("libc.syscall(425, 1, 0)", 14, 38),
    "a program by its descriptor": ("libc.syscall({'x86_64': 322, 'aarch64': 281}[machine], -1, b'x', 0, 0, 0)", 9, 1),
    "a process by clone3": ("libc.syscall(435, 0, 0)", 22, 38),
    "a descriptor of another process": ("libc.syscall(438, -1, 0, 0)", 9, 1),
    "another's memory, given up": ("libc.syscall(440, -1, 0, 0, 0, 0)", 9, 38),
    "a file by its number": ("libc.syscall({'x86_64': 304, 'aarch64': 265}[machine], -1, 0, 0)", 14, 38),
    "a mount": ("libc.syscall(428, -1, b'x', 0)", 9, 38),
    "keys": ("libc.syscall({'x86_64': 250, 'aarch64': 219}[machine], 999, 0, 0, 0, 0)", 95, 1),
}


@pytest.mark.parametrize("what", AROUND)
def test_there_is_no_way_round_the_filter(both: tuple[Entered, Entered], what: str) -> None:
    call, carried_out, refused = AROUND[what]
    code = (
        f"libc = ctypes.CDLL(None, use_errno=True); machine = os.uname().machine; {call}; result = ctypes.get_errno()"
    )
    confined, free = both
    assert free.attempt(code) == str(carried_out)
    assert confined.attempt(code) == str(refused)


#: The channel to the node is what it was handed next after its listening socket. A call over it, as our own code makes.
OVER_THE_CHANNEL = """
import json, socket
ours, theirs = socket.socketpair()
channel = socket.socket(fileno=os.dup(4))
socket.send_fds(channel, [b"."], [theirs.fileno()])
for each in (theirs, channel):
    each.close()
ours.settimeout(60)
with ours, ours.makefile("rw") as stream:
    stream.write(json.dumps({{"jsonrpc": "2.0", "id": 1, "method": {!r}, "params": []}}) + "\\n")
    stream.flush()
    result = json.loads(stream.readline())["error"]["message"]
"""


@pytest.mark.parametrize("method", ["stop", "invalidateblock", "addnode", "logging", "getblockcount", "node.watch"])
def test_the_node_obeys_no_command_over_the_channel(both: tuple[Entered, Entered], method: str) -> None:
    confined, _ = both
    node = confined.pid("node")
    assert confined.attempt(OVER_THE_CHANNEL.format(method)) == "Method not found"
    wait_until("it is told", lambda: f"refused a wallet's process the method '{method}'" in confined.log("node"))
    assert confined.pid("node") == node


def test_what_wallets_need_is_there(both: tuple[Entered, Entered]) -> None:
    """Without a handshake it says so, and that is how one knows."""
    assert "call init.handshake first" in both[0].attempt(OVER_THE_CHANNEL.format("chain.status"))


#: A line of what the wallet's process sends over it, in place of a call.
LINES = {
    "a batch": ("b'[' + b','.join([b'1'] * 500_000) + b']\\n'", "Invalid Request object"),
    "an endless line": ("b'[' * (12 << 20)", "A message longer than this side takes"),
    "a deep one": ("b'[' * (1 << 20) + b'\\n'", "Parse error"),
}


@pytest.mark.parametrize("what", LINES)
def test_the_nodes_memory_is_its_own(both: tuple[Entered, Entered], what: str) -> None:
    sent, answer = LINES[what]
    code = f"""
import array, json, socket
ours, theirs = socket.socketpair()
with socket.socket(fileno=os.dup(4)) as channel, theirs:
    channel.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs.fileno()]))])
ours.settimeout(60)
with ours, ours.makefile("rb") as stream:
    try:
        ours.sendall({sent})
    except (BrokenPipeError, ConnectionResetError):
        pass
    result = json.loads(stream.readline())["error"]["message"]
"""
    assert both[0].attempt(code) == answer


def test_no_packet_closes_the_channel_to_those_who_call_next(both: tuple[Entered, Entered]) -> None:
    """All wallets' processes call over the same one."""
    code = """
import array, socket
channel = socket.socket(fileno=os.dup(4))
null = os.open(os.devnull, os.O_RDONLY)
for along in ([], [null], [null] * 200):
    for message in (b"", b".", b"x" * 50_000):
        channel.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", along))] if along else [])
os.close(null)
channel.close()
"""
    for daemon in both:
        assert daemon.attempt(code) == "done"
        assert "call init.handshake first" in daemon.attempt(OVER_THE_CHANNEL.format("chain.status"))


def test_its_own_work_goes_on_over_it(both: tuple[Entered, Entered]) -> None:
    """Mining, paying and a backup; a node that dies, and one that is stopped."""
    confined, _ = both
    address = confined.wallet("w", "getnewaddress")
    confined.node("generatetoaddress", 101, address)
    wait_until(
        "the blocks are there", lambda: confined.wallet("w", "getwalletinfo")["lastprocessedblock"]["height"] == 101
    )

    def pay() -> subprocess.CompletedProcess[str]:
        return confined.run("bitcoin-mp", "-rpcwallet=w", "sendtoaddress", address, "1", check=False)

    confined.kill("node")
    wait_until("the wallet has found the next one", lambda: not pay().returncode)
    assert confined.node("getrawmempool")
    confined.run("bitcoin-mp", "-rpcwallet=w", "backupwallet", str(confined.directory / "backup.sqlite"))
    assert (confined.directory / "backup.sqlite").stat().st_size
    confined.run("bitcoin-mp", "stop", "node")
    wait_until("it is told why", lambda: "The node is stopped" in pay().stderr)
    confined.run("bitcoin-mp", "start", "node")
    wait_until("the wallet has found it", lambda: not pay().returncode)
