"""NOTIFY_SOCKET, with real senders: workers, their children, and strangers."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_garbage_from_a_worker_changes_nothing(supervisor: Any) -> None:
    supervisor.start()
    pid = supervisor.pid("node")
    for message in (b"\xff\xfe", b"", b"READY", b"X" * 4000, b"Y" * 100_000, b"STOPPING=2\nMAINPID=1", b"=\n=\n="):
        supervisor.worker("node", "raw_notify", message.hex())
    supervisor.worker("node", "notify", "STATUS=still here")
    found = supervisor.unit("node")
    assert (found["state"], found["pid"], found["status"]) == ("running", pid, "still here")


def test_strangers_are_refused(supervisor: Any, until: Callable[..., Any]) -> None:
    supervisor.start()
    address = supervisor.worker("node", "environ")["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        for _ in range(20):
            stranger.sendto(b"STOPPING=1\nSTATUS=I am the node", address)
    supervisor.worker("node", "stranger_notifies", "STOPPING=1")
    until(lambda: supervisor.status()["supervisor"]["refused_notifications"] == 21)
    assert [unit["status"] for unit in supervisor.status()["units"]] == ["at your service"] * 2
    assert [unit["state"] for unit in supervisor.status()["units"]] == ["running"] * 2
    assert supervisor.log("supervisor").count("refused a notification") == 5, "counted, not logged each time"


def test_one_worker_cannot_speak_for_the_other(supervisor: Any, until: Callable[..., Any]) -> None:
    supervisor.start()
    supervisor.worker("wallet", "notify", "STATUS=wallet speaking")
    until(lambda: supervisor.unit("wallet")["status"] == "wallet speaking")
    assert supervisor.unit("node")["status"] == "at your service"


def test_what_was_said_just_before_the_end_still_counts(supervisor: Any) -> None:
    supervisor.plan("node", ready=False)
    supervisor.start(ready=False)
    supervisor.wait_state("wallet", "running")
    old = supervisor.wait_state("node", "starting")["pid"]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(supervisor.socket("node"))
        connection.sendall(
            b'{"jsonrpc":"2.0","method":"notify","params":["READY=1"]}\n'
            b'{"jsonrpc":"2.0","method":"say","params":["last words"]}\n'
            b'{"jsonrpc":"2.0","method":"exit","params":[3],"id":1}\n'
        )
        supervisor.plan("node")
        supervisor.wait_new("node", old)
    log = supervisor.log("supervisor")
    assert "node: ready" in log.split("exit status 3")[0]
    assert "last words" in supervisor.log("node")


def test_a_barrier_is_lifted(supervisor: Any) -> None:
    supervisor.start()
    assert supervisor.worker("node", "barrier") == ""


def test_a_deep_data_directory_works_as_well(supervisor: Any, tmp_path: Path) -> None:
    """Every socket's path is longer than the 107 bytes that the kernel takes."""
    deep = type(supervisor)(tmp_path / ("d" * 60) / ("e" * 60))
    try:
        deep.start()
        assert deep.worker("node", "environ")["NOTIFY_SOCKET"].startswith("@")
        assert deep.worker("node", "pid") == deep.pid("node")
        assert deep.stop() == 0
    finally:
        deep.kill_all()
