"""What code inside a worker can have the supervisor do for it, which runs programs and ends processes: nothing but what
that worker is there for.

Each attempt is a call on the supervisor's socket from inside the worker, whose answer comes back. A person's is carried
out, which shows that the call itself is right.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import DEADLINE, Daemon, wait_until

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.ipc.wire.blocking import call
from bitcoind_mp.sandbox import landlock

INTRUDED = Path(__file__).resolve().parent / "workers" / "intruded.py"

pytestmark = pytest.mark.skipif(landlock.version() < 6, reason="this kernel has no Landlock of ABI 6 or later")

ASK = """
import contextlib, json, socket
with socket.socket(socket.AF_UNIX) as calling:
    calling.settimeout(30)
    calling.connect(PATH)
    with calling.makefile("rb") as answers:
        hello = {"role": "wallet", "protocol": 1, "chain": "regtest", "version": "0", "pid": os.getpid()}
        for number, method, params in ((1, "init.handshake", [hello]), (2, METHOD, PARAMS)):
            message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            with contextlib.suppress(BrokenPipeError):  # turned away before it could ask
                calling.sendall(json.dumps(message).encode() + b"\\n")
            result = answers.readline().decode()
            if "error" in json.loads(result):
                break
"""


class Intruded(Daemon):
    """A daemon with an intruder in each worker."""

    def start(self) -> None:
        words = [sys.executable, str(INTRUDED), "-regtest", f"-datadir={self.directory}", "-daemonwait", *self.options]
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=2 * DEADLINE)
        assert done.returncode == 0, f"{done.stderr}{self.logs()}"

    def inside(self, unit: str, code: str) -> str:
        """What became of code in that worker, as soon as somebody is in it."""

        def attempt() -> list[str]:
            try:
                return [str(call(self.socket(unit), "intrude", [code], timeout=DEADLINE))]
            except RpcError as error:
                assert error.code in (-28, -32601), error
                return []

        return str(wait_until(f"an intruder to be in the {unit}", attempt)[0])

    def asked(self, unit: str, method: str, *params: Any) -> dict[str, Any]:
        """The supervisor's answer to a call from inside that worker."""
        given = f"PATH, METHOD, PARAMS = {self.socket('supervisor')!r}, {method!r}, {list(params)!r}\n"
        return answer(self.inside(unit, given + ASK))


def answer(text: str) -> dict[str, Any]:
    """The reply to a call, or what kept it from being made."""
    return dict(json.loads(text)) if text.startswith("{") else {"error": {"message": text}}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Intruded]:
    yield from running(tmp_path_factory.mktemp("shared") / "d", "-sandbox=strict", "-signerprocess=1")


@pytest.fixture(scope="module")
def each(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Intruded]:
    yield from running(tmp_path_factory.mktemp("each") / "d", "-sandbox=strict", "-walletprocess=each")


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Intruded]:
    """Where workers could call anybody."""
    yield from running(tmp_path_factory.mktemp("free") / "d", "-sandbox=off", "-walletprocess=each")


def running(directory: Path, *options: str) -> Iterator[Intruded]:
    daemon = Intruded(directory, "-keypool=2", "-healthinterval=0", "-restartdelay=0", *options)
    try:
        daemon.start()
        if "-walletprocess=each" in options:
            for name in ("alice", "bob"):
                daemon.wallet(None, "createwallet", name)
        yield daemon
    finally:
        daemon.clean_up()


LEAVE = """
import gc, socket
from bitcoind_mp.service.notify import Notifier
ours, theirs = socket.socketpair()
ours.send(b'{"jsonrpc":"2.0","id":1,"method":"createwallet","params":["left behind"]}\\n')
for each in gc.get_objects():
    if isinstance(each, Notifier):
        each.store("caller", theirs.fileno())
        result = "left"
"""


def test_a_worker_leaves_no_orders_for_the_one_after_it(shared: Intruded) -> None:
    """Callers' connections go over from one process to the next: not such as the first has made itself."""
    old = shared.pid("wallet")
    assert shared.inside("wallet", LEAVE) == "left"
    shared.supervisor("restart", "wallet")
    assert shared.pid("wallet") != old
    assert "left behind" not in [each["name"] for each in shared.wallet(None, "listwalletdir")["wallets"]]


ORDERS: list[tuple[str, tuple[Any, ...]]] = [
    ("status", ()),
    ("logs", ("node",)),
    ("stop", ()),
    ("stop", ("node",)),
    ("start", ("node",)),
    ("restart", ("node",)),
    ("reload", ("node",)),
    ("upgrade", ()),
    ("logging", (["all"],)),
    ("help", ()),
    ("health", ()),
    ("notices.follow", (["tip"],)),
    ("wallets.list", ()),
    ("wallets.open", ("bob",)),
    ("wallets.close", ("bob",)),
    ("wallets.begin", (["bob"],)),
    ("wallets.settled", ("bob",)),
    ("rpc.discover", ()),
]
ONLY_FOR_THE_KEEPER = {"wallets.list", "wallets.open", "wallets.close", "wallets.begin", "wallets.settled"}


