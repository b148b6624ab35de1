"""What a person is told of an error that ended the supervisor."""

import errno

import pytest

from bitcoind_mp.interfaces.errors import ExitStatus
from bitcoind_mp.supervisor.__main__ import _known


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            ExitStatus.DISK_FULL,
            "No space left on device. Make room on the disk, then start it again.",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "/d/run/units"),
            ExitStatus.DISK_FULL,
            "/d/run/units: No space left on device. Make room on the disk, then start it again.",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/d/run"),
            ExitStatus.OS_ERROR,
            "/d/run: Permission denied.",
        ),
        (ValueError("a defect"), ExitStatus.SOFTWARE, "ValueError('a defect')"),
    ],
)
def test_an_error_of_the_system_is_told_in_words(error: Exception, status: ExitStatus, said: str) -> None:
    known = _known(error)
    assert (known.status, str(known)) == (status, said)
