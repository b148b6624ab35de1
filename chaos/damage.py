"""Faults that no process suffers by itself: a full disk, cut connections, garbage, torn files."""

import contextlib
import ctypes
import os
import random
import resource
import socket
import struct
import time
from functools import partial
from pathlib import Path

from bitcoind_mp.ipc.wire.plain import Connection

from .daemon import Daemon
from .disk import SmallDisk
from .faults import ALL, Fault, NotPossibleError

#: How long a disk stays full. Seconds.
FULL = (0.5, 2.0)
#: The system call's number, the same on every architecture (no wrapper in Python).
_PIDFD_GETFD = 438
#: The pid in a struct ucred, and its size.
_PID, _CREDENTIALS = struct.Struct("@i"), 12

GARBAGE = (
    b"\x00\xff\xfe\x80" * 64 + b"\n",
    b"not json\n",
    b'{"jsonrpc": "2.0", "id": 1, "method": "getbal',
    b'{"jsonrpc":"2.0","id":1,"method":"sendtoaddress","params":{"address":[[[]]],"amount":{}}}\n',
    b'{"jsonrpc":"2.0","id":1,"method":"no.such","params":[]}\n',
    b'{"id":{},"method":7,"params":"x"}\n[]\n[1,2,3]\nnull\n"x"\n',
    b"[" * 100_000 + b"\n",
    b'{"jsonrpc":"2.0","id":1,"method":"init.handshake","params":[{"role":"node","protocol":-1}]}\n',
    b'{"jsonrpc":"2.0","id":1,"method":"chain.follow","params":[[],[]]}\n',
    b'{"jsonrpc":"2.0","id":1,"method":"getblock","params":["' + b"00" * 400_000 + b'"]}\n',
    b'{"jsonrpc":"2.0","id":99,"result":true}\n' * 50,
)


def fill_disk(daemon: Daemon, chance: random.Random, disk: SmallDisk | None) -> None:
    if disk is None:
        raise NotPossibleError("only root may mount a small file system; each process's files are bounded instead")
    disk.fill()
    try:
        time.sleep(chance.uniform(*FULL))
    finally:
        disk.free()


def bound_files(daemon: Daemon, chance: random.Random, name: str) -> None:
    """No file of that process may grow (RLIMIT_FSIZE): a full disk for it alone."""
    pid = daemon.pid(name)
    if not pid:
        raise NotPossibleError(f"the {name} had ended just then")
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    try:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, before[1]))
        time.sleep(chance.uniform(*FULL))
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def cut_connections(daemon: Daemon, chance: random.Random, name: str) -> None:
    """Shut down every connection that the process has over a Unix socket, listeners apart, under its hands."""
    pid = daemon.pid(name)
    libc = ctypes.CDLL(None, use_errno=True)
    cut = 0
    pidfd = os.pidfd_open(pid)
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if not str(entry.readlink()).startswith("socket:"):
                    continue
                descriptor = libc.syscall(_PIDFD_GETFD, pidfd, int(entry.name), 0)
                if descriptor < 0:
                    raise NotPossibleError(f"pidfd_getfd(2) is refused: {os.strerror(ctypes.get_errno())}")
                cut += shut(socket.socket(fileno=descriptor), pid)
    finally:
        os.close(pidfd)
    if not cut:
        raise NotPossibleError(f"the {name} had no connection just then")


def shut(borrowed: socket.socket, pid: int) -> bool:
    """Shut it down if it is a connection of that process's with another, as a broken one would be."""
    with borrowed:
        stream = borrowed.family == socket.AF_UNIX and borrowed.type == socket.SOCK_STREAM
        if not stream or borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return False
        (maker,) = _PID.unpack_from(borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS))
        if not borrowed.getsockname() and not borrowed.getpeername() and maker == pid:  # the event loop's own pair
            return False
        borrowed.shutdown(socket.SHUT_RDWR)
        return True


def hang_up(daemon: Daemon, chance: random.Random, name: str) -> None:
    """Callers that close after a request, after half of one, and in the middle of a long answer."""
    questions = {"node": "getblock", "wallet": "listwallets", "signer": "getsignerinfo", "supervisor": "status"}
    question = questions[name.partition("@")[0]]
    params = f'["{daemon.ask("node", "getbestblockhash")}",2]' if name == "node" else "[]"
    line = f'{{"jsonrpc":"2.0","id":1,"method":"{question}","params":{params}}}'.encode()
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(daemon.socket(name))
            whole = line + b"\n"
            caller.sendall(whole[: chance.choice((len(whole) // 2, len(whole), len(whole)))])
            if chance.random() < 0.5:
                caller.settimeout(0.2)
                with contextlib.suppress(TimeoutError):
                    caller.recv(10)


def remove_socket(daemon: Daemon, chance: random.Random, name: str) -> None:
    """Unlink the socket file, as a cleaner of temporary files would."""
    Path(daemon.socket(name)).unlink(missing_ok=True)


def feed(daemon: Daemon, chance: random.Random, name: str) -> None:
    """Garbage on a role's socket, a connection for each kind, while another caller is served."""
    kept = Connection(daemon.socket(name))
    kept.send(b'{"jsonrpc":"2.0","id":1,"method":"uptime","params":[]}')
    for piece in chance.sample(GARBAGE, len(GARBAGE)):
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(daemon.socket(name))
            caller.settimeout(0.1)
            with contextlib.suppress(OSError):
                caller.sendall(piece)
                caller.recv(4096)
    with contextlib.closing(kept), contextlib.suppress(ConnectionError):
        kept.receive(10.0)


def feed_notify(daemon: Daemon, chance: random.Random) -> None:
    """Datagrams to the supervisor's notify socket, from nobody's worker."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        for text in (b"READY=1", b"\xff\xfe", b"MAINPID=1", b"STOPPING=1\nSTATUS=" + b"x" * 4000, b"WATCHDOG=trigger"):
            sender.sendto(text, str(daemon.run_dir / "notify"))


def feed_peer(daemon: Daemon, chance: random.Random, port: int) -> None:
    """Garbage on the port that the node listens on for peers."""
    for piece in (chance.randbytes(2000), b"GET / HTTP/1.1\r\n\r\n", bytes.fromhex("fabfb5da") + chance.randbytes(500)):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2) as peer:
            peer.sendall(piece)
            peer.settimeout(0.2)
            peer.recv(4096)


def tear_table(daemon: Daemon, chance: random.Random, name: str) -> None:
    """Cut, emptied, overwritten or removed: the table of commands beside a socket."""
    table = daemon.table(name)
    text = table.read_bytes()
    torn = chance.choice((text[: len(text) // 2], b"", chance.randbytes(300), None))
    if torn is None:
        table.unlink()
    else:
        table.write_bytes(torn)


def damages(disk: SmallDisk | None, port: int, more: tuple[str, ...] = ()) -> list[Fault]:
    """Those of this file. ``more``: further units."""
    found = [
        Fault("disk full", "everything", lambda d, c: fill_disk(d, c, disk)),
        Fault("garbage", "notify socket", feed_notify),
        Fault("garbage", "peer port", lambda d, c: feed_peer(d, c, port)),
    ]
    for name in (*ALL, *more):
        found += [
            Fault("files can't grow", name, partial(bound_files, name=name)),
            Fault("connections cut", name, partial(cut_connections, name=name)),
            Fault("callers hang up", name, partial(hang_up, name=name)),
            Fault("garbage", name, partial(feed, name=name)),
            Fault("table torn", name, partial(tear_table, name=name)),
            Fault("socket file removed", name, partial(remove_socket, name=name)),
        ]
    return found
