"""NOTIFY_SOCKET: what is understood, from whom, and what becomes of the rest."""

import os
import random
import socket
from pathlib import Path

import pytest

from bitcoind_mp.supervisor.processes.notify import Allowance, Datagram, NotifySocket, parse
from bitcoind_mp.supervisor.units import events as ev


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"READY=1", [ev.Ready()]),
        (b"READY=1\nSTATUS=synced at height 112\n", [ev.Ready(), ev.Status("synced at height 112")]),
        (b"STATUS=a=b", [ev.Status("a=b")]),
        (b"STATUS=", [ev.Status("")]),
        (b"WATCHDOG=1", [ev.WatchdogPing()]),
        (b"WATCHDOG=trigger", [ev.WatchdogTrigger()]),
        (b"WATCHDOG_USEC=20000000", [ev.WatchdogInterval(20)]),
        (b"EXTEND_TIMEOUT_USEC=1500000", [ev.ExtendTimeout(1.5)]),
        (b"RELOADING=1\nMONOTONIC_USEC=12", [ev.ReloadStarted()]),
        (b"STOPPING=1", [ev.StopStarted()]),
        (b"MAINPID=1\nERRNO=2\nX_OURS=3\nFDSTORE=1", []),
    ],
)
def test_what_systemd_understands(message: bytes, expected: list[ev.Event]) -> None:
    assert parse(message) == expected


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\n\n\n",
        b"READY",
        b"READY=0",
        b"READY=yes",
        b"ready=1",
        b" READY=1",
        b"=READY",
        b"EXTEND_TIMEOUT_USEC=",
        b"EXTEND_TIMEOUT_USEC=-5",
        b"EXTEND_TIMEOUT_USEC=1e9",
        b"EXTEND_TIMEOUT_USEC=" + b"9" * 4000,
        "EXTEND_TIMEOUT_USEC=١٢".encode(),
        b"WATCHDOG=2",
        b"WATCHDOG_USEC=soon",
        b"\x00\xff\xfe",
        bytes(range(256)),
    ],
)
def test_what_nobody_understands_is_passed_over(message: bytes) -> None:
    assert parse(message) == []


def test_a_good_line_among_bad_ones_counts() -> None:
    assert parse(b"\xff\xff\nREADY=2\nREADY=1\nEXTEND_TIMEOUT_USEC=x") == [ev.Ready()]


def test_a_status_is_one_printable_line_of_bounded_length() -> None:
    (status,) = parse(b"STATUS=\x1b[31mred\x07\xff" + b"x" * 4000)
    assert isinstance(status, ev.Status)
    assert status.text.isprintable()
    assert status.text.startswith("[31mred")
    assert len(status.text) <= 400


def test_no_worker_gets_more_than_a_day_at_once() -> None:
    assert parse(b"EXTEND_TIMEOUT_USEC=99999999999999999999") == [ev.ExtendTimeout(86400)]


def test_a_message_tells_of_each_thing_once() -> None:
    """Else four thousand bytes were five hundred changes of state."""
    assert parse(b"RELOADING=1\nREADY=1\n" * 200) == [ev.ReloadStarted(), ev.Ready()]
    assert parse(b"".join(b"STATUS=%d\n" % number for number in range(30))) == [ev.Status("29")]
    assert parse(b"\n" * 1000 + b"READY=1") == []


def test_who_says_little_may_go_on_for_ever_and_who_says_much_may_not() -> None:
    quiet, busy, flooding = Allowance(), Allowance(), Allowance()
    assert all(quiet.take(1e6 + second) for second in range(100_000))
    assert all(busy.take(1e6 + number / 20) for number in range(100_000))
    assert sum(flooding.take(1e6 + number / 1000) for number in range(100_000)) < 10_000
    assert flooding.take(2e6), "it may again, after a pause"


def test_any_bytes_give_events_or_nothing() -> None:
    chance = random.Random(1)
    pieces = [
        b"READY",
        b"STATUS",
        b"=",
        b"\n",
        b"1",
        b"WATCHDOG_USEC",
        b"EXTEND_TIMEOUT_USEC",
        b"\xff",
        b"-",
        b"9" * 30,
    ]
    for _ in range(3000):
        message = b"".join(chance.choices(pieces, k=chance.randrange(12))) + chance.randbytes(chance.randrange(4))
        for event in parse(message):
            assert type(event).__name__ in ev.__dict__


@pytest.fixture
def notify(tmp_path: Path) -> NotifySocket:
    return NotifySocket(tmp_path)


def send(address: str, message: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
        sending.sendto(message, "\0" + address[1:] if address.startswith("@") else address)


def test_a_message_carries_its_senders_pid(notify: NotifySocket) -> None:
    send(notify.address, b"READY=1")
    child = os.fork()
    if not child:
        send(notify.address, b"STATUS=child")
        os._exit(0)
    os.waitpid(child, 0)
    assert list(notify.receive()) == [Datagram(os.getpid(), b"READY=1"), Datagram(child, b"STATUS=child")]
    notify.close()


def test_nothing_waits_and_nothing_blocks(notify: NotifySocket) -> None:
    assert list(notify.receive()) == []
    notify.close()


def test_a_message_that_is_too_long_counts_for_nothing(notify: NotifySocket) -> None:
    send(notify.address, b"READY=1\n" + b"x" * 5000)
    assert list(notify.receive()) == [Datagram(os.getpid(), b"")]
    notify.close()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_descriptors_sent_along_are_handed_on_and_never_more_than_there_is_room_for(notify: NotifySocket) -> None:
    reading, writing = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
        sending.connect(notify.address)
        before = descriptors()
        socket.send_fds(sending, [b"BARRIER=1"], [writing] * 100)
        (message,) = notify.receive()
        assert message.text == b"BARRIER=1"
        assert descriptors() == before + len(message.descriptors)
        assert 0 < len(message.descriptors) < 100
        for descriptor in message.descriptors:
            os.close(descriptor)
    os.close(writing)
    assert os.read(reading, 1) == b"", "no copy of the writing end is left"
    os.close(reading)
    notify.close()


def test_the_socket_is_the_owners_alone_and_goes_with_us(notify: NotifySocket) -> None:
    assert notify.path is not None
    assert notify.path.stat().st_mode & 0o777 == 0o600
    notify.close()
    assert not notify.path.exists()


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    first = NotifySocket(tmp_path)
    first.socket.close()
    second = NotifySocket(tmp_path)
    send(second.address, b"READY=1")
    assert len(list(second.receive())) == 1
    second.close()


def test_a_path_that_is_too_long_gives_an_abstract_name(tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 100)
    directory.mkdir()
    notify = NotifySocket(directory)
    assert notify.address.startswith("@")
    assert len(notify.address) <= 107
    send(notify.address, b"READY=1")
    assert list(notify.receive()) == [Datagram(os.getpid(), b"READY=1")]
    notify.close()
