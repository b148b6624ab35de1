"""Standard input, output and error: a process that was started without them gets /dev/null in their place.

Else the first files that it opens come there (0, 1, 2), and what is meant for a terminal is written into them.
"""

import os
import sys


def open_standard_streams() -> None:
    """Open /dev/null where one of the three is closed. First of all: nothing else may have been opened before.

    Raises OSError.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    while nothing <= 2:
        os.set_inheritable(nothing, True)
        nothing = os.dup(nothing)
    os.close(nothing)
    # Python has None for what was closed at its start.
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
