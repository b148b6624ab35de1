"""What every test finds: Ctrl-C that works, and which process of pytest-xdist runs what (``--dist loadgroup``)."""

import signal
from typing import Any

import pytest


def pytest_configure() -> None:
    """What a shell starts in the background it starts with SIGINT ignored, and so would all be that tests start."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """All tests of a file that boots a container in one process, in their order; every other wherever there is room.

    (xdist 3.8 would tell by ``xdist_group`` marks, but pytest 9.2 no longer lets it put them into a test's id.)
    """
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByContainer(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return file if file.rpartition("/")[2].startswith("test_systemd_") else nodeid

    return ByContainer(config, log)
