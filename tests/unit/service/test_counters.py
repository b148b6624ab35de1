"""A process's own figures."""

import os
import subprocess
import sys
from pathlib import Path

from bitcoind_mp.service.counters import OwnCounters


def test_open_files_are_counted_without_the_counting() -> None:
    counters = OwnCounters()
    before = counters.read()["open_files"]
    assert before == counters.read()["open_files"]
    descriptor = os.open(os.devnull, os.O_RDONLY)
    assert counters.read()["open_files"] == before + 1
    os.close(descriptor)
    assert before == len(list(Path("/proc/self/fd").iterdir())) - 1


def test_written_bytes_are_those_that_the_kernel_counts(tmp_path: Path) -> None:
    program = (
        "import os, sys; from bitcoind_mp.service.counters import OwnCounters as C; c = C()\n"
        "f = open(sys.argv[1], 'wb'); f.write(bytes(1 << 20)); f.flush(); os.fsync(f.fileno())\n"
        "kernels = dict(line.split(': ') for line in open('/proc/self/io').read().splitlines())\n"
        "assert c.read()['write_bytes'] == int(kernels['write_bytes']), (c.read(), kernels)\n"
        "assert abs(c.read()['read_bytes'] - int(kernels['read_bytes'])) < 1 << 20\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "file")], check=True, timeout=30)
