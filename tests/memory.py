"""Looking through another process's memory, for secrets that shouldn't be there."""

import contextlib
from pathlib import Path

import pytest


def found_in_memory(pid: int, needles: list[bytes]) -> list[bool]:
    """Whether each is there. Skips the test where the kernel doesn't let this one look."""
    found = [False] * len(needles)
    try:
        memory = Path(f"/proc/{pid}/mem").open("rb", buffering=0)  # noqa: SIM115 (it is closed below)
    except PermissionError as error:
        pytest.skip(f"the process's memory can't be read here: {error}")
    with memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            extent, rights, *_ = line.split()
            start, end = (int(number, 16) for number in extent.split("-"))
            if not rights.startswith("rw"):
                continue
            memory.seek(start)
            with contextlib.suppress(OSError):
                content = memory.read(end - start)
                found = [seen or needle in content for seen, needle in zip(found, needles, strict=True)]
    return found
