"""-daemon and -daemonwait: going to the background, and telling whoever waits in the foreground how it went.

The process that was started stays until the daemon has reported over a pipe, then prints what it said and ends with
its status. What counts as started and as ready is ``app.py``'s to say.
"""

import json
import os
import signal
import sys
from typing import Any, NoReturn

from daemon import DaemonContext

from bitcoind_mp.config.loading import working_directory
from bitcoind_mp.interfaces.errors import ExitStatus, FatalError

from .announce import Announcer


class DaemonAnnouncer(Announcer):
    """The same from the background: one JSON line each into the pipe that the foreground reads."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def progress(self, text: str) -> None:
        self._tell({"progress": text})

    def started(self) -> None:
        self._tell({"event": "started"})

    def ready(self) -> None:
        self._tell({"event": "ready"})
        self._close()

    def failed(self, error: FatalError) -> None:
        """The pipe stays open: whoever waits is to return when this process has ended."""
        self._tell({"error": str(error), "status": int(error.status)})

    def _tell(self, message: dict[str, Any]) -> None:
        if self._pipe < 0:
            return
        try:
            os.write(self._pipe, json.dumps(message).encode() + b"\n")
        except BrokenPipeError:  # nobody waits any more
            self._close()

    def _close(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
        self._pipe = -1


def go_to_background(*, wait_until: str) -> DaemonAnnouncer:
    """Detach, by python-daemon. Returns in the daemon alone; the process that called ends once the daemon reported
    ``wait_until`` (``started`` or ``ready``), or failed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        os.waitpid(child, 0)  # it ends at once: the daemon is its grandchild
        _wait_in_foreground(reading, wait_until)
    os.close(reading)
    # The working directory stays, as with bitcoind: relative paths on the command line are read again at a reload.
    context = DaemonContext(
        working_directory=working_directory(),
        umask=0o077,
        detach_process=True,
        files_preserve=[writing],
        signal_map={signal.SIGTTIN: None, signal.SIGTTOU: None, signal.SIGTSTP: None},
    )
    context.open()
    return DaemonAnnouncer(writing)


def _wait_in_foreground(pipe: int, wait_until: str) -> NoReturn:
    """Pass on what the daemon reports, and end as it says. Never returns: no clean-up of the daemon's runs here."""
    status = None
    with os.fdopen(pipe, "rb") as stream:
        for line in stream:
            message = json.loads(line)
            if "progress" in message:
                print(message["progress"], file=sys.stderr, flush=True)
            elif "error" in message:
                print(f"Error: {message['error']}", file=sys.stderr, flush=True)
                status = message["status"]
            elif message["event"] == "started":
                print("bitcoind-mp starting", flush=True)
            if message.get("event") in (wait_until, "ready"):
                os._exit(ExitStatus.OK)
    if status is None:
        print("Error: bitcoind-mp ended before it was ready; its log may say why.", file=sys.stderr, flush=True)
    os._exit(ExitStatus.FAILURE if status is None else status)
