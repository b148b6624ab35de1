"""Commands about the node itself: its clock, its memory, its indexes (``src/rpc/node.cpp``). Those about the process,
as every worker has them, are in ``service/control.py``."""

import ctypes
import mmap
from pathlib import Path
from typing import Any

from bitcoind_mp.interfaces.command import command
from bitcoind_mp.interfaces.errors import RpcCode, RpcError
from bitcoind_mp.node.chain.clock import Clock
from bitcoind_mp.node.chain.indexes import Indexes

#: the last second that 64 bits of nanoseconds can tell
_MAX_TIME = (1 << 63) // 1_000_000_000


class NodeControlCommands:
    """``clock`` is the node's, ``mockable`` says whether the chain is one to play with."""

    def __init__(self, clock: Clock, indexes: Indexes, *, mockable: bool) -> None:
        self._clock = clock
        self._indexes = indexes
        self._mockable = mockable

    @command("hidden", changes=True, hidden=True)
    def setmocktime(self, timestamp: int) -> None:
        """Sets the node's clock to a time at which it then stands still, on regtest alone.

        Args:
            timestamp: Seconds since 1970; 0 for the system's clock again

        Returns:
            null
        """
        if not self._mockable:
            raise RpcError(RpcCode.MISC_ERROR, "setmocktime is for regression testing (-regtest mode) only")
        if not 0 <= timestamp <= _MAX_TIME:
            raise RpcError(
                RpcCode.INVALID_PARAMETER, f"Mocktime must be in the range [0, {_MAX_TIME}], not {timestamp}."
            )
        self._clock.set_mock(timestamp)

    @command("control")
    def getmemoryinfo(self, mode: str = "stats") -> Any:
        """Tells about the process's memory.

        Args:
            mode: stats for an object; mallocinfo for the C library's own account, in XML

        Returns:
            locked: how much memory is locked against being swapped out, which a Python process has none of; or XML
        """
        if mode == "stats":
            return {"locked": _locked_memory()}
        if mode == "mallocinfo":
            return _malloc_info()
        raise RpcError(RpcCode.INVALID_PARAMETER, f"unknown mode {mode}")

    @command("util")
    def getindexinfo(self, index_name: str = "") -> dict[str, Any]:
        """Tells the state of the node's indexes.

        Args:
            index_name: The one to tell about; all if not given

        Returns:
            By name whether the index is at the tip, and its height
        """
        states = [index.state for index in self._indexes.all]
        return {
            state.name: {"synced": state.synced, "best_block_height": state.best_height}
            for state in states
            if index_name in ("", state.name)
        }


def _malloc_info() -> str:
    """What the C library's allocator says of itself (malloc_info(3)), if it is glibc's."""
    library = ctypes.CDLL(None)
    try:
        malloc_info, open_memstream = library.malloc_info, library.open_memstream
    except AttributeError:
        raise RpcError(RpcCode.INVALID_PARAMETER, "mallocinfo mode not available") from None
    text, size = ctypes.c_void_p(), ctypes.c_size_t()
    open_memstream.restype = ctypes.c_void_p
    stream = ctypes.c_void_p(open_memstream(ctypes.byref(text), ctypes.byref(size)))
    malloc_info(0, stream)
    library.fclose(stream)
    told = ctypes.string_at(text, size.value).decode()
    library.free(text)
    return told


def _locked_memory() -> dict[str, int]:
    """Core's figures of its pool of locked pages; there is no such pool here, so all is of the process as a whole."""
    with Path("/proc/self/status").open() as status:
        locked = next((int(line.split()[1]) * 1024 for line in status if line.startswith("VmLck:")), 0)
    return {
        "used": locked,
        "free": 0,
        "total": locked,
        "locked": locked,
        "chunks_used": locked // mmap.PAGESIZE,
        "chunks_free": 0,
    }
