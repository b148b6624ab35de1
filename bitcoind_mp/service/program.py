"""A worker's program, from its configuration to its exit status: what both workers' ``__main__`` have in common.

What the worker does is its `Service`'s affair; how it lives is ``worker.py``'s.
"""

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from bitcoind_mp.interfaces.errors import ExitStatus, FatalError

from . import logging as service_logging
from .worker import Service, run_worker


class Settings(Protocol):
    """What of a configuration is the same for every worker."""

    @property
    def log_dir(self) -> Path: ...
    def get_bool(self, name: str) -> bool: ...
    def get_list(self, name: str) -> list[str]: ...


def take_name(name: str) -> None:
    """Be that to ps(1), pgrep(1) and the journal, also where it was the interpreter that was executed. The kernel keeps
    15 characters of it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(name, "ascii")


Configured = TypeVar("Configured", bound=Settings)


def check_program(check: Callable[[Configured], object], config: Configured) -> int:
    """-checkconfig: say whether that configuration can be used, without starting anything; the exit status. ``check``
    raises FatalError for what a start would fail with."""
    try:
        service_logging.require_categories(config.get_list("debug"), config.get_list("debugexclude"))
        check(config)
    except (FatalError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return int(error.status if isinstance(error, FatalError) else ExitStatus.CONFIG)
    print("The configuration can be used.")
    return 0


def run_program(make: Callable[[Configured], Service], config: Configured, *, name: str) -> int:
    """Set up what every worker has, then make the service of its configuration and run it; the exit status."""
    os.umask(0o077)
    take_name(f"bitcoin-mp-{name}")
    try:
        service_logging.setup(
            console=config.get_bool("printtoconsole"),
            unit=name,
            debug=config.get_list("debug"),
            exclude=config.get_list("debugexclude"),
            environ=os.environ,
            heir=config.log_dir / f"{name}.log",
        )
    except ValueError as error:
        print(f"Error: {error}", file=sys.stderr)
        return int(ExitStatus.CONFIG)
    return run_worker(make(config), name=name, environ=os.environ)
