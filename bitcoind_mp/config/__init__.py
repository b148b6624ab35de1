"""What a person may set: the option table, Bitcoin Core's option grammar, bitcoin.conf, and the paths that follow.

`load` reads everything once, in a program's ``__main__``; the `Config` it returns is handed down by constructor.
The front end's one-shot path pays for this package at each command, so nothing here imports ``typing``,
``pathlib``, ``enum`` or ``re`` before it needs them.
"""

from .configuration import Config
from .loading import load, start

__all__ = ["Config", "load", "start"]
