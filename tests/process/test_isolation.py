"""What code inside a worker can do once the worker serves: its own work, and nothing to anybody else.

Each attempt is made twice: in confined workers, which must refuse it, and in ones started with -sandbox=off, where it
must succeed. An attempt that fails there too would prove nothing.
"""

import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bitcoind_mp.interfaces.errors import RpcError
from bitcoind_mp.sandbox import landlock
from tests.wallet_pair import DEADLINE, Pair, wait_for

PROBED = Path(__file__).resolve().parent / "workers" / "probed.py"

pytestmark = pytest.mark.skipif(landlock.version() < 6, reason="this kernel has no Landlock of ABI 6 or later")


class Workers(Pair):
    """A node and a wallet with an intruder in each."""

    def __init__(self, directory: Path, *options: str) -> None:
        super().__init__(directory)
        self.datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.options = {role: [*each, *options] for role, each in self.options.items()}
        self.command = {role: [sys.executable, str(PROBED), role] for role in self.options}

    def attempt(self, role: str, code: str, *, thread: bool = False) -> str:
        """What became of code in that worker. In it, ``sibling`` is the other's pid, ``network`` the directory."""
        sibling = self.processes["wallet" if role == "node" else "node"].pid
        given = f"sibling = {sibling}\nnetwork = Path({str(self.network)!r})\nport = {self.port}\n"
        return str(self.ask(role, "intrude", given + code, thread))

    port = 0

    def close(self) -> None:
        super().close()
        self.datagrams.close()


def started(directory: Path, *options: str) -> Workers:
    directory.mkdir(exist_ok=True)
    workers = Workers(directory, *options)
    credentials = directory.with_name(f"{directory.name}-credentials")
    credentials.mkdir()
    (credentials / "wallet.w.passphrase").write_text("correct horse battery staple")
    workers.environment["CREDENTIALS_DIRECTORY"] = str(credentials)
    try:
        for role in ("node", "wallet"):
            workers.start(role)
        workers.ask("wallet", "createwallet", "w")
        workers.datagrams.bind(str(workers.network / "wallets" / "datagrams"))
    except BaseException:
        workers.close()
        raise
    return workers


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workers, Workers]]:
    """Confined ones, and free ones that may be traced by anybody."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        directory = tmp_path_factory.mktemp("isolation")
        made: list[Workers] = []
        try:
            for name, options in (("confined", ()), ("free", ("-sandbox=off",))):
                made.append(started(directory / name, *options))
                made[-1].port = listening.getsockname()[1]
            for role in ("node", "wallet"):
                made[1].attempt(role, "ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_long(-1), 0, 0, 0)")
            yield made[0], made[1]
        finally:
            for workers in made:
                workers.close()


CALL = """
libc = ctypes.CDLL(None, use_errno=True)
def checked(value):
    if value < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
"""
TRACE = (
    CALL + "checked(libc.ptrace(16, sibling, 0, 0)); os.waitpid(sibling, 0x40000000); libc.ptrace(17, sibling, 0, 0)"
)
READ_MEMORY = """
where = int(Path(f"/proc/{sibling}/maps").read_text().split("-")[0], 16)
with open(f"/proc/{sibling}/mem", "rb", buffering=0) as memory:
    memory.seek(where)
    memory.read(8)
"""
#: The address is of no matter: a process that may be read answers EFAULT, or with what is there.
READ_ACROSS = (
    CALL
    + """
class Piece(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))
buffer = ctypes.create_string_buffer(8)
here, there = Piece(ctypes.addressof(buffer), 8), Piece(16, 8)
if libc.process_vm_readv(sibling, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) < 0 and ctypes.get_errno() != 14:
    checked(-1)
