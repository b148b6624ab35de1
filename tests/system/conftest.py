"""Daemons, a machine with systemd and a real Bitcoin Core for the system tests."""

import fcntl
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
    """A directory with a wheel of this checkout, which all of a run's processes share: to build one takes seconds."""
    base = tmp_path_factory.getbasetemp()
    place = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (place / "wheels.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "wheels").exists():
            made = tmp_path_factory.mktemp("wheels-")
            build_wheel(made)
            made.rename(place / "wheels")
    return place / "wheels"


@pytest.fixture(scope="module")
def machine(request: pytest.FixtureRequest) -> Iterator[Container]:
    """A container with a systemd of its own, where the program and its units are installed."""
    if reason := why_not():
        pytest.skip(f"no container with systemd: {reason}")
    booted = Container(request.getfixturevalue("wheels"))
    yield booted
    booted.close()
