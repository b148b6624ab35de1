"""Daemons and a real Bitcoin Core for the system tests."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import Daemon


@pytest.fixture
def make_daemon(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Daemons, started; whatever is left of them at the end of the test is killed."""
    made: list[Daemon] = []

    def make(name: str, *options: str) -> Daemon:
        daemon = Daemon(tmp_path / name, *options)
        made.append(daemon)
        daemon.start()
        return daemon

    yield make
    for daemon in made:
        daemon.clean_up()


@pytest.fixture
def bitcoind() -> str:
    """A real bitcoind, from BITCOIND or PATH."""
    found = os.environ.get("BITCOIND") or shutil.which("bitcoind")
    if not found:
        pytest.skip("no bitcoind: set BITCOIND or put one on PATH")
    return found