#: What a worker hears that may have no such socket at all.
NO_SOCKET = ("PermissionError", "OSError: [Errno 97]")
NAMES = [f"{method}({len(params)})" for method, params in ORDERS]


@pytest.mark.parametrize(("method", "params"), ORDERS, ids=NAMES)
@pytest.mark.parametrize(("mode", "unit"), [("shared", "wallet"), ("each", "wallet@alice")])
def test_a_wallets_process_orders_nothing(
    request: pytest.FixtureRequest, mode: str, unit: str, method: str, params: tuple[Any, ...]
) -> None:
    daemon: Intruded = request.getfixturevalue(mode)
    before = pids(daemon)
    told = daemon.asked(unit, method, *params)["error"]["message"]
    assert told == turned_away(unit) or told.startswith(NO_SOCKET)
    assert pids(daemon) == before


@pytest.mark.parametrize("unit", ["node", "wallet@alice"])
def test_no_worker_orders_anything_even_where_it_is_not_confined(free: Intruded, unit: str) -> None:
    """What it is the supervisor knows by itself."""
    before = pids(free)
    for method, params in ORDERS:
        assert free.asked(unit, method, *params)["error"]["message"] == turned_away(unit)
    assert pids(free) == before
    assert f"refused a call by the {unit} (pid {before[unit]})" in free.log("supervisor")


def turned_away(unit: str) -> str:
    return f"The supervisor answers persons: this is a process of the {unit}'s"


def pids(daemon: Intruded) -> dict[str, Any]:
    return {unit["name"]: unit["pid"] for unit in daemon.supervisor("status")["units"]}


@pytest.mark.parametrize(("method", "params"), ORDERS, ids=NAMES)
def test_the_process_that_makes_wallets_has_what_it_is_there_for_alone(
    each: Intruded, method: str, params: tuple[Any, ...]
) -> None:
    if method in (*ONLY_FOR_THE_KEEPER, "help", "rpc.discover"):  # what it is told of is what it has
        assert "error" not in each.asked("wallet", "wallets.list")
        return
    assert each.asked("wallet", method, *params)["error"]["message"] == "Method not found"


def test_a_person_is_answered(shared: Intruded, each: Intruded) -> None:
    for daemon in (shared, each):
        assert daemon.supervisor("status")["units"]
        assert daemon.supervisor("logs", "node")["logs"]
        assert daemon.supervisor("reload", "node")["state"] == "running"


def test_nobody_is_taken_for_a_person_because_he_has_ended(free: Intruded) -> None:
    """The order lies in the socket's queue while the supervisor stands still, and the worker that sent it is gone by
    the time that it is read."""
    supervisor = int(free.supervisor("status")["supervisor"]["pid"])
    node, wallet = free.pid("node"), free.pid("wallet@alice")
    order = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "stop", "params": ["node"]})
    code = f"""
import signal, socket, sys
sys.kept = calling = socket.socket(socket.AF_UNIX)
calling.connect({free.socket("supervisor")!r})
calling.send({order!r}.encode() + b"\\n")
signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
signal.setitimer(signal.ITIMER_REAL, 0.2)
"""
    watched = os.pidfd_open(wallet)
    os.kill(supervisor, signal.SIGSTOP)
    try:
        assert free.inside("wallet@alice", code) == "done"
        assert select.select([watched], [], [], DEADLINE)[0], "it has killed itself"
    finally:
        os.kill(supervisor, signal.SIGCONT)
        os.close(watched)
    wait_until("another of its processes", lambda: free.unit("wallet@alice")["pid"] not in (None, wallet))
    assert (free.unit("node")["state"], free.pid("node")) == ("running", node)


@pytest.mark.parametrize("place", ["/etc", "../../elsewhere"])
def test_the_process_that_makes_wallets_has_none_opened_that_lie_elsewhere(each: Intruded, place: str) -> None:
    """That one's process would reach there."""
    told = each.asked("wallet", "wallets.open", place)
    assert "is not within" in told["error"]["message"]
    assert {unit["name"] for unit in each.supervisor("status")["units"] if "@" in unit["name"]} == {
        "wallet@alice",
        "wallet@bob",
    }


def test_no_other_wallets_process_lets_its_wallet_go(each: Intruded, free: Intruded) -> None:
    for daemon in (each, free):
        path = daemon.socket("wallet@bob")
        for method in ("wallet.let_go", "unloadwallet"):
            code = f"PATH, METHOD, PARAMS = {path!r}, {method!r}, []\n" + ASK
            told = answer(daemon.inside("wallet@alice", code))["error"]["message"]
            assert told == "Method not found" or (daemon is each and told.startswith(NO_SOCKET))
        assert daemon.wallet("bob", "getwalletinfo")["walletname"] == "bob"


