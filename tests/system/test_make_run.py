"""`make run` as a person has it: the shell on a terminal, left again, and what make says then."""

import os
import pty
import select
import sys
import time
from pathlib import Path

from harness import DEADLINE, Daemon, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
#: What the shell writes before each prompt: bracketed paste.
PROMPT = "\x1b[?2004h"
VENV = Path(sys.executable).parent.parent


def test_after_logs_that_were_followed_make_still_says_how_to_stop(tmp_path: Path) -> None:
    """Ctrl-C there is for everybody in the terminal, make too."""
    daemon = Daemon(tmp_path / ".bitcoind-mp")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        environ = {**os.environ, "HOME": str(tmp_path), "TERM": "dumb"}
        os.execvpe("make", ["make", "-o", f"{VENV}/.ready", f"VENV={VENV}", "run"], environ)
    try:
        seen = until(terminal, "", "Tab completes")
        os.write(terminal, b"logs node -f\r")
        seen = until(terminal, seen, "Sandbox")
        os.write(terminal, b"\x03")
        seen = until(terminal, seen + "|", PROMPT, after="|")
        os.write(terminal, b"exit\r")
        until(terminal, seen, "It runs on, in ~/.bitcoind-mp. To stop it:")
    finally:
        daemon.run("bitcoin-mp", "stop", check=False)
        wait_until("everything has ended", lambda: not daemon.processes())
        os.close(terminal)
        os.waitpid(pid, 0)


def until(terminal: int, seen: str, text: str, *, after: str = "") -> str:
    """Read until the text is there; what was seen by then."""
    end = time.monotonic() + 2 * DEADLINE
    while text not in seen.rpartition(after)[2] if after else text not in seen:
        assert time.monotonic() < end, f"never saw {text!r}: {seen}"
        if select.select([terminal], [], [], 0.1)[0]:
            data = os.read(terminal, 65536)
            if b"\x1b[6n" in data:  # where is the cursor?
                os.write(terminal, b"\x1b[1;1R")
            seen += data.decode(errors="replace")
    return seen