"""
)
LEASE = """
import fcntl
path = network / PLACE / 'leased'
with path.open('w') as file:
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
path.unlink()
"""
SIGNAL_BY_A_SOCKET = "import fcntl, socket\nfor each in socket.socketpair():\n    with each: fcntl.fcntl(each, {})"
STEAL_SOCKET = CALL + "fd = os.pidfd_open(sibling); checked(libc.syscall(438, fd, 0, 0))"
FORBIDDEN = {
    # of both
    ("node", "execute a program"): "import subprocess; subprocess.run(['/bin/true'], check=True)",
    ("wallet", "execute a program"): "import subprocess; subprocess.run(['/bin/true'], check=True)",
    ("node", "trace its sibling"): TRACE,
    ("wallet", "trace its sibling"): TRACE,
    ("node", "read its sibling's memory"): READ_MEMORY,
    ("wallet", "read its sibling's memory"): READ_MEMORY,
    ("node", "read across processes"): READ_ACROSS,
    ("wallet", "read across processes"): READ_ACROSS,
    ("node", "take its sibling's descriptor"): STEAL_SOCKET,
    ("node", "list its sibling's files"): "os.listdir(f'/proc/{sibling}/fd')",
    ("node", "signal its sibling"): "os.kill(sibling, 0)",
    ("wallet", "signal its sibling"): "os.kill(sibling, 0)",
    ("wallet", "signal its sibling by its pidfd"): "import signal; signal.pidfd_send_signal(os.pidfd_open(sibling), 0)",
    ("node", "have its sibling signalled by a socket"): SIGNAL_BY_A_SOCKET.format("fcntl.F_SETOWN, sibling"),
    ("wallet", "have its sibling signalled by a socket"): SIGNAL_BY_A_SOCKET.format("fcntl.F_SETOWN, sibling"),
    ("wallet", "choose the signal that a socket sends"): SIGNAL_BY_A_SOCKET.format("10, 9"),
    ("node", "keep whoever opens its file waiting"): LEASE.replace("PLACE", "'blocks'"),
    ("wallet", "keep whoever opens its file waiting"): LEASE.replace("PLACE", "'wallets'"),
    ("node", "keep whoever closes its socket waiting"): "import socket, struct\n"
    "with socket.socket() as mine: mine.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 3600))",
    ("node", "shut down a socket that it has in common"): "import socket\n"
    "for each in socket.socketpair():\n    with each: each.shutdown(socket.SHUT_RDWR)",
    ("wallet", "shut down a socket that it has in common"): "import socket\n"
    "for each in socket.socketpair():\n    with each: each.shutdown(socket.SHUT_RDWR)",
    ("node", "change the times of a wallet"): "os.utime(network / 'wallets', (1, 1))",
    ("wallet", "change the times of a block file"): "os.utime(network / 'blocks' / 'blk00000.dat', (1, 1))",
    ("node", "see what comes and goes elsewhere"): CALL + "checked(libc.inotify_init1(0))",
    ("node", "let itself be looked into"): CALL + "checked(libc.prctl(4, 1, 0, 0, 0))",
    ("wallet", "let itself be looked into"): CALL + "checked(libc.prctl(4, 1, 0, 0, 0))",
    ("wallet", "let itself be looked into, by a number that the kernel cuts short"): CALL
    + "number = {'x86_64': 157, 'aarch64': 167}[os.uname().machine]\n"
    + "checked(libc.syscall(number, ctypes.c_long(1 << 32 | 4), 1, 0, 0, 0))",
    ("node", "read a person's files"): "os.listdir('/root' if os.getuid() == 0 else Path.home())",
    ("node", "read programs' settings"): "os.listdir('/proc/1')",
    ("node", "write a temporary file"): "path = Path('/tmp') / f'probe-{os.getpid()}'; path.touch(); path.unlink()",
    ("wallet", "write a temporary file"): "path = Path('/tmp') / f'probe-{os.getpid()}'; path.touch(); path.unlink()",
    ("node", "let others into wallets"): "os.chmod(network / 'wallets', 0o755); os.chmod(network / 'wallets', 0o700)",
    # the node's
    ("node", "list wallets"): "os.listdir(network / 'wallets')",
    ("node", "read a wallet"): "(network / 'wallets' / 'w' / 'wallet.sqlite').read_bytes()",
    (
        "node",
        "read a wallet's passphrase",
    ): "Path(os.environ['CREDENTIALS_DIRECTORY'], 'wallet.w.passphrase').read_text()",
    ("node", "change a wallet"): "(network / 'wallets' / 'w' / 'wallet.sqlite').open('r+b').close()",
    ("node", "put a file beside a wallet"): "path = network / 'wallets' / 'w' / 'x'; path.touch(); path.unlink()",
    ("node", "make a wallet its own"): "path = network / 'blocks' / 'x'\n"
    "os.link(network / 'wallets' / 'w' / 'wallet.sqlite', path); path.unlink()",
    ("node", "write beside its directories"): "path = network / 'x'; path.touch(); path.unlink()",
    ("node", "write where sockets are"): "path = network / 'run' / 'x'; path.touch(); path.unlink()",
    ("node", "remove the wallet's socket"): "path = network / 'run' / 'wallet.sock'\n"
    "path.rename(network / 'run' / 'w'); (network / 'run' / 'w').rename(path)",
    ("node", "write the wallet's table"): "(network / 'run' / 'wallet.json').open('r+b').close()",
    ("node", "call the wallet"): "import socket\n"
    "with socket.socket(socket.AF_UNIX) as calling: calling.connect(str(network / 'run' / 'wallet.sock'))",
    ("node", "send a datagram from one of a pair"): "import socket; path = str(network / 'wallets' / 'datagrams')\n"
    "for each in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM):\n    with each: each.sendto(b'', path)",
    ("node", "listen on another port"): "import socket; socket.create_server(('127.0.0.1', 0)).close()",
    # the wallet's
    ("wallet", "open an internet socket"): "import socket; socket.socket(socket.AF_INET).close()",
    ("wallet", "call over the internet"): "import socket; socket.create_connection(('127.0.0.1', port), 5).close()",
    ("wallet", "list blocks"): "os.listdir(network / 'blocks')",
    ("wallet", "read a block file"): "(network / 'blocks' / 'blk00000.dat').read_bytes()",
    ("wallet", "read the coins"): "(network / 'chainstate' / 'CURRENT').read_bytes()",
    ("wallet", "write to the chain"): "(network / 'chainstate' / 'CURRENT').open('r+b').close()",
    ("wallet", "write beside its directory"): "path = network / 'x'; path.touch(); path.unlink()",
    ("wallet", "replace the node's socket"): "import socket; path = network / 'run' / 'x'\n"
    "with socket.socket(socket.AF_UNIX) as mine: mine.bind(str(path))\npath.unlink()",
}
REFUSALS = (
    "PermissionError",
    "OSError: [Errno 97]",
    "OSError: [Errno 18]",
    "OSError: [Errno 1]",
    "OSError: [Errno 13]",
)


@pytest.mark.parametrize(("role", "what"), FORBIDDEN, ids=[f"{role}: {what}" for role, what in FORBIDDEN])
def test_an_intruder_fails_and_would_succeed_without_a_sandbox(
    both: tuple[Workers, Workers], role: str, what: str
) -> None:
    confined, free = both
    code = FORBIDDEN[role, what]
    assert free.attempt(role, code) == "done"
    assert confined.attempt(role, code).startswith(REFUSALS)
    assert confined.attempt(role, code, thread=True).startswith(REFUSALS)


ALLOWED = {
    ("node", "call over the internet"): "import socket; socket.create_connection(('127.0.0.1', port), 5).close()",
    ("node", "look up a name"): "import socket; socket.getaddrinfo('localhost', 8333)",
    ("node", "read a block file"): "(network / 'blocks' / 'blk00000.dat').read_bytes()",
    ("wallet", "read a wallet"): "(network / 'wallets' / 'w' / 'wallet.sqlite').read_bytes()",
    ("wallet", "import late"): "import wave, decimal, encodings.idna",
    ("node", "import late"): "import wave, decimal, encodings.idna",
}


@pytest.mark.parametrize(("role", "what"), ALLOWED, ids=[f"{role}: {what}" for role, what in ALLOWED])
def test_its_own_work_is_allowed(both: tuple[Workers, Workers], role: str, what: str) -> None:
    assert both[0].attempt(role, ALLOWED[role, what]) == "done"


@pytest.mark.parametrize("role", ["node", "wallet"])
def test_it_has_no_core_file_and_no_way_to_more_rights(both: tuple[Workers, Workers], role: str) -> None:
    code = "import resource; result = resource.getrlimit(resource.RLIMIT_CORE)"
    assert both[0].attempt(role, code) == "(0, 0)"
    status = Path(f"/proc/{both[0].processes[role].pid}/status").read_text()
    assert "NoNewPrivs:\t1\n" in status
    assert "Seccomp:\t2\n" in status
    assert both[0].attempt(role, "result = ctypes.CDLL(None).prctl(3)") == "0", "dumpable"


@pytest.mark.parametrize("role", ["node", "wallet"])
def test_health_tells_the_protections_and_its_own_figures(both: tuple[Workers, Workers], role: str) -> None:
    confined = both[0].health(role)
    assert confined.protections[-2:] == [f"Landlock (ABI {landlock.version()})", "seccomp"]
    assert confined.unprotected == []
    descriptors = Path(f"/proc/{both[0].processes[role].pid}/fd")
    if os.access(descriptors, os.R_OK):  # a privileged tester sees what others don't
        assert confined.counters["open_files"] == pytest.approx(len(list(descriptors.iterdir())), abs=3)
    assert confined.counters["write_bytes"] > 0
    seen = psutil.Process(both[0].processes[role].pid)
    assert confined.counters["memory"] == pytest.approx(seen.memory_info().rss, rel=0.2)
    assert confined.counters["threads"] == pytest.approx(seen.num_threads(), abs=3)
    assert confined.counters["cpu_ms"] > 100
    assert both[1].health(role).unprotected == ["everything: -sandbox=off"]


@pytest.mark.parametrize("role", ["node", "wallet"])
def test_strict_refuses_a_kernel_without_landlock_and_auto_says_so(tmp_path: Path, role: str) -> None:
    workers = Workers(tmp_path)
    workers.environment["NO_LANDLOCK"] = "1"
    command = [*workers.command[role], "-regtest", f"-datadir={tmp_path}", *workers.options[role]]
    environment = {**os.environ, **workers.environment}
    strict = subprocess.run(
        [*command, "-sandbox=strict"], env=environment, capture_output=True, text=True, timeout=DEADLINE
    )
    assert strict.returncode == 78
    missing = "the kernel does not control files (Landlock, Linux 5.13)"
    assert f"-sandbox=strict: this process can't be confined as it should: {missing}" in strict.stderr
    try:
        workers.start(role)
        assert workers.health(role).unprotected == [missing]
        assert "seccomp" in workers.health(role).protections
        assert f"Sandbox: missing: {missing}" in workers.log(role)
    finally:
        workers.close()


def is_entered(workers: Workers) -> bool:
    try:
        return workers.attempt("wallet", "pass") == "done"
    except RpcError as error:
        assert error.message == "Method not found", error
        return False


#: What a wallet's process that was broken into may write, for the next one to read.
LISTS = {
    "settings.json": '{"wallet": NAMES}',
    "loaded.json": '{"parent": PARENT, "wallets": NAMES}',
}


@pytest.mark.parametrize("which", LISTS)
def test_a_wallets_process_that_was_broken_into_widens_nobodys_reach(tmp_path: Path, which: str) -> None:
    """What a process reaches comes from the command line: not from a file that another wrote before it was killed."""
    home, own = tmp_path / "home", tmp_path / "named"
    for directory in (home, own):
        directory.mkdir()
        (directory / "key").write_text("secret")
    data = tmp_path / "data"
    data.mkdir()
    network = data / "regtest"
    names = json.dumps([str(home), str(network / "run"), str(network), "/etc", "/", "../../../home"])
    workers = Workers(data, "-sandbox=strict")
    workers.options["wallet"].append(f"-wallet={own}")
    try:
        for role in ("node", "wallet"):
            workers.start(role)
        workers.ask("wallet", "createwallet", "w")
        code = f"""
