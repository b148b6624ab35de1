import socket
from pathlib import Path

import pytest

from bitcoind_mp.service.notify import Notifier, from_environment, watchdog_interval


def test_each_notice_is_a_datagram(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(5)
        environ = {"NOTIFY_SOCKET": path, "HOME": "/"}
        notify = from_environment(environ)
        assert notify.connected and environ == {"HOME": "/"}
        notify.ready("synced\nat 5")
        notify.status("working")
        notify.watchdog()
        notify.extend_timeout(1.5)
        notify.reloading(77)
        notify.stopping()
        notify.send("MAINPID=5")
        got = [manager.recv(1000) for _ in range(7)]
        assert got == [
            b"READY=1\nSTATUS=synced at 5",
            b"STATUS=working",
            b"WATCHDOG=1",
            b"EXTEND_TIMEOUT_USEC=1500000",
            b"RELOADING=1\nMONOTONIC_USEC=77",
            b"STOPPING=1",
            b"MAINPID=5",
        ]
        notify.close()
        notify.ready()
        assert not notify.connected


def test_an_abstract_address_works() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("")
        manager.settimeout(5)
        name = manager.getsockname()
        notify = Notifier("@" + name[1:].decode())
        notify.ready()
        assert manager.recv(100) == b"READY=1"
        notify.close()


@pytest.mark.parametrize("address", ["", "relative", "/nosuch/socket"])
def test_nobody_to_tell_is_no_error(address: str) -> None:
    notify = Notifier(address)
    notify.ready("x")
    notify.watchdog()
    notify.close()


def test_a_manager_that_does_not_read_is_not_waited_for(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        notify = Notifier(path)
        for _ in range(10_000):
            notify.status("x" * 1000)
        notify.close()


@pytest.mark.parametrize(
    "environ, seconds",
    [
        ({}, 0),
        ({"WATCHDOG_USEC": "2000000"}, 2),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "42"}, 2),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "41"}, 0),
        ({"WATCHDOG_USEC": "x"}, 0),
    ],
)
def test_the_watchdog_s_time(environ: dict[str, str], seconds: float) -> None:
    assert watchdog_interval(environ, pid=42) == seconds
    assert environ == {}
