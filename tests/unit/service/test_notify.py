import asyncio
import os
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


def test_what_a_busy_manager_has_no_room_for_it_hears_later(tmp_path: Path) -> None:
    """Each worker's READY=1 gets through, though the kernel queues a few datagrams only (net.unix.max_dgram_qlen)."""
    path = str(tmp_path / "notify")

    async def scenario(manager: socket.socket) -> list[bytes]:
        other = Notifier(path)
        for number in range(2000):  # whatever the length of the queue is
            other.send(f"X_NUMBER={number}")
        reading, writing = os.pipe()
        notify = Notifier(path)
        notify.status("first")
        notify.store("wallet", reading)
        notify.ready("up")
        notify.reloading(5)
        for number in range(1000):
            notify.watchdog()
            notify.status(f"status {number}")
        notify.ready("up")
        other.close()
        loop = asyncio.get_running_loop()
        found: list[bytes] = []
        async with asyncio.timeout(20):
            while found.count(b"READY=1\nSTATUS=up") < 2:
                data = await loop.sock_recv(manager, 4096)
                if not data.startswith(b"X_NUMBER"):
                    found.append(data)
        notify.close()
        os.close(reading)
        os.close(writing)
        return found

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as manager:
        manager.bind(path)
        found = asyncio.run(scenario(manager))
    assert found == [
        b"FDSTORE=1\nFDNAME=wallet",
        b"READY=1\nSTATUS=up",
        b"RELOADING=1\nMONOTONIC_USEC=5",
        b"WATCHDOG=1",
        b"STATUS=status 999",
        b"READY=1\nSTATUS=up",
    ]
