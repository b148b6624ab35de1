"""Where log lines go and how they look.

Loggers are named ``bitcoind_mp.<category>`` (`logging.getLogger("bitcoind_mp.ipc")`); the category is what ``-debug=`` names and what stands
in brackets: ``2026-11-23T14:35:38Z [ipc] message``.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path


def setup(
    *, file: Path | None = None, console: bool = True, debug: Iterable[str] = (), environ: Mapping[str, str] = {}
) -> None:
    """Log to stderr (``console``) and ``file``. ``debug``: categories to log at debug level; "1" or "all" for every one.
    With JOURNAL_STREAM in ``environ`` that is our stderr, lines there have a ``<N>`` priority and no time."""
    raise NotImplementedError


def reopen() -> None:
    """Open the log file anew (after rotation; SIGHUP)."""
    raise NotImplementedError


def set_category(name: str, on: bool) -> None:
    """Switch one category's debug lines on or off (the `logging` command). Raises KeyError for an unknown one."""
    raise NotImplementedError


def categories() -> dict[str, bool]:
    """Each known category and whether its debug lines are logged."""
    raise NotImplementedError
