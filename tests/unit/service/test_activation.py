import fcntl
import os
import socket
from collections.abc import Iterator

import pytest

from bitcoind_mp.service.activation import inherit

FIRST = 200  # instead of 3: the test's process has its own descriptors there


@pytest.fixture
def handed_down() -> Iterator[list[int]]:
    """A listening socket, a pipe's read end and a file at FIRST and after, open across exec."""
    with socket.socket(socket.AF_UNIX) as listening, open(os.devnull) as file:  # noqa: PTH123
        reading, writing = os.pipe()
        for index, descriptor in enumerate((listening.fileno(), reading, file.fileno())):
            os.dup2(descriptor, FIRST + index, inheritable=True)
        yield [FIRST, FIRST + 1, FIRST + 2]
        os.close(reading)
        os.close(writing)
    for descriptor in range(FIRST, FIRST + 3):
        try:
            os.close(descriptor)
        except OSError:
            continue


def test_sockets_come_by_name_and_the_lifeline_too(handed_down: list[int]) -> None:
    environ = {"LISTEN_PID": "42", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "ipc:lifeline:odd", "HOME": "/"}
    found = inherit(environ, pid=42, first=FIRST)
    ipc = found.socket("ipc")
    assert ipc is not None and ipc.fileno() == FIRST and ipc.family == socket.AF_UNIX and not ipc.getblocking()
    assert found.lifeline == FIRST + 1 and found.socket("odd") is None and found.socket("nosuch") is None
    assert environ == {"HOME": "/"}
    for descriptor in handed_down:
        assert fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    ipc.close()


def test_the_lifeline_may_be_a_stream(handed_down: list[int]) -> None:
    environ = {"LISTEN_PID": "42", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "lifeline"}
    found = inherit(environ, pid=42, first=FIRST)
    assert (found.lifeline, found.sockets) == (FIRST, {})


def test_a_configuration_has_been_read_by_then(handed_down: list[int]) -> None:
    environ = {"LISTEN_PID": "42", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "configuration:ipc"}
    found = inherit(environ, pid=42, first=FIRST)
    assert list(found.sockets) == [] and found.lifeline is None
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(FIRST)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "ipc"},
        {"LISTEN_PID": "41", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "ipc"},
        {"LISTEN_PID": "42", "LISTEN_FDS": "x"},
        {"LISTEN_PID": "42"},
        {"LISTEN_PID": "", "LISTEN_FDS": "1"},
    ],
)
def test_what_is_meant_for_another_is_left_alone(handed_down: list[int], environ: dict[str, str]) -> None:
    found = inherit(environ, pid=42, first=FIRST)
    assert found.sockets == {} and found.lifeline is None and environ == {}
    assert not fcntl.fcntl(FIRST, fcntl.F_GETFD) & fcntl.FD_CLOEXEC


def test_without_names_sockets_are_unknown_and_a_missing_descriptor_is_passed_over(handed_down: list[int]) -> None:
    found = inherit({"LISTEN_PID": "42", "LISTEN_FDS": "9"}, pid=42, first=FIRST)
    assert list(found.sockets) == ["unknown"] and found.lifeline is None
    found.sockets["unknown"][0].close()
