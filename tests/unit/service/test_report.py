"""What the last line of a process that failed says: it is what people are shown of it."""

import logging
from pathlib import Path

import pytest

from bitcoind_mp.service.worker import report


def test_a_file_that_the_system_refuses_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(OSError) as caught:
        (tmp_path / "nosuch" / "file").read_bytes()
    with caplog.at_level(logging.ERROR):
        report(caught.value, "the node")
    assert caplog.messages == [f"the node failed: No such file or directory: {tmp_path}/nosuch/file"]
    assert caplog.records[0].exc_info, "nobody foresaw it"


def test_of_a_defect_only_its_kind_is_told_outside_of_the_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        report(ValueError("a secret"), "the wallet")
    assert caplog.messages == ["the wallet failed: ValueError"]
