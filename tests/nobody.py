"""Another user of this machine, for tests that root runs."""

import contextlib
import os
import socket
from collections.abc import Sequence

#: The uid and the gid of nobody in particular.
NOBODY = 65534


def as_nobody(path: str, line: bytes, *, groups: Sequence[int] = ()) -> bytes:
    """What a process of another user gets from that socket: a fork of this one, the only kind sure to run."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(groups)
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            with socket.socket(socket.AF_UNIX) as connected:
                connected.settimeout(10)
                connected.connect(path)
                with contextlib.suppress(BrokenPipeError):
                    connected.sendall(line)
                os.write(writing, connected.recv(1000))
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as pipe:
        return pipe.read()
