"""Time for the daily limit: what passed for certain."""

import os
import subprocess
import sys

import pytest

from bitcoind_mp.signer.clock import Reading, elapsed, reader

DAY = 86_400


@pytest.mark.parametrize(
    ("last", "now", "passed"),
    [
        (Reading(1000, 50, "a"), Reading(1010, 60, "a"), 10),
        (Reading(1000, 50, "a"), Reading(1000 + 2 * DAY, 60, "a"), 10),  # somebody set the clock on
        (Reading(1000, 50, "a"), Reading(5, 60, "a"), 10),  # or back
        (Reading(1000, 50, "a"), Reading(1100, 3, "b"), 100),  # another boot: nothing but the wall clock
        (Reading(1000, 50, "a"), Reading(900, 3, "b"), 0),
        (Reading(1000, 50, ""), Reading(1100, 60, ""), 100),  # a boot that can't be told
        (Reading(1000, 50, "a"), Reading(1000, 40, "a"), 0),
    ],
)
def test_what_passed(last: Reading, now: Reading, passed: int) -> None:
    assert elapsed(last, now) == passed


def test_the_kernel_is_asked() -> None:
    now = reader()
    first = now()
    assert first.boot != ""
    assert 0 <= elapsed(first, now()) < 60


def test_the_boot_is_told_by_the_environment_where_it_cannot_be_read() -> None:
    """As under ``bitcoind-mp.service`` (ProcSubset=pid): else who sets the clock there would have the day's limit
    anew."""
    code = (
        "import resource; from bitcoind_mp.signer.clock import reader; "
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3)); "  # nothing can be opened any more
        "print(reader()().boot)"
    )
    environ = {**os.environ, "BOOT_ID": "b0" * 16}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "b0" * 16 + "\n"
