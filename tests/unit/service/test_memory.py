"""Memory that was used once goes back to the system."""

import os
from pathlib import Path

import pytest

from bitcoind_mp.service.memory import give_back


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif("glibc" not in os.confstr("CS_GNU_LIBC_VERSION"), reason="another C library than glibc")
def test_what_the_c_library_keeps_for_later_goes_back() -> None:
    pieces = [bytes(100_000) for _ in range(300)]  # below the size that gets a mapping of its own
    kept = bytes(100_000)  # at the heap's end: by itself it doesn't shrink
    before = resident()
    del pieces
    give_back()
    assert before - resident() > 15_000_000
    assert len(kept) == 100_000
