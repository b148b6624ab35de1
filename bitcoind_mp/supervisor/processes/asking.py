"""Running one of our programs only to be asked something: what it says, and how it ends.

What is asked, and what an answer means, is the caller's.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bitcoind_mp.supervisor.units.policy import Exit

from .process import Process, command, release

#: Seconds that a program has for its answer.
PATIENCE = 60.0
#: What of an answer is read.
_LONGEST = 65536


@dataclass(frozen=True)
class Answer:
    """All that the program wrote, and its end; None for one that had none within `PATIENCE`, and was killed."""

    text: str
    exit: Exit | None

    @property
    def last_line(self) -> str:
        """Its last words."""
        return next(reversed(self.text.strip().splitlines()), "it said nothing")


class Questions:
    """Asks programs, with our environment but for what is ours alone."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = dict(environ)
        self._loop = asyncio.get_running_loop()
        self._asked: set[int] = set()

    def owns(self, pid: int) -> bool:
        """Whether that is a child that is waited for here."""
        return pid in self._asked

    async def ask(
        self, argv: Sequence[str], *, variables: Mapping[str, str] | None = None, fds: Sequence[tuple[str, int]] = ()
    ) -> Answer:
        """Run that with these variables and, by name, descriptors besides. Raises OSError where it can't be."""
        said = os.memfd_create("answer", os.MFD_CLOEXEC)  # which is never too full to write into, as a pipe would be
        try:
            ended = await self._run(argv, {**self._environ, **(variables or {})}, fds, said)
            return Answer(os.pread(said, _LONGEST, 0).decode(errors="replace"), ended)
        finally:
            os.close(said)

    async def _run(
        self, argv: Sequence[str], environ: Mapping[str, str], fds: Sequence[tuple[str, int]], output: int
    ) -> Exit | None:
        made = command(argv, environ, fds=fds, output=output, notify="", watchdog=0)
        try:
            process = Process.spawn(made)
        finally:
            release(made)
        self._asked.add(process.pid)
        ended = asyncio.Event()
        self._loop.add_reader(process.pidfd, ended.set)
        try:
            async with asyncio.timeout(PATIENCE):
                await ended.wait()
            return process.reap()
        except TimeoutError:
            return None
        finally:
            self._loop.remove_reader(process.pidfd)
            if not ended.is_set():
                process.kill_group()
                process.wait()
            process.close()
            self._asked.discard(process.pid)
