"""A supervisor of the shell's own: started by it, ended with it.

It holds the reading end of a pipe whose other end only the shell has (the lifeline, by systemd's LISTEN_FDNAMES), so
that it stops in order even when the shell is killed.
"""

import asyncio
import os
import signal
import sys
import tempfile
from typing import IO

from bitcoind_mp.config import Config
from bitcoind_mp.config.option import SUPERVISOR

#: sd_listen_fds(3): descriptors are handed down from 3 on, and LISTEN_PID must be the child's own.
_EXEC = 'exec 3<&"$1"; shift; export LISTEN_PID=$$; exec "$@"'


class PrivateSupervisor:
    """The process, once `start` has returned it."""

    def __init__(self, process: asyncio.subprocess.Process, lifeline: int, errors: IO[bytes]) -> None:
        self.pid = process.pid
        self._process = process
        self._lifeline = lifeline
        self._errors = errors

    @classmethod
    async def start(cls, config: Config) -> "PrivateSupervisor":
        """Start one on the network and directory that ``config`` names. Raises OSError."""
        errors = tempfile.TemporaryFile()  # noqa: SIM115  closed by `stop`
        reading, lifeline = os.pipe2(os.O_CLOEXEC)
        environ = {**os.environ, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "lifeline"}
        environ.pop("NOTIFY_SOCKET", None)
        program = [sys.executable, "-P", "-m", "bitcoind_mp.supervisor", *config.arguments_for(SUPERVISOR)]
        try:
            process = await asyncio.create_subprocess_exec(
                *("/bin/sh", "-c", _EXEC, SUPERVISOR, str(reading), *program, "-nodaemon", "-noprinttoconsole"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=errors,
                pass_fds=[reading],
                env=environ,
                start_new_session=True,
            )
        finally:
            os.close(reading)
        return cls(process, lifeline, errors)

    async def ended(self) -> str:
        """Wait for its end; what it said before."""
        status = await self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace").strip()
        return said or f"bitcoind-mp ended with status {status}"

    async def stop(self) -> None:
        """Ask it to stop, and wait until it has: its own deadlines end that."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        await self._process.wait()
        os.close(self._lifeline)
        self._errors.close()
