"""A template's forks, in a process of their own: whoever makes them becomes a subreaper."""

import os
import subprocess
import sys
from pathlib import Path

WORKERS = Path(__file__).resolve().parents[2] / "process" / "workers"
PROGRAM = """
import asyncio, os, sys
from bitcoind_mp.supervisor.processes.process import command
from bitcoind_mp.supervisor.processes.template import Template, become_subreaper

class Died(Exception):
    pass

async def main():
    become_subreaper()
    told = asyncio.Event()
    template = Template("preloaded", [], os.environ, 2, told.set)
    await told.wait()
    assert template.is_ready
    argv = (sys.executable, "-m", "preloaded", "node", "/nonexistent")
    what = command(argv, os.environ, fds=[], output=1, notify="", watchdog=0)
    pids = []

    def known(pid):
        pids.append(pid)
        if len(pids) == 1:
            raise Died

    try:
        template.fork(what, known)
    except Died:
        pass
    process = template.fork(what, known)
    assert process.pid == pids[1]
    statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    template.close()
    print(statuses, file=sys.stderr)

asyncio.run(main())
"""


def test_a_fork_begins_once_its_pid_is_known(tmp_path: Path) -> None:
    """Where its maker dies in between nobody would wait for it: it ends, and has done nothing."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": str(WORKERS), "FAKE_PLANS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr.splitlines()[-1] == "[0, 1]"
    assert done.stdout.count("Traceback") == 1, "the second began, and had no plan"
