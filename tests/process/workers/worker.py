"""A worker that does nothing but obey: systemd's protocols in plain Python, and a socket that says what to do wrong.

``worker.py NAME PLAN``: PLAN is a JSON file, read at each start. It imports nothing of ours: what it understands
is what any systemd service would.

    {"exit": 78, "say": "last words"}   end at once
    {"ready": false}                    never say READY=1
    {"ignore": ["SIGTERM"]}             signals to ignore
    {"lifeline": false}                 don't look at the lifeline
    {"store": false}                    don't hand the listening socket over at SIGHUP
    {"ends": false}                     nor the ends of channels
    {"stop_delay": 0.5}                 seconds between STOPPING=1 and the end
    {"watchdog": false}                 never say WATCHDOG=1
"""

import array
import contextlib
import faulthandler
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path


def open_descriptors() -> list:
    """(number, what it is) of each."""
    found = []
    for number in range(1024):
        with contextlib.suppress(OSError):
            found.append((number, str(Path(f"/proc/self/fd/{number}").readlink())))
    return found


BORN = time.monotonic()
INHERITED = open_descriptors()
#: What a preloaded one found when it was loaded.
LOADED = None
NO_SOCKETS = ("lifeline", "configuration")


class Worker:
    def __init__(self, name: str, plan: dict) -> None:
        self.name = name
        self.plan = plan
        self.selector = selectors.DefaultSelector()
        self.problems: list[str] = []
        self.running = True
        self.reloads = 0
        self.categories: set[str] = set()
        address = os.environ["NOTIFY_SOCKET"]
        self.notify_socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog = int(os.environ.get("WATCHDOG_USEC", "0")) / 2e6 if plan.get("watchdog", True) else 0

    def notify(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the supervisor may be gone
            self.notify_socket.sendto(text.encode(), self.address)

    def inherit(self) -> None:
        assert os.environ["LISTEN_PID"] == str(os.getpid())
        names = os.environ["LISTEN_FDNAMES"].split(":")
        assert os.environ["LISTEN_FDS"] == str(len(names))
        self.inherited = [(name, 3 + place) for place, name in enumerate(names) if name not in NO_SOCKETS]
        listener = socket.socket(fileno=3 + names.index(self.name))
        listener.setblocking(False)
        self.selector.register(listener, selectors.EVENT_READ, self.accept)
        if "lifeline" in names and self.plan.get("lifeline", True):
            self.lifeline = 3 + names.index("lifeline")
            self.selector.register(self.lifeline, selectors.EVENT_READ, self.lifeline_ended)

    def signals(self) -> None:
        reading, self.wakeup = socket.socketpair()
        reading.setblocking(False)
        self.wakeup.setblocking(False)
        signal.set_wakeup_fd(self.wakeup.fileno())
        self.selector.register(reading, selectors.EVENT_READ, self.signalled)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        for word in self.plan.get("ignore", []):
            signal.signal(signal.Signals[word], signal.SIG_IGN)

    def signalled(self, reading: socket.socket) -> None:
        for number in reading.recv(100):
            with contextlib.suppress(BrokenPipeError):  # nobody may read it at present
                print(f"got {signal.Signals(number).name}", flush=True)
            if number == signal.SIGHUP:
                self.reloads += 1
                self.notify("RELOADING=1")
                self.notify(f"WATCHDOG_USEC={round(self.watchdog * 2e6)}")
                self.store()
                self.notify("READY=1")
            else:
                self.stop()

    def store(self) -> None:
        """sd_pid_notify_with_fds(3): the listening socket and the ends of channels, for the manager to keep."""
        for name, descriptor in reversed(self.inherited):
            if self.plan.get("store" if name == self.name else "ends", True):
                with contextlib.suppress(OSError):
                    text = b"FDSTORE=1\nFDNAME=" + name.encode()
                    along = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))
                    self.notify_socket.sendmsg([text], [along], 0, self.address)

    def lifeline_ended(self, lifeline: int) -> None:
        if os.read(lifeline, 1) == b"":
            self.selector.unregister(lifeline)
            self.stop()

    def stop(self) -> None:
        self.notify("STOPPING=1")
        time.sleep(self.plan.get("stop_delay", 0))
        self.running = False

    def accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return
        connection.setblocking(True)
        self.selector.register(connection, selectors.EVENT_READ, self.serve)

    def serve(self, connection: socket.socket) -> None:
        try:
            self.answer_all(connection)
        except ConnectionError:  # a caller that was killed before it had read an answer, or left
            self.selector.unregister(connection)
            connection.close()

    def answer_all(self, connection: socket.socket) -> None:
        """What a caller has sent. Raises ConnectionError."""
        data = b""
        while not data.endswith(b"\n"):
            piece = connection.recv(65536)
            if not piece:
                raise ConnectionResetError("it left")
            data += piece
        for line in data.splitlines():
            self.answer(connection, json.loads(line))

    def answer(self, connection: socket.socket, request: dict) -> None:
        method = request["method"].replace(".", "_")
        result = getattr(self, f"do_{method}")(*(request.get("params") or []))
        if "id" in request:
            reply = {"jsonrpc": "2.0", "result": result, "id": request["id"]}
            connection.sendall(json.dumps(reply).encode() + b"\n")

    def do_init_handshake(self, hello: dict) -> dict:
        return {**hello, "role": self.name, "pid": os.getpid()}

    def do_health_check(self) -> dict:
        return {"status": f"{self.name} is fine", "problems": self.problems, "counters": {"open_files": 7}}

    def do_node_watch(self, after: str, watcher: int) -> str:
        return ""

    def do_wallets_watch(self, fresh: bool, watcher: int) -> None:
        """There is never anything to tell."""

    def do_cut_lifeline(self) -> None:
        """As somebody would who shuts down whatever it has open."""
        with socket.socket(fileno=os.dup(self.lifeline)) as line:
            line.shutdown(socket.SHUT_RDWR)

    def do_pid(self) -> int:
        return os.getpid()

    def do_reloads(self) -> int:
        return self.reloads

    def do_configuration(self) -> dict:
        """What it was handed of the configuration files, by name."""
        names = os.environ["LISTEN_FDNAMES"].split(":")
        return json.loads(os.pread(3 + names.index("configuration"), 1 << 20, 0))

    def do_spoil(self) -> list:
        """Try to change that, by the descriptor and by its name; the error of each."""
        descriptor = 3 + os.environ["LISTEN_FDNAMES"].split(":").index("configuration")
        place = f"/proc/self/fd/{descriptor}"
        tries = (
            lambda: os.pwrite(descriptor, b"x", 0),
            lambda: os.ftruncate(descriptor, 0),
            lambda: os.pwrite(os.open(place, os.O_RDWR), b"x", 0),
            lambda: os.truncate(place, 0),
        )
        found = []
        for each in tries:
            try:
                each()
            except OSError as error:
                found.append(error.strerror)
        return found

    def do_environ(self) -> dict:
        return dict(os.environ)

    def do_loaded(self) -> str | None:
        return LOADED

    def do_born(self) -> float:
        """Its first instruction, by CLOCK_MONOTONIC."""
        return BORN

    def do_inherited(self) -> list:
        return INHERITED

    def do_problems(self, *problems: str) -> None:
        self.problems = list(problems)

    def do_help(self, command: str = "") -> str:
        return f"{self.name} helps with {command}"

    def do_logging(self, include: list = (), exclude: list = ()) -> dict:
        self.categories = (self.categories | set(include)) - set(exclude)
        return {name: name in self.categories for name in ("net", self.name)}

    def do_say(self, text: str, times: int = 1) -> None:
        for _ in range(times):
            print(text, flush=True)

    def do_notify(self, text: str) -> None:
        self.notify(text)

    def do_raw_notify(self, hexadecimal: str) -> None:
        self.notify_socket.sendto(bytes.fromhex(hexadecimal), self.address)

    def do_barrier(self) -> str:
        """sd_notify_barrier(3): the manager closes the descriptor it is sent once it has read what came before."""
        reading, writing = os.pipe()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
            sending.connect(self.address)
            socket.send_fds(sending, [b"BARRIER=1"], [writing])
        os.close(writing)
        return os.read(reading, 1).hex()

    def do_stranger_notifies(self, text: str) -> None:
        """Another process sends it, as a child of ours would."""
        code = (
            "import socket,sys,os; s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); a=os.environ['NOTIFY_SOCKET']; "
        )
        code += "s.sendto(sys.argv[1].encode(), '\\0'+a[1:] if a[0]=='@' else a)"
        subprocess.run([sys.executable, "-c", code, text], check=True)

    def do_hang(self) -> None:
        the_loop_hangs_here()

    def do_exit(self, code: int) -> None:
        os._exit(code)

    def do_eat(self, size: int) -> None:
        """Hold so much memory."""
        self.eaten = bytearray(b"x") * size

    def do_argv(self) -> list:
        return sys.argv

    def do_child(self) -> int:
        return subprocess.Popen(["sleep", "1000"]).pid

    def do_runaway(self) -> int:
        """A child that leaves the process group and ends when its standard input does."""
        made = subprocess.Popen(["cat"], stdin=subprocess.PIPE, start_new_session=True)
        self.runaway = made  # its stdin stays open as long as we live
        return made.pid

    def feed(self) -> None:
        """One turn after the other until stopped."""
        due = time.monotonic()
        while self.running:
            if self.watchdog and time.monotonic() >= due:
                self.notify("WATCHDOG=1")
                due = time.monotonic() + self.watchdog
            for key, _ in self.selector.select(max(0, due - time.monotonic()) if self.watchdog else None):
                key.data(key.fileobj)


def the_loop_hangs_here() -> None:
    while True:
        time.sleep(1000)


def main() -> None:
    name, plan_path = sys.argv[1:3]
    faulthandler.enable()
    plan = json.loads(Path(plan_path).read_text())
    if "say" in plan:
        print(plan["say"], flush=True)
    if "exit" in plan:
        os._exit(plan["exit"])
    worker = Worker(name, plan)
    worker.signals()
    worker.inherit()
    if plan.get("ready", True):
        worker.notify("READY=1\nSTATUS=at your service")
    worker.feed()
    Path(plan_path).with_suffix(".stopped").write_text(str(os.getpid()))


if __name__ == "__main__":
    main()
