"""Callers of a unit that is restarted, or upgraded under them: they wait, and none is refused, be it that they call
anew each time or keep a connection open for days."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from harness import DEADLINE, Daemon, wait_until


class Connection:
    """A program's own connection to a socket: no library of ours, no second attempt."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(DEADLINE)
        self._socket.connect(path)
        self._answers = self._socket.makefile("rb")

    def send(self, method: str, params: list[Any] = [], wallet: str | None = None) -> None:  # noqa: B006
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        if wallet is not None:
            request["wallet"] = wallet
        self._socket.sendall(json.dumps(request).encode() + b"\n")

    def answer(self) -> Any:
        """The result, or the error's code and message."""
        message: dict[str, Any] = {"method": ""}
        while "method" in message:  # how a long call gets on
            line = self._answers.readline()
            if not line:
                raise EOFError("the connection ended")
            message = json.loads(line)
        return message["result"] if "error" not in message else (message["error"]["code"], message["error"]["message"])

    def ask(self, method: str, params: list[Any] = [], wallet: str | None = None) -> Any:  # noqa: B006
        self.send(method, params, wallet)
        return self.answer()

    def close(self) -> None:
        self._answers.close()
        self._socket.close()


class Asking(threading.Thread):
    """Asks again and again: over one connection, or each time over a new one. ``failed`` is what went wrong."""

    def __init__(self, path: str, ask: Callable[[Connection], Any], *, stays: bool, pause: float) -> None:
        super().__init__(daemon=True)
        self._path = path
        self._ask = ask
        self._stays = stays
        self._pause = pause
        self.answered = 0
        self.failed: list[Any] = []
        self.done = threading.Event()

    def run(self) -> None:
        connection = Connection(self._path) if self._stays else None
        while not self.done.wait(self._pause):
            try:
                calling = connection or Connection(self._path)
                answer = self._ask(calling)
                if connection is None:
                    calling.close()
            except (OSError, EOFError) as error:
                self.failed.append(repr(error))
                return
            if isinstance(answer, tuple):
                self.failed.append(answer)
            else:
                self.answered += 1
        if connection is not None:
            connection.close()


@pytest.fixture(params=["one process", "a process for each"], scope="module")
def daemon(request: Any, tmp_path_factory: Any) -> Iterator[Daemon]:
    """Every test leaves it as it was."""
    each = ["-walletprocess=each"] if request.param == "a process for each" else []
    made = Daemon(tmp_path_factory.mktemp("stay") / "data", "-fallbackfee=0.0002", *each)
    made.start()
    made.wallet(None, "createwallet", "w")
    made.node("generatetoaddress", 120, made.wallet("w", "getnewaddress"))
    made.each = each  # type: ignore[attr-defined]
    yield made
    made.clean_up()


def test_nobody_is_refused_while_everything_is_replaced(daemon: Daemon) -> None:
    address = daemon.wallet("w", "getnewaddress")
    node, wallet, supervisor = (daemon.socket(role) for role in ("node", "wallet", "supervisor"))
    asking = [
        Asking(path, ask, stays=stays, pause=pause)
        for stays in (True, False)
        for path, pause, ask in (
            (node, 0.005, lambda to: to.ask("getblockcount")),
            (node, 0.3, lambda to: to.ask("generatetoaddress", [1, address])),
            (wallet, 0.005, lambda to: to.ask("listwallets")),
            (wallet, 0.02, lambda to: to.ask("getbalances", wallet="w")),
            (wallet, 0.02, lambda to: to.ask("sendtoaddress", [address, 0.001], wallet="w")),
            (supervisor, 0.02, lambda to: to.ask("status")),
        )
    ]
    for each in asking:
        each.start()

    def some_more() -> None:
        before = [each.answered for each in asking]
        wait_until(
            "each is answered once more",
            lambda: (
                any(each.failed for each in asking)
                or all(now.answered > then for now, then in zip(asking, before, strict=True))
            ),
        )
        assert [each.failed for each in asking if each.failed] == []

    some_more()
    for unit in ("wallet", "node", *(["wallet@w"] if daemon.each else [])):  # type: ignore[attr-defined]
        old = daemon.pid(unit)
        daemon.supervisor("restart", unit)
        some_more()
        assert daemon.pid(unit) != old
    daemon.run("bitcoind-mp", "reload", "--exec")
    some_more()
    for each in asking:
        each.done.set()
    for each in asking:
        each.join(DEADLINE)
    assert [each.failed for each in asking if each.failed] == []
    assert daemon.tracebacks() == []


def test_what_is_said_to_a_unit_that_is_stopped_is_answered_as_to_anybody_who_calls(daemon: Daemon) -> None:
    staying = Connection(daemon.socket("wallet"))
    assert staying.ask("listwallets") == ["w"]
    daemon.supervisor("stop", "wallet")
    code, message = staying.ask("listwallets")
    assert code == -9
    assert message.startswith("The wallet is stopped. Start it with:")
    with pytest.raises(EOFError):
        staying.answer()
    daemon.supervisor("start", "wallet")


def test_a_connection_is_not_kept_by_who_is_gone(daemon: Daemon) -> None:
    """Callers that hung up while their unit was away leave nothing behind, in the supervisor or its workers."""
    supervisor = daemon.supervisor("status")["supervisor"]["pid"]
    staying = [Connection(daemon.socket("node")) for _ in range(20)]
    for each in staying:
        assert each.ask("getblockcount") >= 120
    before = len(list(Path(f"/proc/{supervisor}/fd").iterdir()))
    daemon.supervisor("restart", "node")
    for each in staying:
        each.close()
    daemon.supervisor("restart", "node")
    assert daemon.node("getblockcount") >= 120

    def sockets() -> int:
        found = 0
        with suppress(OSError):
            for entry in Path(f"/proc/{daemon.pid('node')}/fd").iterdir():
                found += "socket:" in str(entry.readlink())
        return found

    wait_until("the node has let them go", lambda: sockets() < 20)
    wait_until("and the supervisor", lambda: len(list(Path(f"/proc/{supervisor}/fd").iterdir())) <= before)
