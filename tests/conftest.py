"""What every test finds: Ctrl-C that works, and which process of pytest-xdist runs what (``--dist loadgroup``)."""

import functools
import signal
from pathlib import Path
from typing import Any

import pytest


def pytest_configure() -> None:
    """What a shell starts in the background it starts with SIGINT ignored, and so would all be that tests start."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """All tests of a file that share something that runs in one process, in their order; every other wherever there is
    room. Those come first, so that no process is left with one of them in the end.

    (xdist 3.8 would tell by ``xdist_group`` marks, but pytest 9.2 no longer lets it put them into a test's id.)
    """
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByWhatRuns(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return file if _shares(config.rootpath / file) else nodeid

    return ByWhatRuns(config, log)


@functools.cache
def _shares(file: Path) -> bool:
    """Whether its tests share what takes long to start: a container, or what a fixture of the file's own starts."""
    return file.name.startswith("test_systemd_") or 'scope="module"' in file.read_text()
