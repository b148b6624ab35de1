"""Which connections of a process that ended are kept for the next."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bitcoind_mp.ipc.wire.passing import take_all
from bitcoind_mp.supervisor.processes.waiting import WaitingCallers


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "node.sock"))
        made.listen(600)
        yield made


def caller(listener: socket.socket) -> tuple[socket.socket, int]:
    """Who calls, and the descriptor of what was accepted."""
    calling = socket.socket(socket.AF_UNIX)
    calling.connect(listener.getsockname())
    return calling, listener.accept()[0].detach()


def test_who_came_in_by_the_unit_s_socket_is_handed_on(listener: socket.socket) -> None:
    waiting = WaitingCallers(listener.fileno())
    callers = [caller(listener) for _ in range(300)]
    waiting.keep([accepted for _, accepted in callers])
    assert len(waiting) == 300
    with waiting.channel() as channel:
        taken = take_all(channel.dup())
    assert len(taken) == 300
    waiting.close()
    assert len(waiting) == 0
    for (calling, _), connected in zip(callers, taken, strict=True):
        connected.send(b"x")
        assert calling.recv(1) == b"x"
        calling.close()
        connected.close()


def test_nothing_that_a_process_could_have_made_itself_is_kept(listener: socket.socket, tmp_path: Path) -> None:
    before = descriptors()
    waiting = WaitingCallers(listener.fileno())
    with socket.socket(socket.AF_UNIX) as other, socket.socket(socket.AF_UNIX) as inner:
        other.bind(str(tmp_path / "other.sock"))
        other.listen()
        elsewhere, accepted_elsewhere = caller(other)
        ours, theirs = socket.socketpair()
        packets = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        reading, writing = os.pipe()
        calling, accepted = caller(listener)
        os.close(accepted)
        made = [
            accepted_elsewhere,
            theirs.detach(),
            os.dup(listener.fileno()),
            os.dup(inner.fileno()),
            os.dup(calling.fileno()),
            os.dup(packets[0].fileno()),
            reading,
        ]
        waiting.keep(made)
        assert len(waiting) == 0
        for each in (elsewhere, ours, *packets, calling):
            each.close()
        os.close(writing)
    assert descriptors() == before, "and nothing stays open"


def test_no_more_are_kept_than_it_says(listener: socket.socket) -> None:
    before = descriptors()
    waiting = WaitingCallers(listener.fileno())
    calling, accepted = caller(listener)
    for _ in range(20):
        waiting.keep([os.dup(accepted) for _ in range(64)])
    assert len(waiting) == 512
    with waiting.channel() as channel:
        for each in (taken := take_all(channel.dup())):
            each.close()
        assert len(taken) == 512
    waiting.close()
    os.close(accepted)
    calling.close()
    assert descriptors() == before


def test_a_unit_without_a_socket_keeps_nobody(listener: socket.socket) -> None:
    calling, accepted = caller(listener)
    waiting = WaitingCallers(None)
    waiting.keep([accepted])
    assert len(waiting) == 0
    assert calling.recv(1) == b""
    calling.close()
