"""A preloaded process whose supervisor is killed, at any moment, ends without a word."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bitcoind_mp.service.template import CONTROL, Order

#: Becomes the program of its arguments, with the descriptor of the first as the one that was handed down.
EXECUTE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


def template(control: socket.socket) -> "subprocess.Popen[str]":
    """Of a real program, with that end of a socketpair for its orders."""
    program = ["-m", "bitcoind_mp.service.template", "bitcoind_mp.signer"]
    return subprocess.Popen(
        [sys.executable, "-c", EXECUTE, str(control.fileno()), *program],
        env={**os.environ, "LISTEN_FDNAMES": CONTROL},
        pass_fds=[control.fileno()],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=Path(__file__).resolve().parents[3],
    )


@pytest.mark.parametrize("when", ["before it is ready", "after an order"])
def test_it_ends_without_a_word(when: str) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reading, writing = os.pipe()
    with ours, theirs:
        process = template(theirs)
        theirs.close()
        if when == "after an order":
            assert ours.recv(64) == b"ready"
            Order(["-m", "bitcoind_mp.signer"], {}).send(ours, (1, reading))
        ours.close()
        os.close(writing)
        said, _ = process.communicate(timeout=60)
    os.close(reading)
    assert (process.returncode, said) == (0, "")
