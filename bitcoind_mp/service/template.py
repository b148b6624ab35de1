"""A process that has imported a worker's program, and becomes it in forks of itself as often as it is told to.

Importing is most of a worker's start. What a process is told here, and what a fork must do to be as if it had been
executed, belongs here; when to fork is the service manager's affair (``supervisor/processes/template.py``).

Run as ``python -m bitcoind_mp.service.template MODULE ARGUMENTS``. MODULE has ``preload.preload()``, which imports, and
``__main__.main()``, which runs. Orders come over the socket named `CONTROL` (sd_listen_fds(3)); its end of file ends
the process. Each fork is a grandchild that the order's sender, a subreaper (PR_SET_CHILD_SUBREAPER(2const)), inherits:
to wait for it is the sender's, as for a child of its own.

To fork a process of this size takes as long as all the rest of a restart. So one fork, the *spare*, is there before it
is needed: it takes the next order itself, and the template makes another.
"""

import contextlib
import fcntl
import gc
import importlib
import json
import os
import select
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .activation import FIRST, inherit

#: The control socket's name in LISTEN_FDNAMES.
CONTROL = "template"
#: What a template says once it can fork.
READY = b"ready"
#: More descriptors than this are not handed down: as many places from 3 on are kept free of what imports open.
MOST_FDS = 12
#: One order, at most: a Unix socket's buffer takes it whole (net.core.wmem_default, 212,992 bytes).
_LARGEST_ORDER = 200_000
_LARGEST_REPLY = 64
#: Milliseconds until the next spare is made, unless there is an order for it: the one that got an order needs the
#: processor more.
_REST = 250


@dataclass(frozen=True)
class Order:
    """One process to be made: its command line and environment. Sent along with it: standard output (and error), the
    pipe whose first byte lets it go on (its end of file: nobody wants it any more), then what it is to have from
    descriptor 3 on."""

    argv: Sequence[str]
    environment: Mapping[str, str]

    def send(self, control: socket.socket, descriptors: Sequence[int]) -> None:
        """Raises OSError, EMSGSIZE among it, where it doesn't get through."""
        text = json.dumps([list(self.argv), dict(self.environment)]).encode()
        socket.send_fds(control, [text], list(descriptors))


def serve(control: socket.socket) -> tuple[Order, list[int]] | None:
    """Fork as told. Returns in each fork, with what it is to be; in the process itself None, once nobody is left who
    could give orders."""
    gc.collect()
    gc.freeze()  # what is here now stays: no collection of a fork's is to copy these pages
    try:
        return _serve(control)
    except ConnectionError:  # whoever gave orders was killed, and nobody takes the answer
        return None


def _serve(control: socket.socket) -> tuple[Order, list[int]] | None:
    control.send(READY)
    wanted = select.poll()
    wanted.register(control, select.POLLIN)
    while not any(what & select.POLLHUP for _, what in wanted.poll(0)):
        ours, spares = socket.socketpair()
        pid = _fork()
        if pid == 0:
            ours.close()
            return _await_order(control, spares)
        spares.close()
        with ours, contextlib.suppress(OSError):
            if pid < 0:
                _refuse_order(control)
            else:
                ours.send(b"1")
                ours.recv(1)  # the end of file: it has an order, or has ended
                wanted.poll(_REST)
    return None


def _await_order(control: socket.socket, template: socket.socket) -> tuple[Order, list[int]]:
    """In a spare, until it is needed. Ends it where nobody will."""
    if not template.recv(1):  # only then is whoever gives orders its parent
        os._exit(os.EX_OK)
    data, descriptors, _, _ = socket.recv_fds(control, _LARGEST_ORDER, MOST_FDS + 2)
    if not data:
        os._exit(os.EX_OK)
    os.setpgid(0, 0)  # until now it would have ended with its template
    control.send(b"%d" % os.getpid())
    control.close()
    template.close()
    return Order(*json.loads(data)), descriptors


def _refuse_order(control: socket.socket) -> None:
    """No process can be made: whoever wants one next is told so."""
    _, descriptors, _, _ = socket.recv_fds(control, _LARGEST_ORDER, MOST_FDS + 2)
    for descriptor in descriptors:
        os.close(descriptor)
    control.send(b"-1")


def _fork() -> int:
    """A grandchild: 0 in itself, its pid in the process that called, -1 there where it could not be made.

    The process between the two has ended by then, so that the grandchild is its new parent's already.
    """
    reading, writing = os.pipe()
    between = os.fork()
    if between == 0:
        os.close(reading)
        try:
            child = os.fork()
        except OSError:
            os._exit(os.EX_OSERR)
        if child == 0:
            os.close(writing)
            return 0
        os.write(writing, b"%d" % child)
        os._exit(os.EX_OK)
    os.close(writing)
    text = os.read(reading, _LARGEST_REPLY)
    os.close(reading)
    os.waitpid(between, 0)
    return int(text or b"-1")


def become(order: Order, descriptors: Sequence[int]) -> None:
    """Make a fork what it would be had it been executed: descriptors, environment, command line. Ends it where nobody
    wants it any more."""
    output, go, *handed = descriptors
    if not os.read(go, 1):
        os._exit(os.EX_OK)
    os.close(go)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    for number in range(MOST_FDS):
        if number < len(handed):
            os.dup2(handed[number], FIRST + number, inheritable=False)
            os.close(handed[number])
        else:
            os.close(FIRST + number)
    os.environ.clear()
    os.environ.update(order.environment)
    os.environ["LISTEN_PID"] = os.environ["WATCHDOG_PID"] = str(os.getpid())
    _show(order.argv)


def _command_line() -> tuple[int, int]:
    """Where the process's command line begins and ends in its memory (fields 48 and 49, proc_pid_stat(5))."""
    fields = Path("/proc/self/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    return int(fields[45]), int(fields[46])


def _show(argv: Sequence[str]) -> None:
    """Have ps(1) show this command line, cut to the room that there is. Nothing depends on it."""
    begin, end = _command_line()
    text = b"\0".join(os.fsencode(word) for word in argv)[: end - begin - 1]
    try:
        with Path("/proc/self/mem").open("r+b", buffering=0) as memory:
            memory.seek(begin)
            memory.write(text.ljust(end - begin, b"\0"))
    except OSError:
        return


def _keep_places_free(control: socket.socket) -> socket.socket:
    """Move the control socket out of the way of what forks get, and let nothing that imports open come there."""
    moved = socket.socket(fileno=fcntl.fcntl(control.fileno(), fcntl.F_DUPFD_CLOEXEC, FIRST + MOST_FDS))
    control.close()
    moved.setblocking(True)
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for place in range(FIRST, FIRST + MOST_FDS):
        if place != nothing:
            os.dup2(nothing, place, inheritable=False)
    return moved


def main() -> None:
    """Until a fork has run to its end, or nobody can give orders any more."""
    given = inherit(os.environ, pid=os.getpid()).socket(CONTROL)
    if given is None or len(sys.argv) < 2:
        sys.exit("Error: this is for a supervisor to run: see -preload in bitcoind-mp(1).")
    control = _keep_places_free(given)
    module = sys.argv[1]
    importlib.import_module(f"{module}.preload").preload()
    program = importlib.import_module(f"{module}.__main__")
    found = serve(control)
    if found is None:
        return
    order, descriptors = found
    become(order, descriptors)
    sys.argv = [module, *order.argv[order.argv.index(module) + 1 :]]
    program.main()


if __name__ == "__main__":
    main()
