"""The terminal while a command runs: what is typed waits, unseen, for the next prompt, and Ctrl-C still interrupts.

Left as it is, a terminal would echo such keys into the output, and keep back all but whole lines.
"""

import contextlib
import termios
from collections.abc import Iterator

from prompt_toolkit.input import Input


@contextlib.contextmanager
def kept(input: Input) -> Iterator[None]:
    """For the whole life of the shell: each prompt puts its own mode above this one and takes it off again."""
    try:
        descriptor = input.fileno()
        before = termios.tcgetattr(descriptor)
    except (NotImplementedError, OSError, termios.error):  # no terminal
        yield
        return
    quiet = termios.tcgetattr(descriptor)
    quiet[0] &= ~termios.ICRNL
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(descriptor, termios.TCSADRAIN, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
