"""Reading a passphrase without showing it."""

import sys

from .arguments import BadArgument


def read_passphrase(prompt: str) -> str:
    """One line from standard input; on a terminal after ``prompt``, and not shown. Raises `BadArgument` at its end."""
    if sys.stdin.isatty():
        from getpass import getpass

        try:
            return getpass(prompt)
        except EOFError:
            line = ""
        except KeyboardInterrupt:
            print(file=sys.stderr)  # the terminal is at the prompt still
            raise
    else:
        line = sys.stdin.buffer.readline().decode("utf-8", "surrogateescape")  # as -stdin reads what follows
    if not line:
        raise BadArgument("-stdinwalletpassphrase specified but failed to read from standard input")
    return line.removesuffix("\n")
