"""What a start tells the person who waits for it. Going to the background, and telling from there: ``daemonize.py``."""

import sys

from bitcoind_mp.interfaces.errors import FatalError


class Announcer:
    """Tells a person in the foreground how the start goes: on the terminal, for a process that stays there."""

    def progress(self, text: str) -> None:
        """What the start is waiting for."""
        print(text, file=sys.stderr, flush=True)

    def started(self) -> None:
        """Every unit's process exists."""

    def ready(self) -> None:
        """Every unit is ready."""

    def failed(self, error: FatalError) -> None:
        """The start failed; the process is about to end. ``__main__`` prints the error."""
