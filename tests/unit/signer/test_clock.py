"""Time for the daily limit: what passed for certain."""

import pytest

from bitcoind_mp.signer.clock import Reading, boot_id, elapsed, read

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
    first = read(boot_id())
    assert first.boot == boot_id() != ""
    assert 0 <= elapsed(first, read(boot_id())) < 60
