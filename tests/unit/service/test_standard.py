"""A process that was started without standard streams."""

import os
import subprocess
import sys

import pytest

#: Closes what its arguments name, as a shell's ``<&- >&- 2>&-`` does, and looks from a new program.
CLOSE = """
import os, sys
for fd in sys.argv[2:]:
    os.close(int(fd))
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""
LOOK = """
import os, sys
from bitcoind_mp.service.standard import open_standard_streams
open_standard_streams()
first = os.open("/etc/passwd", os.O_RDONLY)
print("to a closed one", flush=True)
print("to a closed one", file=sys.stderr, flush=True)
nothing = os.stat(os.devnull).st_rdev
told = [str(first), *(str(fd) for fd in range(3) if os.fstat(fd).st_rdev == nothing and os.get_inheritable(fd))]
os.write(int(os.environ["TELL"]), " ".join(told).encode())
"""


@pytest.mark.parametrize("closed", [(), (0,), (1,), (0, 2), (0, 1, 2)])
def test_what_is_closed_becomes_nothing(closed: tuple[int, ...]) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    subprocess.run(
        [sys.executable, "-c", CLOSE, LOOK, *map(str, closed)],
        stdin=subprocess.PIPE,
        capture_output=True,
        env={**os.environ, "TELL": str(writing)},
        close_fds=False,
        check=True,
    )
    os.close(writing)
    with os.fdopen(reading) as pipe:
        first, *nothings = pipe.read().split()
    assert int(first) > 2
    assert nothings == [str(fd) for fd in closed]
