"""Daemons, a machine with systemd and a real Bitcoin Core for the system tests."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import Daemon
from systemd_container import Container, build_wheel, why_not


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


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a wheel of this checkout."""
    directory = tmp_path_factory.mktemp("wheels")
    build_wheel(directory)
    return directory


@pytest.fixture(scope="module")
def machine(request: pytest.FixtureRequest) -> Iterator[Container]:
    """A container with a systemd of its own, where the program and its units are installed."""
    if reason := why_not():
        pytest.skip(f"no container with systemd: {reason}")
    booted = Container(request.getfixturevalue("wheels"))
    yield booted
    booted.close()
