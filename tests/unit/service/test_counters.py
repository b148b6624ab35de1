"""A process's own figures."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

from bitcoind_mp.service.counters import OwnCounters


def test_open_files_are_counted_without_the_counting() -> None:
    counters = OwnCounters()
    before = counters.read()["open_files"]
    assert before == counters.read()["open_files"]
    descriptor = os.open(os.devnull, os.O_RDONLY)
    assert counters.read()["open_files"] == before + 1
    os.close(descriptor)
    assert before == len(list(Path("/proc/self/fd").iterdir())) - 1


def test_memory_time_and_threads_are_those_that_others_see() -> None:
    counters = OwnCounters()
    before, done = counters.read(), threading.Event()
    waiting = threading.Thread(target=done.wait)
    waiting.start()
    ballast = bytearray(b"x") * (64 << 20)
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    after, seen = counters.read(), psutil.Process()
    assert after["threads"] == before["threads"] + 1 == seen.num_threads()
    assert after["memory"] - before["memory"] > len(ballast) * 0.9
    assert abs(after["memory"] - seen.memory_info().rss) < 4 << 20
    times = seen.cpu_times()
    assert after["cpu_ms"] - before["cpu_ms"] >= 190
    assert abs(after["cpu_ms"] / 1000 - (times.user + times.system)) < 0.2
    done.set()
    waiting.join()


def test_written_bytes_are_those_that_the_kernel_counts(tmp_path: Path) -> None:
    program = (
        "import os, sys; from bitcoind_mp.service.counters import OwnCounters as C; c = C()\n"
        "f = open(sys.argv[1], 'wb'); f.write(bytes(1 << 20)); f.flush(); os.fsync(f.fileno())\n"
        "kernels = dict(line.split(': ') for line in open('/proc/self/io').read().splitlines())\n"
        "assert c.read()['write_bytes'] == int(kernels['write_bytes']), (c.read(), kernels)\n"
        "assert abs(c.read()['read_bytes'] - int(kernels['read_bytes'])) < 1 << 20\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "file")], check=True, timeout=30)