import json
parent = json.loads((network / 'wallets' / 'loaded.json').read_text())['parent']
text = {LISTS[which]!r}.replace('PARENT', json.dumps(parent)).replace('NAMES', {names!r})
(network / 'wallets' / {which!r}).write_text(text)
"""
        assert workers.attempt("wallet", code) == "done"
        workers.kill("wallet")
        workers.start("wallet")
        wait_for(lambda: is_entered(workers), "the intruder to be in the next process")
        assert workers.attempt("wallet", f"Path({str(own)!r}, 'key').read_text()") == "done", "the owner named it"
        for attempted in (
            f"Path({str(home)!r}, 'key').read_text()",
            f"Path({str(home)!r}, 'key').write_text('mine')",
            f"Path({str(home)!r}, 'new').touch()",
            "os.listdir('/etc/ssl')",
            "(network / 'run' / 'node.json').open('r+b').close()",
            "os.listdir(network)",
        ):
            assert workers.attempt("wallet", attempted).startswith("PermissionError"), attempted
        problems = "\n".join(workers.health("wallet").problems)
        assert f"The wallet {str(home)!r} was not loaded: " in problems
        assert "or name it by -wallet= at the start" in problems
    finally:
        workers.close()


def test_a_backup_goes_where_a_person_says_and_comes_back(both: tuple[Workers, Workers], tmp_path: Path) -> None:
    confined = both[0]
    target = tmp_path / "backup.sqlite"
    for _ in range(2):  # over an earlier one
        confined.ask("wallet", "backupwallet", str(target), wallet="w")
    assert target.stat().st_mode & 0o777 == 0o600
    assert confined.ask("wallet", "restorewallet", "again", str(target)) == {"name": "again"}
    confined.ask("wallet", "unloadwallet", "again")
    assert confined.attempt("wallet", f"Path({str(target)!r}).read_bytes()").startswith("PermissionError")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.sqlite"]


def test_the_process_that_carries_backups_ends_with_the_wallet(tmp_path: Path) -> None:
    workers = started(tmp_path / "one")
    try:
        wallet = workers.processes["wallet"].pid
        children = Path(f"/proc/{wallet}/task/{wallet}/children").read_text().split()
        assert len(children) == 1
        watched = os.pidfd_open(int(children[0]))
        os.kill(wallet, 9)
        assert select.select([watched], [], [], DEADLINE)[0]
        os.close(watched)
    finally:
        workers.close()
