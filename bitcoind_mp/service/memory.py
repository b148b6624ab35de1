"""Giving memory back to the system that was used once."""

import ctypes


def give_back() -> None:
    """What the C library keeps for later (malloc_trim(3)); nothing where it has no such call. Takes under a
    millisecond."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