#: The socket behind $NOTIFY_SOCKET, in a worker.
MANAGER = """
import socket, threading, time
def is_its(number):
    try:
        found = socket.socket(fileno=os.dup(number))
    except OSError:
        return None
    return found if (found.family, found.type & 0xF) == (socket.AF_UNIX, socket.SOCK_DGRAM) else None
manager = next(found for found in map(is_its, range(3, 64)) if found is not None)
"""
FLOODS = {
    "statuses": "b'\\n'.join(b'STATUS=%d' % (number + each) for each in range(200))",
    "reloads": "b'\\n'.join([b'RELOADING=1', b'READY=1'] * 150)",
    "requests for time": "b'EXTEND_TIMEOUT_USEC=86400000000'",
    "nothing": "b''",
}


@pytest.mark.parametrize("what", FLOODS)
def test_no_flood_of_notifications_keeps_the_others_waiting(shared: Intruded, what: str) -> None:
    """The supervisor answers meanwhile, and ends whoever does it."""
    told = "wallet: floods its manager with notifications; sending SIGABRT"
    before, ended = pids(shared), shared.log("supervisor").count(told)
    code = f"""{MANAGER}
def flood():
    number, end = 0, time.monotonic() + 120
    while time.monotonic() < end:
        number += 1
        try:
            manager.sendmsg([{FLOODS[what]}], [], socket.MSG_DONTWAIT, {str(shared.directory / "regtest/run/notify")!r})
        except BlockingIOError:
            time.sleep(0.0005)
threading.Thread(target=flood, daemon=True).start()
"""
    assert shared.inside("wallet", code) == "done"
    wait_until("another process of its", lambda: shared.unit("wallet")["pid"] not in (None, before["wallet"]))
    assert shared.log("supervisor").count(told) > ended
    assert pids(shared)["node"] == before["node"]
    shared.until_running("wallet")


def test_no_worker_keeps_the_others_from_hearing_that_the_supervisor_died(tmp_path: Path) -> None:
    """It holds on to all that it was handed, and to the other end of what it can open that of."""
    daemon = Intruded(tmp_path / "d", "-sandbox=strict")
    try:
        daemon.start()
        code = """
import asyncio, contextlib, sys
sys.kept = []
for held in range(3, 16):
    with contextlib.suppress(OSError):
        sys.kept.append(os.open(f"/proc/self/fd/{held}", os.O_WRONLY | os.O_NONBLOCK))
    asyncio.get_running_loop().remove_reader(held)
"""
        node, wallet = (os.pidfd_open(daemon.pid(unit)) for unit in ("node", "wallet"))
        with contextlib.suppress(TimeoutError, OSError, RpcError):
            call(daemon.socket("wallet"), "intrude", [code], timeout=2)
        daemon.kill_supervisor()
        assert select.select([node], [], [], DEADLINE)[0], "it has stopped"
        assert not select.select([wallet], [], [], 0)[0], "who was broken into needn't"
    finally:
        daemon.clean_up()


LEFT = {
    "options": json.dumps({"wallet": ["/etc", "alice"], "blocknotify": "touch MARK", "unitnotify": "touch MARK"}),
    "garbage": "{" * 100_000,
    "a sea of it": " " * (64 << 20),
}


@pytest.mark.parametrize("mode", ["shared", "each"])
def test_what_is_left_in_its_files_keeps_nobody_from_starting(tmp_path: Path, mode: str) -> None:
    """A wallet's process that was broken into writes settings.json, and then all are started anew: no command of its is
    run, and all come up."""
    mark = tmp_path / "mark"
    daemon = Intruded(tmp_path / "d", "-keypool=2", "-restartdelay=0", *(["-walletprocess=each"] * (mode == "each")))
    try:
        daemon.start()
        daemon.wallet(None, "createwallet", "alice")
        path = daemon.directory / "regtest" / "wallets" / "settings.json"
        for blocks, (left, text) in enumerate(LEFT.items()):
            text = text.replace("MARK", str(mark))
            head, times = (text, 1) if len(text) < 1 << 20 else (text[: 1 << 20], len(text) >> 20)
            code = f"with open({str(path)!r}, 'w') as file:\n    for _ in range({times}): file.write({head!r})"
            assert daemon.inside("wallet", code) == "done"
            daemon.stop()
            daemon.start()
            assert daemon.node("getblockcount") == blocks
            daemon.node("generatetoaddress", 1, "bcrt1qs758ursh4q9z627kt3pp5yysm78ddny6txaqgw")
            loaded = daemon.wallet(None, "listwallets")
            assert loaded == (["alice"] if left == "options" else []), left
            health = wait_until("its health", lambda: daemon.supervisor("health"))
            problems = "\n".join(health["problems"])
            if left == "options":
                assert "The wallet '/etc' was not loaded" in problems and "-wallet=" in problems
            else:
                assert f"{daemon.directory}/regtest/settings.json, can't be read" in problems, left
            assert daemon.wallet(None, "createwallet", f"by {left}", False, False, "", False, True, left == "options")
        daemon.stop()
        assert not mark.exists()
        assert daemon.tracebacks() == []
    finally:
        daemon.clean_up()


def test_no_wallet_takes_the_place_of_those_files(each: Intruded, shared: Intruded) -> None:
    for daemon in (each, shared):
        for name in ("settings.json", "loaded.json", "settings.json.partial"):
            with pytest.raises(RpcError, match="kept for a file of this program's own"):
                daemon.wallet(None, "createwallet", name)
